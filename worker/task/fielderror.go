package task

import (
	"fmt"
	"slices"
	"strings"
)

// FieldError is one bad field. Neither part quotes the value: it may be
// personal.
type FieldError struct {
	Field  string // "template_id", "data.thing1"; "" for the payload as a whole
	Reason string
}

// FieldErrors is every bad field of one payload.
type FieldErrors []FieldError

// maxShown bounds the text of an error: it is stored with the dead letter, and a
// payload can have thousands of bad fields.
const maxShown = 10

// Error implements error.
func (e FieldErrors) Error() string {
	parts := make([]string, 0, maxShown+1)
	for i, f := range e {
		if i == maxShown {
			parts = append(parts, fmt.Sprintf("and %d more", len(e)-i))
			break
		}
		if f.Field == "" {
			parts = append(parts, f.Reason)
			continue
		}
		parts = append(parts, f.Field+" "+f.Reason)
	}
	return strings.Join(parts, "; ")
}

// First is the first bad field's name.
func (e FieldErrors) First() string {
	if len(e) == 0 {
		return ""
	}
	return e[0].Field
}

func (e FieldErrors) sort() {
	slices.SortFunc(e, func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) })
}

// dataField names a data key in an error. A key that does not look like
// WeChat's (letters, digits, underscore) is hostile or personal and not quoted.
func dataField(key string) string {
	if len(key) > 64 {
		return "data"
	}
	for _, r := range key {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return "data"
		}
	}
	return "data." + key
}
