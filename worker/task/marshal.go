package task

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Marshal writes the payload as JSON with data in the short form
// {"thing1":"text"}, its keys in order. It is written by hand, since every task is:
// by reflection it takes as long as everything else there is to a task.
func (p Payload) Marshal() ([]byte, error) {
	w := writer{b: make([]byte, 0, p.guess())}
	w.b = append(w.b, '{')
	if p.ID != uuid.Nil {
		w.field("id", p.ID.String())
	}
	w.field("app", p.App)
	w.field("template_id", p.TemplateID)
	w.field("page", p.Page)
	w.field("user_id", p.UserID)
	w.field("openid", p.OpenID)
	if len(p.Data) > 0 {
		w.name("data")
		w.b = append(w.b, '{')
		for _, k := range slices.Sorted(maps.Keys(p.Data)) {
			w.name(k)
			w.text(p.Data[k])
		}
		w.b = append(w.b, '}')
	}
	w.field("lang", p.Lang)
	w.field("miniprogram_state", p.MiniprogramState)
	return append(w.b, '}'), w.err
}

const (
	// outline is at least what Marshal writes beside the texts, but for what each
	// item of data takes; item is that: quotes, a colon and a comma.
	outline = 200
	item    = 6
	// longestEscape is what a byte becomes at most: \u0000.
	longestEscape = 6
)

// texts is how many bytes the texts have.
func (p Payload) texts() int {
	n := len(p.App) + len(p.TemplateID) + len(p.Page) + len(p.UserID) + len(p.OpenID) + len(p.Lang) + len(p.MiniprogramState)
	for k, v := range p.Data {
		n += len(k) + len(v)
	}
	return n
}

// guess is how long the payload is where nothing has to be escaped, or a little
// less.
func (p Payload) guess() int { return outline + item*len(p.Data) + p.texts() }

// Length is how many bytes Marshal writes; at most MaxPayload are allowed. What is
// below that whatever has to be escaped is not written for it: then it is more than
// the length, and at most MaxPayload.
func (p Payload) Length() (int, error) {
	if most := outline + item*len(p.Data) + longestEscape*p.texts(); most <= MaxPayload {
		return most, nil
	}
	b, err := p.Marshal()
	return len(b), err
}

// writer writes the members of objects.
type writer struct {
	b   []byte
	err error
}

// field is a member that is left out when it is empty.
func (w *writer) field(name, text string) {
	if text != "" {
		w.name(name)
		w.text(text)
	}
}

// name begins a member.
func (w *writer) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.text(name)
	w.b = append(w.b, ':')
}

// text writes a string as encoding/json does, but for <, > and &, whose escaping
// would only lengthen a page's query.
func (w *writer) text(s string) {
	if plain(s) {
		w.b = append(w.b, '"')
		w.b = append(w.b, s...)
		w.b = append(w.b, '"')
		return
	}
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil && w.err == nil {
		w.err = err
	}
	w.b = append(w.b, strings.TrimRight(out.String(), "\n")...)
}

// plain reports whether nothing in s has to be escaped.
func plain(s string) bool {
	for i := range len(s) {
		// 0xE2 begins U+2028 and U+2029, which encoding/json escapes.
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == 0xE2 {
			return false
		}
	}
	return utf8.ValidString(s)
}
