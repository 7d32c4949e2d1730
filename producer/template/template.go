package template

import (
	"regexp"

	"github.com/wxnotify/wxnotify/store"
)

// Kind is how many messages a consent allows.
type Kind string

// The kinds. KindUnknown is that of a template that no sync has seen.
const (
	KindUnknown  Kind = ""
	KindOneTime  Kind = "one_time"
	KindLongTerm Kind = "long_term"
)

// State is what is known about a template.
type State string

// The states.
const (
	StateSynced  State = "synced"  // WeChat lists it
	StateGone    State = "gone"    // WeChat listed it once and does not any more
	StateListed  State = "listed"  // only the settings file names it
	StateUnknown State = "unknown" // nobody named it; it passes where STRICT_TEMPLATES lets it
)

// States lists every state.
var States = []State{StateSynced, StateGone, StateListed, StateUnknown}

// Template is a template with everything that is known about it. It belongs to a
// Catalog and is shared: read it, do not change it.
type Template struct {
	App   string // appid
	ID    string // WeChat's priTmplId
	Alias string // "" for none
	Title string
	Kind  Kind
	State State
	// Paused: its notifications wait until it is resumed.
	Paused bool
	// Fields are its keys in the order in which the user reads them. They are
	// all that there are when State is StateSynced or StateGone.
	Fields []Field
	// Page is the pattern of a page; "" for any. See [Template.CheckPage].
	Page   string
	Policy Policy // with its defaults filled in
	// Quiet are the quiet hours of Policy.
	Quiet store.QuietHours
	// Warning says why this template may be refused by WeChat; "" when nothing
	// speaks for that.
	Warning string

	names index
	pages *regexp.Regexp // of Page; nil for none
}

// Field is one key of a template.
type Field struct {
	Key    string   // WeChat's: thing1
	Type   string   // the key without its number: thing
	Label  string   // what the user reads before the value: 申请人; "" when not known
	Name   string   // the catalog's readable name: applicant; "" for none
	Values []string // the only values there are; nil for any
	// Rule is what a value must look like, in words; "" when the type is not
	// known and anything passes.
	Rule    string
	Example string // a valid value

	limit int // of characters, where the settings file has one; 0: the type's
}

// kindOf is the kind of WeChat's number.
func kindOf(number int) Kind {
	switch number {
	case store.TemplateOneTime:
		return KindOneTime
	case store.TemplateLongTerm:
		return KindLongTerm
	}
	return KindUnknown
}
