package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// encoding/json takes the last of two members with one name, cannot tell which
// fields nobody read, and rounds numbers. A request that says two things, or
// something that is not heard, has to be refused, so bodies are read into values
// that know their text and their place.

// maxDepth is how deep values may lie in each other. The deepest that a request
// needs is 5: the value of data in a notification of a batch.
const maxDepth = 16

var (
	errNotJSON = errors.New("is not JSON")
	errTooDeep = errors.New("has values that lie too deep in each other")
	errNotUTF8 = errors.New("is not UTF-8")
)

// kind is the type of a JSON value.
type kind byte

const (
	kindNull kind = iota // also what is not there
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
)

// value is one JSON value.
type value struct {
	kind    kind
	raw     []byte // its text
	members []member
	items   []value
}

// member is a named value of an object.
type member struct {
	name string
	value
}

// parse reads one JSON text. Its memory is a few times that of b.
func parse(b []byte) (value, error) {
	switch {
	case !utf8.Valid(b):
		return value{}, errNotUTF8
	case !json.Valid(b):
		return value{}, notJSON(b)
	}
	s := scanner{text: b}
	v := s.value(0)
	return v, s.err
}

// notJSON says where b stops being JSON, and not what stands there: that is the
// caller's text.
func notJSON(b []byte) error {
	var raw json.RawMessage
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(b, &raw))
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return fmt.Errorf("%w: it is empty", errNotJSON)
	case !ok || syntax.Offset < 1 || strings.HasPrefix(syntax.Error(), "unexpected end"):
		return fmt.Errorf("%w: it ends too early", errNotJSON)
	}
	before := b[:syntax.Offset-1]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])
	if !bytes.Contains(bytes.TrimSpace(b), []byte("\n")) { // perhaps itself a line of a file
		return fmt.Errorf("%w: column %d", errNotJSON, column)
	}
	return fmt.Errorf("%w: line %d, column %d", errNotJSON, line, column)
}

// scanner reads text that is known to be valid.
type scanner struct {
	text []byte
	at   int
	err  error
}

func (s *scanner) blank() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// value reads one value; depth is how many it lies in.
func (s *scanner) value(depth int) value {
	if depth > maxDepth {
		s.err = errTooDeep
	}
	if s.err != nil {
		return value{}
	}
	s.blank()
	from := s.at
	v := value{}
	switch s.text[s.at] {
	case '{':
		v.kind = kindObject
		s.list('}', func() {
			name := unquote(s.token())
			s.blank()
			s.at++ // the colon
			v.members = append(v.members, member{name, s.value(depth + 1)})
		})
	case '[':
		v.kind = kindArray
		s.list(']', func() { v.items = append(v.items, s.value(depth+1)) })
	case '"':
		v.kind = kindString
		s.token()
	case 't', 'f':
		v.kind = kindBool
		s.token()
	case 'n':
		s.token()
	default:
		v.kind = kindNumber
		s.token()
	}
	v.raw = s.text[from:s.at]
	return v
}

// list reads what stands between brackets.
func (s *scanner) list(end byte, item func()) {
	s.at++
	for s.blank(); s.err == nil && s.text[s.at] != end; s.blank() {
		if s.text[s.at] == ',' {
			s.at++
			s.blank()
		}
		item()
	}
	s.at++
}

// token reads a string, a number or a word.
func (s *scanner) token() []byte {
	from := s.at
	if s.text[s.at] == '"' {
		for s.at++; s.text[s.at] != '"'; s.at++ {
			if s.text[s.at] == '\\' {
				s.at++
			}
		}
		s.at++
		return s.text[from:s.at]
	}
	for s.at < len(s.text) && !bytes.ContainsRune([]byte(" \t\r\n,]}"), rune(s.text[s.at])) {
		s.at++
	}
	return s.text[from:s.at]
}

// unquote is the text of a JSON string. Half of a surrogate pair, which no
// database holds, becomes U+FFFD.
func unquote(raw []byte) string {
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return "" // it was valid before
	}
	return text
}
