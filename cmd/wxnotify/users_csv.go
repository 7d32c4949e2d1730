package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// The columns of an import.
const (
	columnUser  = "user_id"
	columnOpen  = "openid"
	columnUnion = "unionid"
	columnApp   = "app"
)

var allColumns = []string{columnUser, columnOpen, columnUnion, columnApp}

// badLineError is a fault of one line; the lines after it can be read.
type badLineError struct{ problem string }

// Error says what is wrong with the line, without repeating it.
func (b badLineError) Error() string { return b.problem }

// bindingLines reads bindings out of CSV.
type bindingLines struct {
	reader     *csv.Reader
	columns    []string
	apps       map[string]bool
	defaultApp string
}

// newBindingLines reads the header. Excel begins UTF-8 with a byte order mark.
func newBindingLines(in io.Reader, cfg *config.Config, defaultApp string) (*bindingLines, error) {
	buffered := bufio.NewReaderSize(in, 1<<16)
	if head, err := buffered.Peek(3); err == nil && string(head) == "\ufeff" {
		if _, err := buffered.Discard(len(head)); err != nil {
			return nil, err
		}
	}
	l := &bindingLines{reader: csv.NewReader(buffered), apps: map[string]bool{}, defaultApp: defaultApp}
	l.reader.FieldsPerRecord = -1 // told apart by next, which goes on
	l.reader.ReuseRecord = true
	for _, a := range cfg.Apps {
		l.apps[a.AppID] = true
	}
	header, err := l.reader.Read()
	if err != nil {
		return nil, headerFault(err)
	}
	for _, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		l.columns = append(l.columns, name)
	}
	for i, name := range l.columns {
		if !slices.Contains(allColumns, name) || slices.Contains(l.columns[:i], name) {
			return nil, headerError{l.columns}
		}
	}
	if !slices.Contains(l.columns, columnUser) || !slices.Contains(l.columns, columnOpen) {
		return nil, headerError{l.columns}
	}
	return l, nil
}

// headerFault is a headerError, unless the file itself failed.
func headerFault(err error) error {
	if errors.Is(err, io.EOF) || errors.As(err, new(*csv.ParseError)) {
		return headerError{}
	}
	return err
}

// headerError is a first line that is no header; nothing was imported. It knows
// the line's columns when the line could be read.
type headerError struct{ columns []string }

// Error says what was found instead. A line without a single name of ours is
// not repeated: it is the first user of a file without a header.
func (h headerError) Error() string {
	text := "the first line must be the header user_id,openid, and may add unionid and app"
	if len(h.columns) == 0 {
		return text
	}
	found := make([]string, len(h.columns))
	header := false
	for i, name := range h.columns {
		header = header || slices.Contains(allColumns, name)
		if found[i] = name; !fieldName(name) {
			found[i] = "(no name)"
		}
	}
	if !header {
		return text + "; it has " + count(len(h.columns), "column") + " and none of these names"
	}
	return text + "; it is " + strings.Join(found, ",")
}

// next reads one binding and the number of its line. The error is io.EOF at the
// end, or a badLineError when the next line can be read all the same.
func (l *bindingLines) next() (store.Binding, int, error) {
	record, err := l.reader.Read()
	if parse, ok := errors.AsType[*csv.ParseError](err); ok {
		return store.Binding{}, parse.StartLine, badLineError{"its quotes do not match"}
	}
	if err != nil {
		return store.Binding{}, 0, err
	}
	line, _ := l.reader.FieldPos(0)
	if len(record) != len(l.columns) {
		return store.Binding{}, line, badLineError{fmt.Sprintf("has %s, the header has %d", count(len(record), "field"), len(l.columns))}
	}
	b := store.Binding{App: l.defaultApp}
	for i, name := range l.columns {
		text := strings.TrimSpace(record[i])
		switch name {
		case columnUser:
			b.UserID = text
		case columnOpen:
			b.OpenID = text
		case columnUnion:
			b.UnionID = text
		case columnApp:
			if text != "" {
				b.App = text
			}
		}
	}
	if !l.apps[b.App] {
		return store.Binding{}, line, badLineError{"its app is not among those that are set"}
	}
	if err := checkBinding(b); err != nil {
		return store.Binding{}, line, badLineError{err.Error()}
	}
	return b, line, nil
}

// checkBinding holds a binding to what a notification's addressee may be, so
// that nobody is bound who could never be sent to. It names the field only.
func checkBinding(b store.Binding) error {
	for _, f := range []struct {
		name, text string
		required   bool
	}{
		{columnUser, b.UserID, true}, {columnOpen, b.OpenID, true}, {columnUnion, b.UnionID, false},
	} {
		switch {
		case f.text == "" && f.required:
			return fmt.Errorf("%s is empty", f.name)
		case len(f.text) > task.MaxKey:
			return fmt.Errorf("%s has more than %d bytes", f.name, task.MaxKey)
		case !utf8.ValidString(f.text):
			return fmt.Errorf("%s is not UTF-8", f.name)
		case strings.ContainsFunc(f.text, isControl):
			return fmt.Errorf("%s has a control character", f.name)
		}
	}
	if strings.ContainsFunc(b.OpenID, notInOpenID) {
		return fmt.Errorf("%s may have letters, digits, - and _ only", columnOpen)
	}
	return nil
}

// notInOpenID reports whether no openid has r.
func notInOpenID(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
