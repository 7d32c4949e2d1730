package simulator

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// validJSON reports whether body is one JSON value in valid UTF-8, which
// encoding/json alone does not insist on.
func validJSON(body []byte) bool { return utf8.Valid(body) && json.Valid(body) }

// eachMember calls f for every member of the object in raw, in its order, and
// reports whether raw is an object. raw must be valid JSON. Decoding into a
// struct is not used because it matches names without regard to case, which
// WeChat does not, and forgets the order.
func eachMember(raw []byte, f func(name string, value []byte)) bool {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 || raw[0] != '{' {
		return false
	}
	i := 1
	for {
		i = skip(raw, i, " \t\r\n,")
		if raw[i] == '}' {
			return true
		}
		end := valueEnd(raw, i)
		name, _ := stringValue(raw[i:end])
		i = skip(raw, end, " \t\r\n:")
		end = valueEnd(raw, i)
		f(name, raw[i:end])
		i = end
	}
}

func skip(raw []byte, i int, chars string) int {
	for i < len(raw) && strings.IndexByte(chars, raw[i]) >= 0 {
		i++
	}
	return i
}

// valueEnd returns the index after the value that begins at i.
func valueEnd(raw []byte, i int) int {
	depth := 0
	for ; i < len(raw); i++ {
		switch c := raw[i]; c {
		case '"':
			i = stringEnd(raw, i) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth == 0 {
				return i + 1
			}
			if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// stringValue decodes raw if it is a JSON string.
func stringValue(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}
