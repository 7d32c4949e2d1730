package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/store"
)

// The number of items of a page.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// page is a part of a list, as it is answered.
type page[T any] struct {
	Items []T `json:"items"`
	// NextCursor is where the next one begins; nil in the last.
	NextCursor *string `json:"next_cursor"`
}

// query reads the parameters of a request's query and collects everything that
// is wrong with them, as object does for a body.
type query struct {
	values url.Values
	asked  map[string]bool
	faults FieldErrors
}

// newQuery reads the query of a request.
func newQuery(r *http.Request) *query {
	q := &query{asked: map[string]bool{}}
	var err error
	if q.values, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		q.faults = append(q.faults, FieldError{Code: FieldBadFormat, Reason: "the query cannot be read"})
	}
	return q
}

func (q *query) fault(name string, code FieldCode, reason, example string) {
	q.faults = append(q.faults, FieldError{Field: name, Code: code, Reason: reason, Example: example})
}

// text is a parameter; "" when it is absent or empty. No database holds what is
// not text.
func (q *query) text(name string) string {
	q.asked[name] = true
	if len(q.values[name]) > 1 {
		q.fault(name, FieldDuplicate, "is there twice", "")
	}
	text := q.values.Get(name)
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		q.fault(name, FieldBadFormat, "must be text without NUL characters", "")
		return ""
	}
	return text
}

// word is a parameter that has to be one of a closed list.
func word[T ~string](q *query, name string, words []T) T {
	w := T(q.text(name))
	if w != "" && !slices.Contains(words, w) {
		q.fault(name, FieldNotInList, "must be one of "+joined(words), string(words[0]))
	}
	return w
}

// joined lists the words of a closed list.
func joined[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// number is a parameter between least and most, or def.
func (q *query) number(name string, def, least, most int) int {
	text := q.text(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		q.fault(name, FieldOutOfRange, "must be an integer from "+strconv.Itoa(least)+" to "+strconv.Itoa(most), strconv.Itoa(def))
		return def
	}
	return n
}

// moment is an RFC 3339 time with an offset; zero when there is none.
func (q *query) moment(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	// A + that was not escaped is a blank in a query.
	t, err := parseTime(strings.ReplaceAll(text, " ", "+"))
	if err != nil {
		q.fault(name, FieldBadFormat, "must be a time with an offset", timeExample)
	}
	return t
}

// flag is true or false; false when it is absent.
func (q *query) flag(name string) bool {
	switch text := q.text(name); text {
	case "", "false":
		return false
	case "true":
		return true
	}
	q.fault(name, FieldWrongType, "must be true or false", "true")
	return false
}

// limit is the number of items of a page.
func (q *query) limit() int { return q.number("limit", defaultLimit, 1, maxLimit) }

// cursor is where a page begins.
func (q *query) cursor() store.Cursor {
	c, err := store.ParseCursor(q.text("cursor"))
	if err != nil {
		q.fault("cursor", FieldBadFormat, "must be the next_cursor of another page", "")
	}
	return c
}

// done ends the reading: the error is a FieldErrors that names every bad
// parameter, or nil.
func (q *query) done() error {
	for name := range q.values {
		if !q.asked[name] {
			q.fault(name, FieldUnknown, "is not a parameter here", "")
		}
	}
	if len(q.faults) == 0 {
		return nil
	}
	return q.faults.byField()
}

// timestamp is a time of an answer: UTC with milliseconds. nil for none.
func timestamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format("2006-01-02T15:04:05.000Z")
	return &text
}

// bytesText is a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
