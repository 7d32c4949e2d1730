package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/store"
)

// wechatKey is the form of WeChat's keys: a type and a number.
var wechatKey = regexp.MustCompile(`^([A-Za-z_]+)[0-9]+$`)

// typeOf is the key without its number; "" for what is not of the form. WeChat's
// types are never told by their beginning: short_thing1 is no thing.
func typeOf(key string) string {
	if m := wechatKey.FindStringSubmatch(key); m != nil {
		return m[1]
	}
	return ""
}

// index finds the field that a name in data stands for: its key, the catalog's
// name for it, or its label.
type index struct {
	keys   map[string]int
	named  map[string]int
	labels map[string][]int
}

func (t *Template) index() {
	t.names = index{keys: map[string]int{}, named: map[string]int{}, labels: map[string][]int{}}
	for i, f := range t.Fields {
		t.names.keys[f.Key] = i
		if f.Name != "" {
			t.names.named[f.Name] = i
		}
		if f.Label != "" {
			t.names.labels[f.Label] = append(t.names.labels[f.Label], i)
		}
	}
}

// complete reports whether Fields are all the fields that there are.
func (t *Template) complete() bool { return t.State == StateSynced || t.State == StateGone }

// style is the kind of name that a caller uses, for faults about fields that he
// left out.
type style int

const (
	byKey style = iota
	byLabel
	byName
)

// find returns the field that a name stands for. With ok false the fault says
// why there is none. A key that is not among the fields is taken at its word
// where they may not be all.
func (t *Template) find(name string) (f Field, s style, fault FieldError) {
	if i, ok := t.names.keys[name]; ok {
		return t.Fields[i], byKey, FieldError{}
	}
	if i, ok := t.names.named[name]; ok {
		return t.Fields[i], byName, FieldError{}
	}
	fault = FieldError{Field: pointer(name), Code: CodeUnknownKey}
	switch with := t.names.labels[name]; {
	case len(with) == 1:
		return t.Fields[with[0]], byLabel, FieldError{}
	case len(with) > 1:
		keys := make([]string, len(with))
		for i, at := range with {
			keys[i] = t.Fields[at].Key
		}
		fault.Code, fault.Reason, fault.Example = CodeAmbiguousKey, "is the label of "+strings.Join(keys, " and ")+": use the key", keys[0]
		return Field{}, byKey, fault
	case !t.complete() && typeOf(name) != "":
		return newField(name, nil), byKey, FieldError{}
	}
	switch key := strings.TrimSuffix(strings.Trim(strings.TrimSpace(name), "{}"), ".DATA"); {
	case key != name && (slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Key == key }) || !t.complete() && typeOf(key) != ""):
		fault.Reason, fault.Example = "is not a key of this template: write it without blanks, braces and .DATA", key
	case len(t.Fields) == 0:
		fault.Reason, fault.Example = "is not a key: WeChat's are a type and a number", "thing1"
	default:
		fault.Reason = "is not a field of this template, which has " + t.listed()
	}
	return Field{}, byKey, fault
}

// listed names the fields for a fault.
func (t *Template) listed() string {
	texts := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		texts[i] = f.Key
		var also []string
		for _, name := range []string{f.Name, f.Label} {
			if name != "" {
				also = append(also, name)
			}
		}
		if len(also) > 0 {
			texts[i] = fmt.Sprintf("%s (%s)", f.Key, strings.Join(also, ", "))
		}
	}
	return strings.Join(texts, ", ")
}

// spelled is the field's name in the caller's style.
func (t *Template) spelled(f Field, s style) string {
	switch {
	case s == byName && f.Name != "":
		return f.Name
	case s != byKey && len(t.names.labels[f.Label]) == 1:
		return f.Label
	}
	return f.Key
}

// readExamples finds the values in WeChat's example, whose lines are those of
// the content: "会议地点:TIT会议室". It goes by label.
func readExamples(t store.Template) map[string]string {
	examples := map[string]string{}
	for line := range strings.Lines(t.Example) {
		label, value, ok := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), "：", ":"), ":")
		if ok {
			examples[strings.TrimSpace(label)] = strings.TrimSpace(value)
		}
	}
	return examples
}
