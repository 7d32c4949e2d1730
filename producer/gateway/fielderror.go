package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// FieldError is one bad field. It never quotes a value.
type FieldError struct {
	// Field is a JSON Pointer into the body ("/data/thing1"), or the name of a
	// query parameter or header; "" for the body as a whole. A name in it may be
	// the caller's own text: it is for the caller and not for a log.
	Field string `json:"field"`
	// Code is one of FieldCodes or template.Codes.
	Code FieldCode `json:"code"`
	// Reason is the rule in words, as the rest of a sentence that begins with the
	// field.
	Reason string `json:"reason"`
	// Example is a valid value; "" where there is none.
	Example string `json:"example,omitempty"`
}

// FieldErrors is every bad field of one request.
type FieldErrors []FieldError

// FieldCode says which rule a field breaks. The list is closed: it is public in
// answers.
type FieldCode string

// The codes of fields that are not a template's.
const (
	FieldRequired   FieldCode = "required"      // is missing
	FieldUnknown    FieldCode = "unknown_field" // nobody would read it
	FieldDuplicate  FieldCode = "duplicate_key" // is there twice
	FieldWrongType  FieldCode = "wrong_type"    // another JSON type
	FieldTooLong    FieldCode = "too_long"      // or too many
	FieldBadFormat  FieldCode = "bad_format"    // not of the form
	FieldNotInList  FieldCode = "not_in_list"   // not one of the values there are
	FieldOutOfRange FieldCode = "out_of_range"  // too small, too great, too early, too late
	FieldConflict   FieldCode = "conflict"      // does not go with another field
	FieldNotAllowed FieldCode = "not_allowed"   // more than this key may ask for
	FieldInvalid    FieldCode = "invalid"       // breaks another rule, which the reason tells
)

// FieldCodes lists the codes above. Those of a template's fields are
// template.Codes, which answers have, too.
var FieldCodes = []FieldCode{
	FieldRequired, FieldUnknown, FieldDuplicate, FieldWrongType, FieldTooLong, FieldBadFormat, FieldNotInList,
	FieldOutOfRange, FieldConflict, FieldNotAllowed, FieldInvalid,
}

// Error implements error. It names fields only where their names are ours.
func (e FieldErrors) Error() string {
	return fmt.Sprintf("%d bad fields", len(e))
}

// byField puts faults in the order of their fields, whatever the order in which
// they were found.
func (e FieldErrors) byField() FieldErrors {
	slices.SortStableFunc(e, func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) })
	return e
}

// pointerEscape is the escaping of RFC 6901.
var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer is the JSON Pointer to a member of the value at.
func pointer(at, name string) string { return at + "/" + pointerEscape.Replace(name) }
