package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// maxLine bounds one line, so that a file without line ends cannot fill the
// memory. What may be accepted is far smaller (task.MaxPayload).
const maxLine = 1 << 20

// jsonLines reads a file of JSON lines.
type jsonLines struct {
	in   *bufio.Reader
	line int   // number of the line that next returned
	read int64 // bytes so far
	buf  []byte
}

func newJSONLines(in io.Reader) *jsonLines {
	return &jsonLines{in: bufio.NewReaderSize(in, 64<<10)}
}

// errLongLine is the fault of a line beyond maxLine; it was skipped.
var errLongLine = errors.New("is longer than 1 MiB")

// next returns the next line that is not blank. It is valid until the next call.
// The error is errLongLine, io.EOF, or that of the file.
func (l *jsonLines) next() ([]byte, error) {
	for {
		b, err := l.readLine()
		if l.line == 1 {
			b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
		}
		if errors.Is(err, errLongLine) || len(bytes.TrimSpace(b)) > 0 {
			return b, err
		}
		if err != nil {
			return nil, err
		}
	}
}

// readLine returns one line; io.EOF only when there is none left. A line that
// ends in an error of the file is not a line: it may be half of one.
func (l *jsonLines) readLine() ([]byte, error) {
	l.buf = l.buf[:0]
	l.line++
	long := false
	for {
		part, err := l.in.ReadSlice('\n')
		l.read += int64(len(part))
		if long = long || len(l.buf)+len(part) > maxLine; !long {
			l.buf = append(l.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(part)+len(l.buf) == 0 && !long:
			return nil, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case long:
			return nil, errLongLine
		}
		return l.buf, nil
	}
}

// parseLine reads one object of POST /v1/notifications. Every bad field is
// named; no message repeats a value.
func parseLine(b []byte, cfg *config.Config) (producer.Notification, task.FieldErrors) {
	if !utf8.Valid(b) {
		return producer.Notification{}, task.FieldErrors{{Reason: "is not valid UTF-8"}}
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(b, &members); err != nil || members == nil {
		return producer.Notification{}, task.FieldErrors{{Reason: "is not a JSON object"}}
	}
	o := object{members: members}
	o.unknown()
	n := producer.Notification{
		Ref: o.text("ref"), Priority: store.Priority(o.text("priority")), Duplicates: store.Duplicates(o.text("duplicates")),
		SendAt: o.time("send_at"), ExpiresAt: o.time("expires_at"),
	}
	// The rest of the object has the form of a task's payload.
	p, err := task.Parse(b)
	if faults, ok := errors.AsType[task.FieldErrors](err); ok {
		o.add(faults...)
	}
	n.TemplateID, n.Page, n.UserID, n.OpenID, n.Data = p.TemplateID, p.Page, p.UserID, p.OpenID, p.Data
	n.App, n.Lang, n.MiniprogramState = p.App, p.Lang, p.MiniprogramState
	if _, known := cfg.App(n.App); !known {
		o.add(task.FieldError{Field: "app", Reason: "is not among the apps that are set"})
	}
	slices.SortFunc(o.faults, func(a, b task.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return n, o.faults
}

// object is the fields of one line with what is wrong with them.
type object struct {
	members map[string]json.RawMessage
	faults  task.FieldErrors
}

// objectFields are the fields there are; false for one that cannot be used yet.
var objectFields = map[string]bool{
	"template_id": true, "user_id": true, "openid": true, "data": true, "page": true, "app": true, "ref": true,
	"priority": true, "send_at": true, "expires_at": true, "duplicates": true, "lang": true,
	"miniprogram_state": true, "wait": false,
}

// add notes faults, the first of a field only.
func (o *object) add(faults ...task.FieldError) {
	for _, f := range faults {
		known := false
		for _, g := range o.faults {
			known = known || g.Field == f.Field
		}
		if !known {
			o.faults = append(o.faults, f)
		}
	}
}

// unknown finds fields that nobody would read.
func (o *object) unknown() {
	strangers := false
	for name, raw := range o.members {
		usable, known := objectFields[name]
		switch {
		case known && (usable || !there(raw)):
		case known:
			o.add(task.FieldError{Field: name, Reason: "is not supported yet: a notification does not wait for a binding or a consent"})
		case fieldName(name):
			o.add(task.FieldError{Field: name, Reason: "is not a field of a notification"})
		default:
			strangers = true
		}
	}
	if strangers {
		o.add(task.FieldError{Reason: "has a field that a notification does not have"})
	}
}

// fieldName reports whether name looks like a field's; anything else may be
// somebody's text and is not repeated.
func fieldName(name string) bool {
	if name == "" || len(name) > 40 {
		return false
	}
	for _, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return false
		}
	}
	return true
}

// there reports whether a member is set; null is the same as none.
func there(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// text is a member that has to be a string; "" when it is none.
func (o *object) text(name string) string {
	raw := o.members[name]
	if !there(raw) {
		return ""
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		o.add(task.FieldError{Field: name, Reason: "must be a string"})
	}
	return s
}

func (o *object) time(name string) time.Time {
	if !there(o.members[name]) {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, o.text(name))
	if err != nil {
		o.add(task.FieldError{Field: name, Reason: notRFC3339})
	}
	return t
}
