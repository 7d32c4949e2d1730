package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway"
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

// parseLine reads one object of POST /v1/notifications, as the API does, and
// finds its template. Every bad field is named; no message repeats a value.
func (s *sender) parseLine(b []byte) (producer.Notification, task.FieldErrors) {
	asked, faults := gateway.ParseNotification(b)
	n, more := s.resolve(asked)
	return n, lineFaults(faults, more)
}

// resolve finds the template of what was asked for and checks it against that.
// What it finds wrong may be a consequence of what could not be read.
func (s *sender) resolve(asked gateway.Asked) (producer.Notification, gateway.FieldErrors) {
	if asked.App == "" {
		asked.App = s.app
	}
	if _, known := s.cfg.App(asked.App); !known {
		return asked.Notification, gateway.FieldErrors{{Field: "/app", Reason: "is not among the apps that are set"}}
	}
	if asked.TemplateID == "" { // said already
		return asked.Notification, nil
	}
	n, _, faults := asked.Resolve(s.catalog, 0)
	return n, faults
}

// lineFaults are the API's faults as they are told here: fields with dots, and
// no name that could be somebody's text. What resolved says about a field that
// parsed complains of already is a consequence.
func lineFaults(parsed, resolved gateway.FieldErrors) task.FieldErrors {
	var faults task.FieldErrors
	strangers := false
	tell := func(f gateway.FieldError) {
		name, key, inData := strings.Cut(strings.TrimPrefix(f.Field, "/"), "/")
		switch {
		case f.Code == gateway.FieldUnknown && !inData && !fieldName(name):
			strangers = true
			return
		case inData && !dataName(key):
			f.Reason = "has a key that could not be used: " + f.Reason
		case inData:
			name += "." + key
		}
		if told := (task.FieldError{Field: name, Reason: f.Reason}); !slices.Contains(faults, told) {
			faults = append(faults, told)
		}
	}
	for _, f := range parsed {
		tell(f)
	}
	for _, f := range resolved {
		if !slices.ContainsFunc(parsed, func(g gateway.FieldError) bool { return g.Field == f.Field }) {
			tell(f)
		}
	}
	if strangers {
		faults = append(faults, task.FieldError{Reason: "has a field that a notification does not have"})
	}
	slices.SortStableFunc(faults, func(a, b task.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return faults
}

// maxDataName is more than the label of a field, which is one word or two.
const maxDataName = 20

// dataName reports whether key looks like a field of a template: a key, or a
// label such as 申请人.
func dataName(key string) bool {
	return fieldName(key) || key != "" && utf8.RuneCountInString(key) <= maxDataName &&
		!strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' })
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
