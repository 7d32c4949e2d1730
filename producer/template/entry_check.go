package template

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// MaxWait is the longest a template may let its notifications wait: a year, which
// is the longest that a notification lives.
const MaxWait = 8760 * time.Hour

// aliasForm keeps aliases apart from WeChat's ids, which have 43 characters, and
// fit for URLs, shells and logs.
var aliasForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,39}$`)

// nameForm is that of readable names: words of any script, which no label that
// WeChat shows could be mistaken for a key.
var nameForm = regexp.MustCompile(`^[\p{L}][\p{L}\p{M}0-9_-]{0,39}$`)

// ValidName reports whether a name may stand for a key: a word of any script
// that does not look like a key of WeChat.
func ValidName(name string) bool {
	return nameForm.MatchString(name) && (typeOf(name) == "" || rules[typeOf(name)].words == "")
}

// EntryFault is one fault of the entries.
type EntryFault struct {
	Index   int    // of the entry
	Key     string // "alias", "fields.applicant"; "" for the entry as a whole
	Problem string
}

// CheckEntries finds every fault of the settings file's entries.
func CheckEntries(entries []Entry) []EntryFault {
	var faults []EntryFault
	type key struct{ app, value string }
	ids, aliases := map[key]bool{}, map[key]bool{}
	for i, e := range entries {
		add := func(at, format string, args ...any) {
			faults = append(faults, EntryFault{Index: i, Key: at, Problem: fmt.Sprintf(format, args...)})
		}
		e.check(add)
		switch id := (key{e.App, e.TemplateID}); {
		case e.TemplateID == "":
		case ids[id]:
			add("template_id", "has an entry for this app already")
		default:
			ids[id] = true
		}
		switch alias := (key{e.App, e.Alias}); {
		case e.Alias == "":
		case aliases[alias]:
			add("alias", "belongs to another template of this app already")
		default:
			aliases[alias] = true
		}
	}
	return faults
}

func (e Entry) check(add func(at, format string, args ...any)) {
	switch {
	case e.TemplateID == "":
		add("template_id", "is required")
	case len(e.TemplateID) > 128:
		add("template_id", "is longer than 128 bytes")
	}
	if e.Alias != "" && !aliasForm.MatchString(e.Alias) {
		add("alias", "must be a letter and up to 39 letters, digits, dots, dashes and underscores")
	}
	e.checkFields(add)
	if err := checkPagePattern(e.Page); err != nil {
		add("page", "%v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Limits)) {
		limit := e.Limits[key]
		switch {
		case !rules[typeOf(key)].undocumented:
			add("limits."+key, "only keys of the types short_thing and const can have another limit")
		case limit < 1 || limit > 100:
			add("limits."+key, "must be 1 to 100 characters")
		}
	}
	e.Policy.check(add)
}

func (e Entry) checkFields(add func(at, format string, args ...any)) {
	names, keys := map[string]bool{}, map[string]string{}
	for _, f := range e.Fields {
		at := "fields." + f.Name
		switch other, twice := keys[f.Key]; {
		case names[f.Name]:
			add(at, "is there twice")
		case !ValidName(f.Name):
			add(at, "must be a word of letters, digits, dashes and underscores that does not look like a key of WeChat")
		case typeOf(f.Key) == "":
			add(at, "must be a key of WeChat, a type and a number such as thing1")
		case twice:
			add(at, "%s has the name %s already", f.Key, other)
		}
		names[f.Name], keys[f.Key] = true, f.Name
	}
}

func (p Policy) check(add func(at, format string, args ...any)) {
	if !oneOf(p.Overlong, OverlongReject, OverlongTruncate) {
		add("overlong", "must be reject or truncate")
	}
	if !oneOf(p.Duplicates, store.DuplicatesAllow, store.DuplicatesAvoid) {
		add("duplicates", "must be allow or avoid")
	}
	if !oneOf(p.NoConsent, NoConsentSend, NoConsentWait, NoConsentDead) {
		add("no_consent", "must be send, wait or dead")
	}
	if !oneOf(p.Release, ReleaseNewest, ReleaseOldest) {
		add("release", "must be newest or oldest")
	}
	if !oneOf(p.Priority, store.Priorities...) {
		add("priority", "must be critical, default or low")
	}
	if p.Wait != nil && (*p.Wait < 0 || *p.Wait > MaxWait || *p.Wait%time.Second != 0) {
		add("wait", "must be whole seconds, at most a year")
	}
	p.QuietHours.check(add)
}

// oneOf also takes the empty choice, which means the default.
func oneOf[T ~string](choice T, choices ...T) bool {
	return choice == "" || slices.Contains(choices, choice)
}
