package store

import (
	"errors"
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

// Same reports whether two descriptions of a template say the same.
func (t Template) Same(o Template) bool {
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
	Errcode  int       // of the last one; 0: none, or WeChat gave no answer
	Problem  string    // of the last one that failed; "" when it succeeded
}

// TemplatesSynced is what saving the templates of a sync changed.
type TemplatesSynced struct {
	Total    int      // templates that WeChat lists
	Added    []string // ids that are new, or were gone
	Changed  []string // ids whose description changed
	Gone     []string // ids that WeChat does not list any more
	Resumed  []string // ids whose pause ended, because WeChat lists them
	Released int      // notifications that had waited for that and are queued
}
