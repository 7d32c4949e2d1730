package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// fields are the members of an answer's object as they stand in it: names as they
// are, for encoding/json would take "ErrCode" for "errcode", and values that were
// not read yet. They are views of the answer. An object without members is not nil.
type fields []field

type field struct {
	name  []byte
	value json.RawMessage
}

// errNoObject says that a text is not one JSON object.
var errNoObject = errors.New("not a JSON object")

// UnmarshalJSON implements json.Unmarshaler.
func (f *fields) UnmarshalJSON(doc []byte) error {
	read, ok := readFields(doc)
	if !ok {
		return errNoObject
	}
	*f = read
	return nil
}

// readFields lists the members of the object that doc is. What json.Valid has
// seen needs no second look: only the ends of the values are searched.
func readFields(doc []byte) (fields, bool) {
	doc = bytes.Trim(doc, jsonSpace)
	if len(doc) == 0 || doc[0] != '{' || !json.Valid(doc) {
		return nil, false
	}
	f := make(fields, 0, 4) // errcode, errmsg, msgid, and perhaps rid
	rest := bytes.TrimLeft(doc[1:len(doc)-1], jsonSpace)
	for len(rest) > 0 {
		end := valueEnd(rest)
		name, after := rest[:end], bytes.TrimLeft(rest[end:], jsonSpace)
		value := bytes.TrimLeft(after[1:], jsonSpace) // after the colon
		end = valueEnd(value)
		f = append(f, field{name: memberName(name), value: json.RawMessage(value[:end])})
		rest = bytes.TrimLeft(value[end:], jsonSpace)
		if len(rest) > 0 {
			rest = bytes.TrimLeft(rest[1:], jsonSpace) // after the comma
		}
	}
	return f, true
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

// get is the value of a member, the last of several; nil when there is none.
func (f fields) get(name string) json.RawMessage {
	for _, m := range slices.Backward(f) {
		if string(m.name) == name {
			return m.value
		}
	}
	return nil
}

// text returns a member that has to be a string; "" when it is none.
func (f fields) text(name string) string {
	raw := f.get(name)
	if !present(raw) || raw[0] != '"' {
		return "" // no string is no text
	}
	if plain := raw[1 : len(raw)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
		return string(plain)
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it is valid
	return s
}
