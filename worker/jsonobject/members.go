// Package jsonobject reads the members of one JSON object where they stand: which
// there are, and the few that somebody wants. What is in a value it leaves to
// encoding/json. It is for what comes with every message, where a map of copies of
// everything would cost more than all that is done with it.
package jsonobject

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// Members are the members of an object in its order: names as they are, for
// encoding/json would take "ErrCode" for "errcode", and values that were not read
// yet. They are views of the text, which must not change. Those of an object
// without any are not nil.
type Members []Member

// Member is one of them.
type Member struct {
	name  []byte
	value json.RawMessage
}

// errNoObject says that a text is not one JSON object.
var errNoObject = errors.New("not a JSON object")

// UnmarshalJSON implements json.Unmarshaler.
func (m *Members) UnmarshalJSON(doc []byte) error {
	// The decoder's text is its own only until it returns.
	read, ok := Read(bytes.Clone(doc))
	if !ok {
		return errNoObject
	}
	*m = read
	return nil
}

// Read lists the members of the object that doc is; ok is false when it is
// anything else. What json.Valid has seen needs no second look: only the ends of
// the values are searched.
func Read(doc []byte) (m Members, ok bool) {
	doc = bytes.Trim(doc, jsonSpace)
	if len(doc) == 0 || doc[0] != '{' || !json.Valid(doc) {
		return nil, false
	}
	m = make(Members, 0, 8)
	rest := bytes.TrimLeft(doc[1:len(doc)-1], jsonSpace)
	for len(rest) > 0 {
		end := valueEnd(rest)
		name, after := rest[:end], bytes.TrimLeft(rest[end:], jsonSpace)
		value := bytes.TrimLeft(after[1:], jsonSpace) // after the colon
		end = valueEnd(value)
		m = append(m, Member{name: memberName(name), value: json.RawMessage(value[:end])})
		rest = bytes.TrimLeft(value[end:], jsonSpace)
		if len(rest) > 0 {
			rest = bytes.TrimLeft(rest[1:], jsonSpace) // after the comma
		}
	}
	return m, true
}

// jsonSpace is what may stand between the tokens of JSON.
const jsonSpace = " \t\r\n"

// memberName is what stands between the quotes.
func memberName(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var name string
	_ = json.Unmarshal(quoted, &name) // it is valid
	return []byte(name)
}

// valueEnd is where the value ends that valid JSON begins with.
func valueEnd(b []byte) int {
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
	default:
		if end := bytes.IndexAny(b, ",]}"+jsonSpace); end >= 0 {
			return end
		}
		return len(b)
	}
	for i, depth := 0, 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i += stringEnd(b[i:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// stringEnd is where the string ends that valid JSON begins with.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// Get is the value of a member, the last of several; nil when there is none.
func (m Members) Get(name string) json.RawMessage {
	for _, one := range slices.Backward(m) {
		if string(one.name) == name {
			return one.value
		}
	}
	return nil
}

// Text is a member that has to be a string; "" when it is none.
func (m Members) Text(name string) string {
	raw := m.Get(name)
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	if plain := raw[1 : len(raw)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain)
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it is valid
	return s
}
