package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// sendWait is the accepted lines of a file whose ends are waited for.
type sendWait struct {
	ids   []uuid.UUID              // each once, in the file's order
	lines map[uuid.UUID][]sendLine // several where a ref came again
}

func (w *sendWait) add(l sendLine) {
	if len(w.lines[*l.ID]) == 0 {
		w.ids = append(w.ids, *l.ID)
	}
	w.lines[*l.ID] = append(w.lines[*l.ID], l)
}

// take hands out the lines of a notification, once.
func (w *sendWait) take(id uuid.UUID) []sendLine {
	lines := w.lines[id]
	delete(w.lines, id)
	return lines
}

// rest hands out, in the file's order, the lines that take did not.
func (w *sendWait) rest() (lines []sendLine) {
	for _, id := range w.ids {
		lines = append(lines, w.take(id)...)
	}
	return lines
}

// sendEnds is the wait for the ends of a file's lines.
type sendEnds struct {
	*sendReport
	counts          map[standing]int
	ended           int
	unsent, unended int
	err             error // the first of writing to stdout
}

// waitForAll waits for the end of everything that was accepted, tells the end
// of each line with --json and that of each unsent one without, and counts. sendErr
// is what ended the handing in early: then nothing is waited for.
func (p *program) waitForAll(ctx context.Context, s *sender, r *sendReport, f *sendFlags, sendErr error) error {
	e := &sendEnds{sendReport: r, counts: make(map[standing]int)}
	err := sendErr
	if err == nil {
		err = s.await(ctx, f.wait, r.waiting.ids, e.see)
	}
	r.progress.clear()
	for _, l := range r.waiting.rest() {
		e.write(l)
	}
	if more := e.unsent - maxShownFaults; more > 0 && !r.asJSON {
		p.printf("and %s more; --json names every one\n", count(more, "notification"))
	}
	if err = errors.Join(err, e.err); sendErr == nil {
		err = errors.Join(err, e.print())
	}
	if err != nil {
		return err
	}
	return e.verdict(f)
}

// see takes in how one notification stands.
func (e *sendEnds) see(id uuid.UUID, at standing) {
	e.counts[standing{state: at.state, reason: at.reason}]++
	e.ended++
	if at.state != store.Sent {
		e.unsent++
	}
	if !at.state.Final() {
		e.unended++
	}
	for _, l := range e.waiting.take(id) {
		l.State, l.Class, l.Reason, l.Errcode = at.state, at.class, at.reason, at.errcode
		e.write(l)
		if at.state != store.Sent && !e.asJSON && e.unsent <= maxShownFaults {
			e.progress.clear()
			e.p.printf("%s\n", l.unsentText())
		}
	}
	e.progress.show(func() string {
		return thousands(e.ended) + " of " + count(len(e.waiting.ids), "notification") + " ended"
	})
}

// write prints the object of a line at once, with --json: its reader may wait
// for it.
func (e *sendEnds) write(l sendLine) {
	if !e.asJSON || e.err != nil {
		return
	}
	e.encode(l)
	e.progress.clear()
	e.err = e.p.print(e.out.String())
	e.out.Reset()
}

// unsentText says for people how a line stands that was not sent.
func (l sendLine) unsentText() string {
	parts := []string{string(l.State)}
	if l.Reason != "" {
		parts = append(parts, string(l.Reason))
	}
	if l.Errcode != 0 {
		parts = append(parts, fmt.Sprintf("errcode %d", l.Errcode))
	}
	parts = append(parts, "id "+l.ID.String())
	if l.Ref != "" {
		parts = append(parts, "ref "+cell(l.Ref))
	}
	return fmt.Sprintf("line %d: %s", l.Line, strings.Join(parts, ", "))
}

// print counts the ends by state and reason. With --json stdout has the lines'
// objects, so the counts go to stderr.
func (e *sendEnds) print() error {
	states := slices.SortedFunc(maps.Keys(e.counts), func(a, b standing) int {
		return cmp.Or(cmp.Compare(slices.Index(store.States, a.state), slices.Index(store.States, b.state)), cmp.Compare(a.reason, b.reason))
	})
	rows := make([][]string, len(states))
	for i, at := range states {
		rows[i] = []string{string(at.state), string(at.reason), thousands(e.counts[at])}
	}
	switch {
	case len(rows) == 0:
	case e.asJSON:
		e.p.printf("%s", rowsText(rows))
	default:
		return e.p.printTable([]string{"STATE", "REASON", "COUNT"}, rows)
	}
	return nil
}

// verdict is nil when every line was good and sent.
func (e *sendEnds) verdict(f *sendFlags) error {
	var texts []string
	switch {
	case e.unended > 0:
		texts = append(texts, fmt.Sprintf("%s not sent within %s", count(e.unsent, "notification"), f.wait))
	case e.unsent > 0:
		texts = append(texts, count(e.unsent, "notification")+" not sent")
	}
	if e.bad > 0 {
		texts = append(texts, e.leftOut())
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// rowsText is rows of a state, a reason and a count on lines of their own.
func rowsText(rows [][]string) string {
	var b bytes.Buffer
	for _, r := range rows {
		name := r[0]
		if r[1] != "" {
			name += " (" + r[1] + ")"
		}
		fmt.Fprintf(&b, "%s %s\n", name, r[2])
	}
	return b.String()
}
