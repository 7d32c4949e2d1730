package gateway

import (
	"context"
	"net/http"

	"github.com/wxnotify/wxnotify/producer/template"
)

// Catalog gives the current catalog of templates; *template.Source does.
type Catalog interface {
	Catalog(ctx context.Context) (*template.Catalog, error)
}

// templateState says in one word whether a template can be sent.
type templateState string

// The states. A template that WeChat does not list any more is gone also when it
// is paused.
const (
	templateOK      templateState = "ok"
	templatePaused  templateState = "paused"  // its notifications wait until it is resumed
	templateGone    templateState = "gone"    // WeChat does not list it any more
	templateUnknown templateState = "unknown" // only the settings file names it
)

// templateStates lists every state.
var templateStates = []templateState{templateOK, templatePaused, templateGone, templateUnknown}

// templateView is a template as it is answered.
type templateView struct {
	App        string          `json:"app"`
	TemplateID string          `json:"template_id"`
	Alias      string          `json:"alias,omitempty"`
	Title      string          `json:"title,omitempty"`
	Kind       template.Kind   `json:"kind,omitempty"` // one_time or long_term; absent when no sync has seen it
	State      templateState   `json:"state"`
	Page       string          `json:"page,omitempty"` // the pattern that a page must have
	Fields     []templateField `json:"fields"`
	Policy     templatePolicy  `json:"policy"`
	Warning    string          `json:"warning,omitempty"`
}

type templateField struct {
	Key     string   `json:"key"`
	Type    string   `json:"type"`
	Label   string   `json:"label,omitempty"`
	Name    string   `json:"name,omitempty"`
	Rule    string   `json:"rule,omitempty"`
	Example string   `json:"example,omitempty"`
	Values  []string `json:"values,omitempty"`
}

type templatePolicy struct {
	Overlong   template.Overlong  `json:"overlong"`
	Duplicates string             `json:"duplicates"`
	NoConsent  template.NoConsent `json:"no_consent"`
	Release    template.Release   `json:"release"`
	Priority   string             `json:"priority"`
	Wait       *int64             `json:"wait,omitempty"` // seconds; absent when the template does not say
	QuietHours *quietHours        `json:"quiet_hours,omitempty"`
}

// quietHours are when nothing of a template is sent.
type quietHours struct {
	From     string                 `json:"from"`
	To       string                 `json:"to"`
	Zone     string                 `json:"zone"`
	Critical template.QuietCritical `json:"critical"`
}

func newTemplateView(t *template.Template) templateView {
	v := templateView{
		App: t.App, TemplateID: t.ID, Alias: t.Alias, Title: t.Title, Kind: t.Kind, State: stateOf(t),
		Page: t.Page, Fields: []templateField{}, Warning: t.Warning,
		Policy: templatePolicy{
			Overlong: t.Policy.Overlong, Duplicates: string(t.Policy.Duplicates), NoConsent: t.Policy.NoConsent,
			Release: t.Policy.Release, Priority: string(t.Policy.Priority),
		},
	}
	if t.Policy.Wait != nil {
		seconds := int64(t.Policy.Wait.Seconds())
		v.Policy.Wait = &seconds
	}
	if q := t.Policy.QuietHours; !q.IsZero() {
		v.Policy.QuietHours = &quietHours{From: q.From, To: q.To, Zone: q.Zone, Critical: q.Critical}
	}
	for _, f := range t.Fields {
		v.Fields = append(v.Fields, templateField{
			Key: f.Key, Type: f.Type, Label: f.Label, Name: f.Name, Rule: f.Rule, Example: f.Example, Values: f.Values,
		})
	}
	return v
}

func stateOf(t *template.Template) templateState {
	switch {
	case t.State == template.StateGone:
		return templateGone
	case t.Paused:
		return templatePaused
	case t.State == template.StateSynced:
		return templateOK
	}
	return templateUnknown
}

// getTemplates lists the templates that the caller may use, in one page: an app
// has some fifty.
func (g *Gateway) getTemplates(w http.ResponseWriter, r *http.Request, c *call) error {
	q := newQuery(r)
	app := q.text("app")
	if err := q.done(); err != nil {
		return err
	}
	if app != "" {
		var err error
		if app, err = g.queryApp(c, app); err != nil {
			return err
		}
	}
	catalog, err := g.config.Catalog.Catalog(r.Context())
	if err != nil {
		return err
	}
	list := page[templateView]{Items: []templateView{}}
	for _, t := range catalog.Templates(app) {
		if g.serves(t.App) && c.mayApp(t.App) == nil && c.mayTemplate(t.ID, t.Alias) == nil {
			list.Items = append(list.Items, newTemplateView(t))
		}
	}
	writeJSON(w, http.StatusOK, list)
	return nil
}
