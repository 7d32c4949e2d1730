package gateway

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// Asked is a notification as it was asked for: its template may be an alias, and
// the keys of its data names and labels.
type Asked struct {
	producer.Notification
	// Waits: the request says how long it may wait; Wait may then be 0.
	Waits bool
}

// ParseNotification reads one JSON object of POST /v1/notifications, which is
// also a line of the files that the command line takes. It reports every field
// that is missing, unknown, there twice or of the wrong type; what the values
// must be like is checked when the notification is handed in.
func ParseNotification(b []byte) (Asked, FieldErrors) {
	var faults FieldErrors
	v, err := parse(b)
	if err != nil {
		return Asked{}, FieldErrors{{Code: FieldBadFormat, Reason: err.Error()}}
	}
	o := newObject("", v, &faults)
	if v.kind != kindObject {
		return Asked{}, faults
	}
	asked := o.notification()
	o.end()
	return asked, faults.byField()
}

// notification reads the fields of a notification. The end is the caller's to
// call.
func (o *object) notification() Asked {
	n := Asked{Notification: producer.Notification{
		TemplateID: o.required("template_id"), Page: o.text("page"), UserID: o.id("user_id"), OpenID: o.text("openid"),
		Data: o.data("data"), App: o.text("app"), Ref: o.text("ref"), Priority: store.Priority(o.text("priority")),
		SendAt: o.moment("send_at"), ExpiresAt: o.moment("expires_at"), Duplicates: store.Duplicates(o.text("duplicates")),
		Lang: o.text("lang"), MiniprogramState: o.text("miniprogram_state"),
	}}
	n.Wait, n.Waits = o.seconds("wait", MaxWait)
	switch {
	case n.UserID == "" && n.OpenID == "" && !o.faulty("user_id"):
		o.fault("user_id", FieldRequired, "is required (or openid)", "")
	case n.UserID != "" && n.OpenID != "":
		o.fault("openid", FieldConflict, "give user_id or openid, not both", "")
	}
	return n
}

// MaxWait is the longest a notification may wait for a binding or a consent.
const MaxWait time.Duration = producer.MaxDelay

// data reads {"thing1":"text"}, with strings or numbers, whose digits stay
// exactly what they are. A value may also be written as in WeChat's own calls:
// {"thing1":{"value":"text"}}.
func (o *object) data(name string) map[string]string {
	if v, ok := o.get(name); ok && v.kind != kindObject {
		o.fault(name, FieldWrongType, `must be an object such as {"thing1":"text"}, not a string that contains one`, "")
		return nil
	}
	d := o.child(name)
	if d == nil || len(d.fields) == 0 {
		o.fault(name, FieldRequired, "is required", `{"thing1":"text"}`)
		return nil
	}
	if len(d.fields) > task.MaxDataKeys {
		o.fault(name, FieldTooLong, "has more than "+strconv.Itoa(task.MaxDataKeys)+" keys", "")
		return nil
	}
	data := make(map[string]string, len(d.fields))
	for i := range d.fields {
		key := d.fields[i].name
		v, _ := d.get(key)
		if v.kind == kindObject {
			data[key] = d.wrapped(key)
			continue
		}
		data[key] = d.scalar(key)
	}
	return data
}

// wrapped reads {"value": scalar}.
func (o *object) wrapped(name string) string {
	inner := o.child(name)
	text := inner.scalar("value")
	inner.end()
	return text
}

// scalar is a string, or a number written out in digits.
func (o *object) scalar(name string) string {
	switch v, _ := o.get(name); v.kind {
	case kindString:
		return unquote(v.raw)
	case kindNumber:
		if digits, ok := template.Digits(json.Number(v.raw)); ok {
			return digits
		}
		o.fault(name, FieldTooLong, "has more digits than any field takes", "")
		return ""
	case kindNull, kindBool, kindArray, kindObject:
	}
	o.fault(name, FieldWrongType, "must be a string or a number", "")
	return ""
}

// faulty reports whether a field has a fault.
func (o *object) faulty(name string) bool {
	field := pointer(o.at, name)
	return slices.ContainsFunc(*o.faults, func(f FieldError) bool { return f.Field == field })
}
