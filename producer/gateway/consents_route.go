package gateway

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// ConsentStore is what the Gateway needs of a store's ledger of consents;
// store/postgres and store/sqlite have it.
type ConsentStore interface {
	// RecordConsents applies events, each once however often it comes.
	RecordConsents(ctx context.Context, events []store.ConsentEvent) ([]store.ConsentRecorded, error)
	// Consents returns the entries of an openid, ordered by template.
	Consents(ctx context.Context, app, openID string) ([]store.Consent, error)
	// WaitingFor returns how many notifications of each template wait for the user
	// to be bound or to consent.
	WaitingFor(ctx context.Context, app, userID, openID string) (map[string]int, error)
}

// The results of a report, a label.
const (
	reportNew       = "new"
	reportDuplicate = "duplicate"
)

// maxResults is how many templates a report may be about: more than WeChat's
// dialog takes (https://developers.weixin.qq.com/miniprogram/dev/api/open-api/subscribe-message/wx.requestSubscribeMessage.html).
const maxResults = 20

// consentAnswers are what wx.requestSubscribeMessage answers, and its getSetting.
var consentAnswers = map[string]store.ConsentAnswer{
	"accept":              store.ConsentAccept,
	"acceptWithAudio":     store.ConsentAccept,
	"acceptWithAlert":     store.ConsentAccept,
	"acceptWithForcePush": store.ConsentAccept,
	"reject":              store.ConsentReject,
	"ban":                 store.ConsentBan,
	"filter":              store.ConsentFilter,
}

// consentWords are the words of consentAnswers, for people.
var consentWords = []string{"accept", "reject", "ban", "filter", "acceptWithAudio", "acceptWithAlert", "acceptWithForcePush"}

// consentView is an entry of the ledger as it is answered.
type consentView struct {
	TemplateID string        `json:"template_id"`
	Alias      string        `json:"alias,omitempty"`
	Title      string        `json:"title,omitempty"`
	Kind       template.Kind `json:"kind,omitempty"`
	// Balance is how many messages are left; null when it is not known, or the
	// consent is long-term.
	Balance   *int    `json:"balance"`
	LongTerm  bool    `json:"long_term"`
	RefusedAt *string `json:"refused_at"`
	UpdatedAt *string `json:"updated_at"`
}

func newConsentView(t *template.Template, c store.Consent) consentView {
	v := consentView{
		TemplateID: c.TemplateID, LongTerm: c.LongTerm, RefusedAt: timestamp(c.RefusedAt), UpdatedAt: timestamp(c.UpdatedAt),
	}
	if c.Known && !c.LongTerm {
		v.Balance = &c.Balance
	}
	if t != nil {
		v.Alias, v.Title, v.Kind = t.Alias, t.Title, t.Kind
	}
	return v
}

// reported is the answer to a report.
type reported struct {
	ReportID  uuid.UUID `json:"report_id"`
	Duplicate bool      `json:"duplicate"` // it had come before, and counted then
	Released  int       `json:"released"`  // notifications that had waited for it
	// Consents are the entries afterwards, in the order of the template ids.
	Consents []consentView `json:"consents"`
}

// postConsents counts what a user answered in WeChat's dialog.
func (g *Gateway) postConsents(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := c.object()
	if err != nil {
		return err
	}
	userID, app := r.PathValue("user_id"), o.appID("app")
	o.userID(userID)
	reportID := o.reportID()
	results := o.results()
	if err := o.done(); err != nil {
		return err
	}
	if app, err = g.appOf(c, app); err != nil {
		return err
	}
	catalog, err := g.config.Catalog.Catalog(r.Context())
	if err != nil {
		return err
	}
	events, err := g.consentEvents(c, catalog, app, reportID, results)
	if err != nil {
		return err
	}
	openID, err := g.openIDOf(r.Context(), app, userID)
	if err != nil {
		return err
	}
	if openID == "" {
		// Not 422: nothing is wrong with the report, and who keeps it can hand it
		// in again after the login.
		return refuse(http.StatusConflict, CodeUnbound,
			"a consent belongs to the user's openid in this app, and none is known: let the user log in first, then report again")
	}
	for i := range events {
		events[i].OpenID = openID
	}
	recorded, err := g.config.Consents.RecordConsents(r.Context(), events)
	if err != nil {
		return err
	}
	answer := reported{ReportID: reportID, Duplicate: true, Consents: make([]consentView, len(recorded))}
	for i, rec := range recorded {
		answer.Duplicate = answer.Duplicate && rec.Result == store.ConsentRepeated
		answer.Released += rec.Released
		answer.Consents[i] = newConsentView(known(catalog, app, events[i].TemplateID), rec.Consent)
		answer.Consents[i].TemplateID = events[i].TemplateID
	}
	result := reportNew
	if answer.Duplicate {
		result = reportDuplicate
	}
	g.people.reports.WithLabelValues(result).Inc()
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// reportID is the id of a report.
func (o *object) reportID() uuid.UUID {
	text := o.required("report_id")
	id, err := uuid.Parse(text)
	if text != "" && (err != nil || len(text) != 36) {
		o.fault("report_id", FieldBadFormat, "must be a UUID, the same when the report is repeated", "0192f0c4-7a1e-7cc3-98c4-dc0c0c07398f")
	}
	return id
}

// results are the answers of a report by template, as the dialog gave them. Its
// errMsg may be among them and says nothing.
func (o *object) results() map[string]store.ConsentAnswer {
	results := map[string]store.ConsentAnswer{}
	if _, there := o.get("results"); !there {
		o.fault("results", FieldRequired, "is required", `{"template id":"accept"}`)
		return results
	}
	list := o.child("results")
	if len(list.fields) > maxResults {
		o.fault("results", FieldTooLong, "must be about no more than 20 templates", "")
		return results
	}
	list.text("errMsg")
	for i := range list.fields {
		name := list.fields[i].name
		if name == "errMsg" {
			continue
		}
		list.key(name, name)
		text := list.text(name)
		answer, ok := consentAnswers[text]
		if !ok {
			list.fault(name, FieldNotInList, "must be one of "+strings.Join(consentWords, ", "), "accept")
		}
		results[name] = answer
	}
	if len(results) == 0 {
		o.fault("results", FieldRequired, "must name a template", `{"template id":"accept"}`)
	}
	list.end()
	return results
}

// wechatID is what WeChat's template ids look like.
var wechatID = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// consentEvents makes events of a report's answers, in the order of the template
// ids. A template may be named by its alias. What looks like an id of WeChat's is
// one, even if no sync has seen it yet: the user was asked for it.
func (g *Gateway) consentEvents(c *call, catalog *template.Catalog, app string, reportID uuid.UUID, results map[string]store.ConsentAnswer) ([]store.ConsentEvent, error) {
	var (
		faults FieldErrors
		events []store.ConsentEvent
		served = g.findApp(app) // nil when a reload took it away under the request
	)
	for name, answer := range results {
		e := store.ConsentEvent{
			App: app, TemplateID: name, Source: store.ConsentClient, Key: reportID.String(), Answer: answer,
			Primary: served == nil || served.ConsentSource != store.ConsentPopup,
		}
		alias := ""
		if t := known(catalog, app, name); t != nil {
			e.TemplateID, alias, e.LongTerm = t.ID, t.Alias, t.Kind == template.KindLongTerm
		} else if _, unknown := catalog.Resolve(app, name); unknown != nil && !wechatID.MatchString(name) {
			f := unknown[0]
			faults = append(faults, FieldError{Field: pointer("/results", name), Code: FieldCode(f.Code), Reason: f.Reason, Example: f.Example})
			continue
		}
		if err := c.mayTemplate(e.TemplateID, alias); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(events, func(o store.ConsentEvent) bool { return o.TemplateID == e.TemplateID }) {
			faults = append(faults, FieldError{Field: pointer("/results", name), Code: FieldDuplicate, Reason: "is there under another name, too"})
		}
		events = append(events, e)
	}
	if len(faults) > 0 {
		return nil, faults.byField()
	}
	slices.SortFunc(events, func(a, b store.ConsentEvent) int { return strings.Compare(a.TemplateID, b.TemplateID) })
	return events, nil
}

// known finds a template of the catalog by id or alias; nil when it has none.
func known(catalog *template.Catalog, app, name string) *template.Template {
	all := catalog.Templates(app)
	i := slices.IndexFunc(all, func(t *template.Template) bool { return t.Alias == name && name != "" })
	if i < 0 {
		i = slices.IndexFunc(all, func(t *template.Template) bool { return t.ID == name })
	}
	if i < 0 {
		return nil
	}
	return all[i]
}

// openIDOf is the user's openid in an app; "" when the user is not bound.
func (g *Gateway) openIDOf(ctx context.Context, app, userID string) (string, error) {
	b, err := g.config.Users.Resolve(ctx, app, userID)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return b.OpenID, err
}

// consentList is what a user allowed in one app.
type consentList struct {
	UserID string        `json:"user_id"`
	App    string        `json:"app"`
	Bound  bool          `json:"bound"` // false: no openid is known, so nothing else is either
	Items  []consentView `json:"items"`
}

// getConsents shows the balances of a user in an app.
func (g *Gateway) getConsents(w http.ResponseWriter, r *http.Request, c *call) error {
	userID, err := pathUser(r)
	if err != nil {
		return err
	}
	q := newQuery(r)
	app := q.text("app")
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
	openID, err := g.openIDOf(r.Context(), app, userID)
	if err != nil {
		return err
	}
	list := consentList{UserID: userID, App: app, Bound: openID != "", Items: []consentView{}}
	if list.Bound {
		consents, err := g.config.Consents.Consents(r.Context(), app, openID)
		if err != nil {
			return err
		}
		for _, entry := range consents {
			t := known(catalog, app, entry.TemplateID)
			alias := ""
			if t != nil {
				alias = t.Alias
			}
			if c.mayTemplate(entry.TemplateID, alias) == nil {
				list.Items = append(list.Items, newConsentView(t, entry))
			}
		}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}
