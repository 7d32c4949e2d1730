package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// sendLine is the answer to one line, one object of --json.
type sendLine struct {
	Line      int         `json:"line"`
	ID        *uuid.UUID  `json:"id,omitempty"`
	State     store.State `json:"state,omitempty"`
	Duplicate *bool       `json:"duplicate,omitempty"`
	Errors    []jsonFault `json:"errors,omitempty"`
}

// jsonFault is one bad field; Field is "" for the line as a whole.
type jsonFault struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

func jsonFaults(faults task.FieldErrors) []jsonFault {
	list := make([]jsonFault, len(faults))
	for i, f := range faults {
		list[i] = jsonFault(f)
	}
	return list
}

// sendReport tells what became of a file, line by line and in sum. It belongs
// to one goroutine.
type sendReport struct {
	p        *program
	asJSON   bool
	progress *progress
	size     int64 // of the file; 0 when it is not known
	read     int64
	began    time.Time

	out                               bytes.Buffer // JSON lines of the batch
	lines                             int          // number of the last line
	accepted, duplicates, bad, doubts int
	firstBad                          int
}

// line notes the answer to one line. Of bad lines only so many are shown to
// people: in a file of millions they would bury everything else.
func (r *sendReport) line(it sendItem, answer sendLine) {
	answer.Line = it.line
	r.lines, r.read = it.line, it.read
	switch {
	case len(answer.Errors) > 0:
		if r.bad++; r.bad == 1 {
			r.firstBad = it.line
		}
		if r.bad <= maxShownFaults && !r.asJSON {
			r.progress.clear()
			r.p.printf("line %d: %s\n", it.line, cell(it.faultText(answer.Errors)))
		}
	case *answer.Duplicate:
		r.duplicates++
		r.accepted++
	default:
		r.accepted++
	}
	r.encode(answer)
}

// unknown notes a line that may be accepted or not: the database fell silent.
func (r *sendReport) unknown(it sendItem) {
	r.lines, r.read = it.line, it.read
	r.doubts++
	r.encode(sendLine{Line: it.line, Errors: []jsonFault{{Reason: "may or may not be accepted: the database fell silent"}}})
}

func (r *sendReport) encode(answer sendLine) {
	if !r.asJSON {
		return
	}
	enc := json.NewEncoder(&r.out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer) // texts, numbers and a UUID always encode
}

func (sendItem) faultText(faults []jsonFault) string {
	var list task.FieldErrors
	for _, f := range faults {
		list = append(list, task.FieldError(f))
	}
	return list.Error()
}

// flush writes the answers of a batch and draws the progress.
func (r *sendReport) flush() error {
	if r.out.Len() > 0 {
		r.progress.clear()
	}
	if err := r.p.print(r.out.String()); err != nil {
		return err
	}
	r.out.Reset()
	r.progress.show(r.status)
	return nil
}

func (r *sendReport) status() string {
	text := thousands(r.accepted) + " accepted"
	if r.bad > 0 {
		text += ", " + thousands(r.bad) + " bad"
	}
	if r.size > 0 {
		text += fmt.Sprintf(", %d%%", 100*r.read/r.size)
	}
	return text + ", " + thousands(r.rate()) + "/s"
}

// rate is lines a second.
func (r *sendReport) rate() int {
	return int(float64(r.accepted+r.bad) / max(time.Since(r.began), time.Millisecond).Seconds())
}

// end prints the sum.
func (r *sendReport) end() {
	r.progress.clear()
	if more := r.bad - maxShownFaults; more > 0 && !r.asJSON {
		r.p.printf("and %s more; --json names every one\n", count(more, "bad line"))
	}
	text := fmt.Sprintf("accepted %s", thousands(r.accepted))
	if r.duplicates > 0 {
		text += fmt.Sprintf(" (%s of them before, by their ref)", thousands(r.duplicates))
	}
	text += "  bad " + thousands(r.bad)
	if r.doubts > 0 {
		text += "  not known " + thousands(r.doubts)
	}
	r.p.printf("%s  in %s, %s/s\n", text, time.Since(r.began).Round(10*time.Millisecond), thousands(r.rate()))
}

// waitForAll waits for the end of everything that was accepted and counts the
// endings.
func (p *program) waitForAll(ctx context.Context, s *sender, run *sendRun, f *sendFlags) error {
	counts := make(map[standing]int)
	ended := 0
	progress := p.newProgress()
	err := s.await(ctx, f.wait, run.ids, func(_ uuid.UUID, at standing) {
		counts[at]++
		ended++
		progress.show(func() string { return thousands(ended) + " of " + count(len(run.ids), "notification") + " ended" })
	})
	progress.clear()
	states := slices.SortedFunc(maps.Keys(counts), func(a, b standing) int {
		return cmp.Or(cmp.Compare(slices.Index(store.States, a.state), slices.Index(store.States, b.state)), cmp.Compare(a.reason, b.reason))
	})
	rows := make([][]string, len(states))
	unsent, unended := 0, 0
	for i, at := range states {
		rows[i] = []string{string(at.state), string(at.reason), thousands(counts[at])}
		if at.state != store.Sent {
			unsent += counts[at]
		}
		if !at.state.Final() {
			unended += counts[at]
		}
	}
	switch {
	case len(rows) == 0:
	case f.asJSON: // stdout has one object for each line of the file
		p.printf("%s", rowsText(rows))
	default:
		err = errors.Join(err, p.printTable([]string{"STATE", "REASON", "COUNT"}, rows))
	}
	switch {
	case err != nil:
		return err
	case unended > 0:
		return fmt.Errorf("%s not sent within %s", count(unended, "notification"), f.wait)
	case unsent > 0:
		return fmt.Errorf("%s not sent", count(unsent, "notification"))
	case run.report.bad > 0:
		return fmt.Errorf("%s left out", count(run.report.bad, "bad line"))
	}
	return nil
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
