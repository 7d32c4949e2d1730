package simulator

import (
	"errors"
	"regexp"
	"strings"
)

// Template is one entry of the app's "my templates", as gettemplate shows it.
type Template struct {
	PriTmplID string
	Title     string
	// Content has one line for each field: "申请人:{{thing1.DATA}}\n".
	Content string
	Example string
	// Type is TypeOneTime or TypeLongTerm.
	Type int
	// Enums lists the values allowed for keys such as enum_string2. A key of
	// that type without a list takes any value.
	Enums map[string][]string
}

// The template types of gettemplate.
const (
	TypeOneTime  = 2
	TypeLongTerm = 3
)

// Field is one line of a template's content.
type Field struct {
	// Key is the name in data, such as thing1.
	Key string
	// Label is what the user reads before the value, such as 申请人.
	Label string
	// Type is the key without its number: thing, character_string, enum_string.
	Type string
}

var fieldPattern = regexp.MustCompile(`\{\{([A-Za-z_]+\d+)\.DATA\}\}`)

// Fields returns the template's fields in the order of its content.
func (t Template) Fields() []Field {
	var fields []Field
	for line := range strings.Lines(t.Content) {
		m := fieldPattern.FindStringSubmatchIndex(line)
		if m == nil {
			continue
		}
		key := line[m[2]:m[3]]
		fields = append(fields, Field{
			Key:   key,
			Label: strings.TrimRight(strings.TrimSpace(line[:m[0]]), ":： "),
			Type:  strings.TrimRight(key, "0123456789"),
		})
	}
	return fields
}

func (t Template) check() error {
	switch {
	case t.PriTmplID == "":
		return errors.New("no PriTmplID")
	case t.Type != TypeOneTime && t.Type != TypeLongTerm:
		return errors.New("the type must be 2 (one-time) or 3 (long-term)")
	case len(t.Fields()) == 0:
		return errors.New("the content has no field of the form {{thing1.DATA}}")
	}
	return nil
}

// templateState is a template of an app with what scripting may change. Only
// banned changes, under Simulator.mu.
type templateState struct {
	Template
	fields []Field
	banned bool
}
