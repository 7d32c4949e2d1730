package store

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// The types of a template, as WeChat numbers them.
const (
	TemplateOneTime  = 2 // one message for each consent
	TemplateLongTerm = 3 // any number of messages after one consent
)

// Template is one of an app's templates as WeChat described it. What a sync does
// not find any more is kept and marked gone.
type Template struct {
	App        string
	TemplateID string
	Title      string
	Content    string // the text with its keys, such as "申请人:{{thing1.DATA}}\n"
	Example    string
	Type       int           // TemplateOneTime, TemplateLongTerm, or a number that came later
	Keys       []TemplateKey // in the order of Content

	SyncedAt time.Time // of the last sync that found it; given by the store
	GoneAt   time.Time // of the first sync that did not find it any more; zero: it is there
}

// TemplateKey is one field of a template.
type TemplateKey struct {
	Key    string   `json:"key"`              // "thing1"
	Label  string   `json:"label,omitempty"`  // "申请人"; may be empty
	Values []string `json:"values,omitempty"` // the only values there are; nil: no such list
}

// same reports whether two descriptions of a template say the same.
func (t Template) same(o Template) bool {
	return t.App == o.App && t.TemplateID == o.TemplateID && t.Title == o.Title && t.Content == o.Content &&
		t.Example == o.Example && t.Type == o.Type &&
		slices.EqualFunc(t.Keys, o.Keys, func(a, b TemplateKey) bool {
			return a.Key == b.Key && a.Label == b.Label && slices.Equal(a.Values, b.Values)
		})
}

// Check reports what is wrong with a description. Its error names the field and
// not the value.
func (t Template) Check() error {
	if t.App == "" || t.TemplateID == "" {
		return errors.New("a template needs an app and an id")
	}
	if err := checkKey("app", t.App, "template_id", t.TemplateID); err != nil {
		return err
	}
	for _, k := range t.Keys {
		if k.Key == "" {
			return errors.New("a template's key is empty")
		}
		if err := checkText("key", k.Key, "label", k.Label); err != nil {
			return err
		}
		for _, v := range k.Values {
			if err := checkText("value", v); err != nil {
				return err
			}
		}
	}
	return checkText("title", t.Title, "content", t.Content, "example", t.Example)
}

// TemplateSync is how the syncs of an app's templates went.
type TemplateSync struct {
	App      string
	SyncedAt time.Time // of the last one that succeeded; zero: none did
	TriedAt  time.Time // of the last one that began
	NextAt   time.Time // none begins by itself before this
	Errcode  int       // of the last one; 0: it succeeded, or WeChat gave no answer
	Problem  string    // of the last one that failed; "" when it succeeded
}

// TemplateList is what a sync got from WeChat.
type TemplateList struct {
	App       string
	Templates []Template // all that WeChat lists, of this app
	// Began is the sync's beginning, by the database's clock: a pause that is
	// younger is not over, because the list may be older.
	Began time.Time
	// Next is when the next sync may begin by itself, from now on.
	Next time.Duration
	// ResumeAll also ends the pauses of banned templates: that WeChat lists a
	// template disproves only ErrcodeNoTemplate. It is for a person's sync.
	ResumeAll bool
}

// LongTerm are the ids of the long-term templates of the list.
func (l TemplateList) LongTerm() (ids []string) {
	for _, t := range l.Templates {
		if t.Type == TemplateLongTerm {
			ids = append(ids, t.TemplateID)
		}
	}
	return ids
}

// ErrcodeNoTemplate is WeChat's "invalid template_id".
const ErrcodeNoTemplate = 40037

// Check reports what is wrong with the list: a description, or a template that is
// there twice or of another app.
func (l TemplateList) Check() error {
	if l.App == "" {
		return errors.New("a list of templates needs an app")
	}
	seen := make(map[string]bool, len(l.Templates))
	for _, t := range l.Templates {
		if err := t.Check(); err != nil {
			return err
		}
		if t.App != l.App || seen[t.TemplateID] {
			return errors.New("a template is of another app, or there twice")
		}
		seen[t.TemplateID] = true
	}
	return nil
}

// TemplatesSynced is what saving a list changed; the ids are sorted.
type TemplatesSynced struct {
	Total    int      // templates that WeChat lists
	Added    []string // new, or back
	Changed  []string // another description
	Gone     []string // not listed any more
	Resumed  []string // their pause is over
	Released int      // notifications that had waited for that and are queued
}

// CompareTemplates tells what a list adds to, changes in and takes away from what
// is stored of the app.
func CompareTemplates(stored []Template, list TemplateList) TemplatesSynced {
	known := make(map[string]Template, len(stored))
	for _, t := range stored {
		if t.GoneAt.IsZero() {
			known[t.TemplateID] = t
		}
	}
	synced := TemplatesSynced{Total: len(list.Templates)}
	for _, t := range list.Templates {
		switch before, there := known[t.TemplateID]; {
		case !there:
			synced.Added = append(synced.Added, t.TemplateID)
		case !t.same(before):
			synced.Changed = append(synced.Changed, t.TemplateID)
		}
		delete(known, t.TemplateID)
	}
	synced.Gone = slices.Sorted(maps.Keys(known))
	slices.Sort(synced.Added)
	slices.Sort(synced.Changed)
	return synced
}

// Resumes lists the pauses that are over with this list, sorted by template.
func (l TemplateList) Resumes(pauses []TemplatePause) []string {
	var over []string
	for _, p := range pauses {
		listed := slices.ContainsFunc(l.Templates, func(t Template) bool { return t.TemplateID == p.TemplateID })
		if p.App == l.App && listed && p.Since.Before(l.Began) && (l.ResumeAll || p.Errcode == ErrcodeNoTemplate) {
			over = append(over, p.TemplateID)
		}
	}
	slices.Sort(over)
	return over
}
