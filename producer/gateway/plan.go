package gateway

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// What WeChat's dialog takes in one call: three templates, five in newer versions
// of WeChat. It refuses one-time and long-term templates together, and keeps one
// of several with the same title.
//
// https://developers.weixin.qq.com/miniprogram/dev/api/open-api/subscribe-message/wx.requestSubscribeMessage.html
const (
	defaultAsk = 3
	maxAsk     = 5
)

// maxPlanned is how many templates a plan can be about.
const maxPlanned = 50

// refusalRest is how long a template that the user refused is not asked for
// again. Who is asked at every tap ticks "do not ask again", and then no tap
// helps any more.
const refusalRest = 7 * 24 * time.Hour

// planReason says why a template is asked for, or why not. The list is closed: it
// is public in answers.
type planReason string

// The reasons.
const (
	askWaiting  planReason = "waiting"    // notifications wait for it
	askBalance  planReason = "balance"    // little is left of it, or nothing is known
	skipAllowed planReason = "allowed"    // the user allowed it for good
	skipRefused planReason = "refused"    // the user refused it lately; it rests
	skipGone    planReason = "gone"       // WeChat does not list it any more
	skipPaused  planReason = "paused"     // nothing of it is sent until it is resumed
	skipKind    planReason = "other_kind" // not with the others in one dialog
	skipTitle   planReason = "same_title" // not with another one in one dialog
	skipMax     planReason = "later"      // more than fit into one dialog
)

// planReasons lists every reason.
var planReasons = []planReason{
	askWaiting, askBalance, skipAllowed, skipRefused, skipGone, skipPaused, skipKind, skipTitle, skipMax,
}

// planned is one template of a plan.
type planned struct {
	TemplateID string        `json:"template_id"`
	Alias      string        `json:"alias,omitempty"`
	Kind       template.Kind `json:"kind,omitempty"`
	Why        planReason    `json:"why"`
	Waiting    int           `json:"waiting"` // notifications that wait for it
	Balance    *int          `json:"balance"` // null: not known
	// Until is when a template that was refused may be asked for again.
	Until *string `json:"until,omitempty"`
}

// plan is what to ask a user for at the next tap.
type plan struct {
	// Ask are the ids for wx.requestSubscribeMessage, the most wanted first; empty
	// when there is nothing to ask for.
	Ask []string `json:"ask"`
	// Templates tell why, in the order of Ask.
	Templates []planned `json:"templates"`
	// Skipped are the others that the question was about.
	Skipped []planned `json:"skipped"`
}

// getPlan plans the next dialog. It does so for a user without an openid too: such
// a user has notifications that wait.
func (g *Gateway) getPlan(w http.ResponseWriter, r *http.Request, c *call) error {
	userID, err := pathUser(r)
	if err != nil {
		return err
	}
	q := newQuery(r)
	app, names, most := q.text("app"), q.text("templates"), q.number("max", defaultAsk, 1, maxAsk)
	if err := q.done(); err != nil {
		return err
	}
	if app, err = g.queryApp(c, app); err != nil {
		return err
	}
	catalog, err := g.config.Catalog.Catalog(r.Context())
	if err != nil {
		return err
	}
	templates, err := planOver(c, catalog, app, names)
	if err != nil {
		return err
	}
	openID, err := g.openIDOf(r.Context(), app, userID)
	if err != nil {
		return err
	}
	waiting, err := g.config.Consents.WaitingFor(r.Context(), app, userID, openID)
	if err != nil {
		return err
	}
	var consents []store.Consent
	if openID != "" {
		if consents, err = g.config.Consents.Consents(r.Context(), app, openID); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, newPlan(templates, consents, waiting, most, g.config.now()))
	return nil
}

// planOver are the templates that a plan is about: those that are named, or all
// that the caller may use.
func planOver(c *call, catalog *template.Catalog, app, names string) ([]*template.Template, error) {
	if names == "" {
		var all []*template.Template
		for _, t := range catalog.Templates(app) {
			if c.mayTemplate(t.ID, t.Alias) == nil {
				all = append(all, t)
			}
		}
		return all, nil
	}
	parts := strings.Split(names, ",")
	if len(parts) > maxPlanned {
		return nil, FieldErrors{{Field: "templates", Code: FieldTooLong, Reason: "must name no more than 50 templates"}}
	}
	var chosen []*template.Template
	for _, name := range parts {
		t := known(catalog, app, name)
		if t == nil {
			resolved, unknown := catalog.Resolve(app, name)
			if unknown != nil || !wellFormed(name) {
				return nil, FieldErrors{{
					Field: "templates", Code: FieldCode(template.CodeUnknownTemplate),
					Reason: "must be ids or aliases of templates of this app, separated by commas",
				}}
			}
			t = resolved
		}
		if err := c.mayTemplate(t.ID, t.Alias); err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(chosen, func(o *template.Template) bool { return o.ID == t.ID }) {
			chosen = append(chosen, t)
		}
	}
	return chosen, nil
}

// candidate is a template that may be asked for.
type candidate struct {
	planned
	title string
	place int // in the question
}

// newPlan chooses among templates: what something waits for first, then what
// least is left of, of one kind and without equal titles.
func newPlan(templates []*template.Template, consents []store.Consent, waiting map[string]int, most int, now time.Time) plan {
	p := plan{Ask: []string{}, Templates: []planned{}, Skipped: []planned{}}
	entries := make(map[string]store.Consent, len(consents))
	for _, c := range consents {
		entries[c.TemplateID] = c
	}
	var candidates []candidate
	for place, t := range templates {
		c := candidate{title: t.Title, place: place}
		c.planned = weigh(t, entries[t.ID], waiting[t.ID], now)
		if c.Why != askWaiting && c.Why != askBalance {
			p.Skipped = append(p.Skipped, c.planned)
			continue
		}
		candidates = append(candidates, c)
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(
			cmp.Compare(min(b.Waiting, 1), min(a.Waiting, 1)),
			cmp.Compare(a.left(), b.left()),
			cmp.Compare(b.Waiting, a.Waiting),
			cmp.Compare(a.place, b.place))
	})
	titles := map[string]bool{}
	for _, c := range candidates {
		switch {
		case len(p.Ask) > 0 && c.longTerm() != (p.Templates[0].Kind == template.KindLongTerm):
			c.Why = skipKind
		case c.title != "" && titles[c.title]:
			c.Why = skipTitle
		case len(p.Ask) == most:
			c.Why = skipMax
		default:
			titles[c.title] = true
			p.Ask, p.Templates = append(p.Ask, c.TemplateID), append(p.Templates, c.planned)
			continue
		}
		p.Skipped = append(p.Skipped, c.planned)
	}
	return p
}

// weigh says whether a template may be asked for at all.
func weigh(t *template.Template, c store.Consent, waiting int, now time.Time) planned {
	p := planned{TemplateID: t.ID, Alias: t.Alias, Kind: t.Kind, Waiting: waiting, Why: askBalance}
	if c.Known && !c.LongTerm {
		p.Balance = &c.Balance
	}
	rested := c.RefusedAt.Add(refusalRest)
	switch {
	case t.State == template.StateGone:
		p.Why = skipGone
	case t.Paused:
		p.Why = skipPaused
	case c.LongTerm:
		p.Why = skipAllowed
	case !c.RefusedAt.IsZero() && now.Before(rested):
		p.Why, p.Until = skipRefused, timestamp(rested)
	case waiting > 0:
		p.Why = askWaiting
	}
	return p
}

// left is the balance, 0 when it is not known.
func (p planned) left() int {
	if p.Balance == nil {
		return 0
	}
	return *p.Balance
}

// longTerm reports the kind. One that is not known passes for one-time, as nearly
// all are.
func (p planned) longTerm() bool { return p.Kind == template.KindLongTerm }
