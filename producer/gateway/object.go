package gateway

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// object reads the fields of a JSON object and collects everything that is
// wrong with them. What was not asked for when end is called is a field that
// nobody reads. null is the same as absent.
type object struct {
	at     string // JSON Pointer
	fields []field
	places map[string]int // of the fields, where there are more than few
	faults *FieldErrors
}

// field is a member of an object.
type field struct {
	member
	asked bool
}

// few is how many fields are found one by one: a notification has no more, and to
// make a map of them takes longer than all of that.
const few = 16

// newObject reads v, which lies at the pointer at. Faults are added to faults.
func newObject(at string, v value, faults *FieldErrors) *object {
	o := &object{at: at, faults: faults}
	if v.kind != kindObject {
		*faults = append(*faults, FieldError{Field: at, Code: FieldWrongType, Reason: "must be an object"})
		return o
	}
	o.fields = make([]field, 0, len(v.members))
	if len(v.members) > few {
		o.places = make(map[string]int, len(v.members))
	}
	for _, m := range v.members {
		if twice := o.find(m.name); twice != nil {
			o.fault(m.name, FieldDuplicate, "is there twice", "")
			twice.member = m
			continue
		}
		if o.places != nil {
			o.places[m.name] = len(o.fields)
		}
		o.fields = append(o.fields, field{member: m})
	}
	return o
}

// find is the field of a name; nil when there is none.
func (o *object) find(name string) *field {
	if o.places != nil {
		if i, ok := o.places[name]; ok {
			return &o.fields[i]
		}
		return nil
	}
	for i := range o.fields {
		if o.fields[i].name == name {
			return &o.fields[i]
		}
	}
	return nil
}

// maxFaults is how many faults of one body are told: more than a notification
// has fields, and few enough that a hostile body has no long answer.
const maxFaults = 100

// fault notes what is wrong with a field, the first fault of each only.
func (o *object) fault(name string, code FieldCode, reason, example string) {
	if len(*o.faults) >= maxFaults || o.faulty(name) {
		return
	}
	*o.faults = append(*o.faults, FieldError{Field: pointer(o.at, name), Code: code, Reason: reason, Example: example})
}

// end finds the fields that nobody asked for.
func (o *object) end() {
	for i := range o.fields {
		if f := &o.fields[i]; !f.asked {
			o.fault(f.name, FieldUnknown, "is not a field here", "")
		}
	}
}

// get is a field; ok is false when it is absent.
func (o *object) get(name string) (v value, ok bool) {
	f := o.find(name)
	if f == nil {
		return value{}, false
	}
	f.asked = true
	return f.value, f.kind != kindNull
}

// text is a string; "" when there is none.
func (o *object) text(name string) string {
	v, ok := o.get(name)
	if !ok {
		return ""
	}
	if v.kind != kindString {
		o.fault(name, FieldWrongType, "must be a string", "")
		return ""
	}
	return unquote(v.raw)
}

// required is a string that has to be there and not empty.
func (o *object) required(name string) string {
	s := o.text(name)
	if s == "" {
		o.fault(name, FieldRequired, "is required", "")
	}
	return s
}

// id is a string or a JSON integer, with its digits as they stand: an id of a
// user may be beyond what a float holds.
func (o *object) id(name string) string {
	v, ok := o.get(name)
	switch {
	case !ok:
		return ""
	case v.kind == kindString:
		return unquote(v.raw)
	case v.kind == kindNumber && !strings.ContainsAny(string(v.raw), ".eE"):
		return string(v.raw)
	}
	o.fault(name, FieldWrongType, "must be a string or an integer", "")
	return ""
}

// flag is true or false; false when there is none.
func (o *object) flag(name string) bool {
	v, ok := o.get(name)
	if ok && v.kind != kindBool {
		o.fault(name, FieldWrongType, "must be true or false", "")
	}
	return ok && string(v.raw) == "true"
}

// timeExample has Beijing's offset: a time without one is the usual mistake.
const timeExample = "2026-03-02T15:01:00+08:00"

// moment is an RFC 3339 time with an offset; zero when there is none.
func (o *object) moment(name string) time.Time {
	text := o.text(name)
	if text == "" {
		return time.Time{}
	}
	t, err := parseTime(text)
	if err != nil {
		o.fault(name, FieldBadFormat, "must be a time with an offset", timeExample)
	}
	return t
}

// parseTime reads an RFC 3339 time. Years beyond four digits, which no JSON has,
// cannot come out of it.
func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339, text) }

// seconds is a duration in whole seconds, not negative; ok is false when there
// is none.
func (o *object) seconds(name string, most time.Duration) (d time.Duration, ok bool) {
	v, ok := o.get(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v.raw), 10, 64)
	switch {
	case v.kind != kindNumber || err != nil && strings.ContainsAny(string(v.raw), ".eE"):
		o.fault(name, FieldWrongType, "must be an integer of seconds", "3600")
	case err != nil || n < 0 || n > min(int64(most/time.Second), math.MaxInt64):
		o.fault(name, FieldOutOfRange, "must be 0 to "+strconv.FormatInt(int64(most/time.Second), 10)+" seconds", "3600")
	default:
		return time.Duration(n) * time.Second, true
	}
	return 0, false
}

// child is an object; nil when there is none. Its end is the caller's to call.
func (o *object) child(name string) *object {
	v, ok := o.get(name)
	if !ok {
		return nil
	}
	return newObject(pointer(o.at, name), v, o.faults)
}

// done ends the reading: the error is a FieldErrors that names every bad field,
// or nil.
func (o *object) done() error {
	o.end()
	if len(*o.faults) == 0 {
		return nil
	}
	return o.faults.byField()
}
