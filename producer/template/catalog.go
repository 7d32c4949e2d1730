package template

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// Strict says what becomes of a notification whose template is not known
// (STRICT_TEMPLATES).
type Strict string

// The choices.
const (
	StrictAuto  Strict = "auto"  // refused once a sync of the app succeeded, else passed with a warning
	StrictTrue  Strict = "true"  // refused
	StrictFalse Strict = "false" // passed with a warning
)

// Contents is what a Catalog is made of.
type Contents struct {
	// Templates, Syncs and Pauses are the store's, of any number of apps.
	Templates []store.Template
	Syncs     []store.TemplateSync
	Pauses    []store.TemplatePause
	// Entries are the settings file's. They must have passed [CheckEntries].
	Entries []Entry
	// Strict is STRICT_TEMPLATES. Default: StrictAuto.
	Strict Strict
}

// Catalog is every template that is known at one moment. It never changes, so it
// is safe for concurrent use.
type Catalog struct {
	strict   Strict
	apps     map[string]*shelf
	warnings []string
}

// shelf is the part of one app.
type shelf struct {
	list     []*Template
	byID     map[string]*Template
	byAlias  map[string]*Template
	syncedAt time.Time // zero: no sync succeeded
}

// NewCatalog makes a Catalog.
func NewCatalog(c Contents) *Catalog {
	if c.Strict == "" {
		c.Strict = StrictAuto
	}
	made := &Catalog{strict: c.Strict, apps: map[string]*shelf{}}
	for _, sync := range c.Syncs {
		made.shelf(sync.App).syncedAt = sync.SyncedAt
	}
	for _, synced := range c.Templates {
		made.addSynced(synced)
	}
	for _, e := range c.Entries {
		made.addEntry(e)
	}
	for _, p := range c.Pauses {
		if t := made.shelf(p.App).byID[p.TemplateID]; t != nil {
			t.Paused = true
		}
	}
	for _, s := range made.apps {
		for _, t := range s.list {
			made.finish(s, t)
		}
		slices.SortFunc(s.list, func(a, b *Template) int {
			if d := strings.Compare(a.Title, b.Title); d != 0 {
				return d
			}
			return strings.Compare(a.ID, b.ID)
		})
	}
	slices.Sort(made.warnings)
	return made
}

func (c *Catalog) shelf(app string) *shelf {
	s := c.apps[app]
	if s == nil {
		s = &shelf{byID: map[string]*Template{}, byAlias: map[string]*Template{}}
		c.apps[app] = s
	}
	return s
}

// addSynced adds what WeChat listed.
func (c *Catalog) addSynced(synced store.Template) {
	s := c.shelf(synced.App)
	t := &Template{App: synced.App, ID: synced.TemplateID, Title: synced.Title, Kind: kindOf(synced.Type), State: StateSynced}
	if !synced.GoneAt.IsZero() {
		t.State = StateGone
	}
	examples := readExamples(synced)
	for _, k := range synced.Keys {
		f := newField(k.Key, k.Values)
		f.Label = k.Label
		if text := examples[k.Label]; text != "" && f.fault(text) == nil {
			f.Example = text
		}
		t.Fields = append(t.Fields, f)
	}
	s.list = append(s.list, t)
	s.byID[t.ID] = t
}

// addEntry adds what the settings file says.
func (c *Catalog) addEntry(e Entry) {
	s := c.shelf(e.App)
	t := s.byID[e.TemplateID]
	if t == nil {
		t = &Template{App: e.App, ID: e.TemplateID, State: StateListed}
		s.list = append(s.list, t)
		s.byID[t.ID] = t
	}
	if t.Title == "" {
		t.Title = e.Title
	}
	t.Alias, t.Page, t.Policy = e.Alias, e.Page, e.Policy
	if t.Alias != "" {
		s.byAlias[t.Alias] = t
	}
	for _, named := range e.Fields {
		i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Key == named.Key })
		switch {
		case i >= 0:
			t.Fields[i].Name = named.Name
		case t.State == StateListed:
			f := newField(named.Key, nil)
			f.Name = named.Name
			t.Fields = append(t.Fields, f)
		default:
			c.warnings = append(c.warnings, fmt.Sprintf("template %s: %s stands for %s, which WeChat's template does not have",
				t.called(), named.Name, named.Key))
		}
	}
	for i := range t.Fields {
		if limit := e.Limits[t.Fields[i].Key]; limit > 0 {
			t.Fields[i].limit = limit
			t.Fields[i].describe()
		}
	}
}

// finish fills in what follows from the rest.
func (c *Catalog) finish(s *shelf, t *Template) {
	t.Policy = t.Policy.filled(t.Kind)
	t.Quiet = t.Policy.QuietHours.Hours()
	t.index()
	if t.Page = strings.TrimLeft(t.Page, "/"); t.Page != "" {
		t.pages = pageMatcher(t.Page)
	}
	switch {
	case t.State == StateGone:
		t.Warning = "WeChat does not list this template any more"
	case t.State == StateListed && !s.syncedAt.IsZero():
		t.Warning = "the settings file names this template, but WeChat does not list it"
	case t.State == StateListed:
		t.Warning = "only the settings file names this template; no sync has seen it yet"
	}
	if t.Warning != "" {
		c.warnings = append(c.warnings, "template "+t.called()+": "+t.Warning)
	}
}

// called is the alias, or the id.
func (t *Template) called() string {
	if t.Alias != "" {
		return t.Alias
	}
	return t.ID
}

// Resolve finds a template of an app by its id or its alias. The Template is nil
// when the FieldErrors are not: the template is not known, or WeChat does not
// list it any more, and Strict refuses that. One that is let through all the
// same has a Warning, and one that nobody knows has no fields: its data is
// checked by the types of the keys alone.
func (c *Catalog) Resolve(app, idOrAlias string) (*Template, FieldErrors) {
	if strings.TrimSpace(idOrAlias) == "" {
		return nil, FieldErrors{{Field: templatePointer, Code: CodeRequired, Reason: "is required"}}
	}
	s := c.apps[app]
	if s == nil {
		s = &shelf{}
	}
	t := s.byAlias[idOrAlias]
	if t == nil {
		t = s.byID[idOrAlias]
	}
	strict := c.strict == StrictTrue || c.strict == StrictAuto && !s.syncedAt.IsZero()
	switch {
	case t == nil && strict:
		return nil, FieldErrors{{
			Field: templatePointer, Code: CodeUnknownTemplate,
			Reason: "is neither the id nor the alias of a template of this app; a new one is known after 'wxnotify templates sync'", Example: s.example(),
		}}
	case t == nil:
		t = &Template{
			App: app, ID: idOrAlias, State: StateUnknown,
			Warning: "this template is not known: it was never synced and the settings file does not name it",
		}
		t.Policy = t.Policy.filled(KindUnknown)
		return t, nil
	case strict && (t.State == StateGone || t.State == StateListed && !s.syncedAt.IsZero()):
		return nil, FieldErrors{{
			Field: templatePointer, Code: CodeTemplateGone,
			Reason: "is not among the templates that WeChat lists for this app", Example: s.example(),
		}}
	}
	return t, nil
}

const templatePointer = "/template_id"

// example is a template that can be sent; "" when there is none.
func (s *shelf) example() string {
	for _, t := range s.list {
		if t.State == StateSynced {
			return t.called()
		}
	}
	return ""
}

// Templates lists the templates of an app by title; those of every app for "".
func (c *Catalog) Templates(app string) []*Template {
	if s := c.apps[app]; app != "" {
		if s == nil {
			return nil
		}
		return slices.Clone(s.list)
	}
	var all []*Template
	for _, s := range c.apps {
		all = append(all, s.list...)
	}
	slices.SortStableFunc(all, func(a, b *Template) int { return strings.Compare(a.App, b.App) })
	return all
}

// SyncedAt is when the last sync of an app's templates succeeded; zero: none did.
func (c *Catalog) SyncedAt(app string) time.Time {
	if s := c.apps[app]; s != nil {
		return s.syncedAt
	}
	return time.Time{}
}

// Warnings are sentences about what in the settings file does not agree with
// what WeChat lists.
func (c *Catalog) Warnings() []string { return slices.Clone(c.warnings) }
