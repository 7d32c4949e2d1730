package template

import (
	"fmt"
	"strings"
)

// Code says which rule a field breaks. The list is closed: it is public in the
// door's answers.
type Code string

// The codes.
const (
	CodeRequired         Code = "required"          // the field is missing
	CodeEmpty            Code = "empty"             // nothing but blanks
	CodeUnknownTemplate  Code = "unknown_template"  // neither an id nor an alias of the app
	CodeTemplateGone     Code = "template_gone"     // WeChat does not list it any more
	CodeUnknownKey       Code = "unknown_key"       // the template has no such field
	CodeAmbiguousKey     Code = "ambiguous_key"     // a label of more than one field
	CodeDuplicateKey     Code = "duplicate_key"     // the field is there under another name, too
	CodeWrongType        Code = "wrong_type"        // not a string or a number
	CodeTooLong          Code = "too_long"          // more characters than the type allows
	CodeBadFormat        Code = "bad_format"        // not of the form that the type asks for
	CodeControlCharacter Code = "control_character" // a newline, a tab, or another control character
	CodeNotInList        Code = "not_in_list"       // not one of the template's values
	CodeBadPage          Code = "bad_page"          // not of the template's page pattern
)

// Codes lists every code.
var Codes = []Code{
	CodeRequired, CodeEmpty, CodeUnknownTemplate, CodeTemplateGone, CodeUnknownKey, CodeAmbiguousKey,
	CodeDuplicateKey, CodeWrongType, CodeTooLong, CodeBadFormat, CodeControlCharacter, CodeNotInList, CodeBadPage,
}

// FieldError is one bad field. It never quotes a value.
type FieldError struct {
	// Field is a JSON Pointer into the notification, with the key as the caller
	// wrote it: "/data/申请人". An unknown key may be somebody's text: show Field to
	// the caller only.
	Field string `json:"field"`
	Code  Code   `json:"code"`
	// Reason is the rule in words, as the rest of a sentence that begins with the
	// field.
	Reason string `json:"reason"`
	// Example is a valid value; "" where there is none.
	Example string `json:"example,omitempty"`

	// key is WeChat's key, the part of Field that may be logged; "" for a field
	// that the template does not have.
	key string
}

// FieldErrors is every bad field of one notification. An empty one is no error.
type FieldErrors []FieldError

// maxShown bounds the text of an error.
const maxShown = 10

// Error implements error. It names fields by WeChat's keys only, so that it may
// be logged.
func (e FieldErrors) Error() string {
	parts := make([]string, 0, maxShown+1)
	for i, f := range e {
		if i == maxShown {
			parts = append(parts, fmt.Sprintf("and %d more", len(e)-i))
			break
		}
		parts = append(parts, f.loggable()+" "+f.Reason)
	}
	return strings.Join(parts, "; ")
}

func (f FieldError) loggable() string {
	switch {
	case f.key != "":
		return "data." + f.key
	case strings.HasPrefix(f.Field, dataPointer):
		return "data"
	}
	return strings.TrimPrefix(f.Field, "/")
}

const dataPointer = "/data/"

// pointerEscape is the escaping of RFC 6901.
var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is the JSON Pointer to a member of data.
func pointer(name string) string { return dataPointer + pointerEscape.Replace(name) }
