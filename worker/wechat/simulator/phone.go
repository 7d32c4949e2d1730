package simulator

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"
)

//go:embed phone.html
var phoneHTML string

var phoneTemplate = template.Must(template.New("phone").Parse(phoneHTML))

// cardsShown is how many of the newest cards the page shows.
const cardsShown = 200

// usersShown is how many of the known users are shown who received nothing yet.
const usersShown = 50

// card is a message as the user's WeChat shows it.
type card struct {
	Title  string
	Fields []cardField
	Page   string
	State  string
	At     time.Time
}

type cardField struct{ Label, Value string }

// phone is one user of one app.
type phone struct {
	AppID, OpenID string
	Name          string // "" when nobody named the user
	Cards         []card // newest first
	Asks          []ask
}

type phoneData struct {
	Now      time.Time
	Phones   []*phone
	Accepted int64
	Sends    int64
	Shown    int
	Paused   bool
}

// phones groups the newest accepted sends by user, the most recently notified
// user first; users who received nothing come after them.
func (s *Simulator) phones() ([]*phone, int) {
	calls := s.Accepted()
	slices.Reverse(calls)
	calls = calls[:min(len(calls), cardsShown)]
	var list []*phone
	byUser := map[pair]*phone{}
	take := func(key pair) *phone {
		p := byUser[key]
		if p == nil {
			p = &phone{AppID: key.appID, OpenID: key.openID, Name: s.cfg.Names[key.openID]}
			byUser[key] = p
			list = append(list, p)
		}
		return p
	}
	for _, c := range calls {
		p := take(pair{appID: c.AppID, openID: c.OpenID})
		p.Cards = append(p.Cards, s.card(c))
	}
	for _, key := range s.someUsers(usersShown) {
		take(key)
	}
	for _, p := range list {
		p.Asks = s.asks(p.AppID, p.OpenID)
	}
	return list, len(calls)
}

func (s *Simulator) card(c Call) card {
	shown := card{Title: c.TemplateID, Page: c.Page, At: c.At}
	if c.State != "formal" {
		shown.State = c.State
	}
	values := c.Values()
	for _, t := range s.templatesOf(c.AppID) {
		if t.PriTmplID != c.TemplateID {
			continue
		}
		shown.Title = t.Title
		for _, f := range t.Fields() {
			shown.Fields = append(shown.Fields, cardField{f.Label, values[f.Key]})
		}
	}
	return shown
}

// templatesOf lists the app's templates, those deleted since too.
func (s *Simulator) templatesOf(appID string) []Template {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return nil
	}
	return a.Templates
}

// phonePage shows what users' phones received.
func (s *Simulator) phonePage(w http.ResponseWriter, r *http.Request) {
	st := s.State()
	data := phoneData{Now: st.Now, Accepted: st.Accepted, Sends: st.Sends, Paused: r.URL.Query().Has("paused")}
	data.Phones, data.Shown = s.phones()
	var page bytes.Buffer
	if err := phoneTemplate.Execute(&page, data); err != nil {
		s.cfg.Logger.Error("phone page not rendered", zap.Error(err))
		http.Error(w, "the page could not be rendered", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(page.Bytes())
}
