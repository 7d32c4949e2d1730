package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// sendLine is the answer to one line, one object of --json.
type sendLine struct {
	Line      int          `json:"line"`
	ID        *uuid.UUID   `json:"id,omitempty"`
	Ref       string       `json:"ref,omitempty"`
	State     store.State  `json:"state,omitempty"` // when it was accepted; with --wait when the wait was over
	Class     store.Class  `json:"class,omitempty"` // these three with --wait only
	Reason    store.Reason `json:"reason,omitempty"`
	Errcode   int          `json:"errcode,omitempty"`
	Duplicate *bool        `json:"duplicate,omitempty"`
	Errors    []jsonFault  `json:"errors,omitempty"`
}

// jsonFault is one bad field; Field is a JSON Pointer into the line, as in the
// API's answers, "" for the line as a whole.
type jsonFault struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

func jsonFaults(faults task.FieldErrors) []jsonFault {
	list := make([]jsonFault, len(faults))
	for i, f := range faults {
		list[i] = jsonFault{Field: fieldPointer(f.Field), Reason: f.Reason}
	}
	return list
}

// fieldPointer is the JSON Pointer of a field that is written with a dot.
func fieldPointer(field string) string {
	if field == "" {
		return ""
	}
	return "/" + strings.Replace(field, ".", "/", 1)
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
	unqueued                          int   // accepted, due and not on the queue
	unqueuedErr                       error // of the first of them

	// waiting keeps the accepted lines for their end; nil without --wait.
	waiting *sendWait
}

// queueErr notes what kept an accepted line from the queue; nil is nothing.
func (r *sendReport) queueErr(err error) {
	if err == nil {
		return
	}
	if r.unqueued++; r.unqueued == 1 {
		r.unqueuedErr = err
	}
}

// leftOut counts the bad lines in words.
func (r *sendReport) leftOut() string { return count(r.bad, "bad line") + " left out" }

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
			r.p.printf("line %d: %s\n", it.line, cell(faultText(answer.Errors)))
		}
	case *answer.Duplicate:
		r.duplicates++
		r.accepted++
	default:
		r.accepted++
	}
	if r.waiting != nil && answer.ID != nil {
		r.waiting.add(answer)
		return
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

// faultText names every fault of a line: whoever mends one wants to know of all.
func faultText(faults []jsonFault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = strings.TrimSpace(f.Field + " " + f.Reason)
	}
	return strings.Join(texts, "; ")
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
	text += "  in " + time.Since(r.began).Round(10*time.Millisecond).String()
	if r.accepted+r.bad >= leastForRate {
		text += ", " + thousands(r.rate()) + "/s"
	}
	r.p.printf("%s\n", text)
	if r.unqueued > 0 {
		r.p.printf("%s %s; %s\n", count(r.unqueued, "notification"), notQueued(r.unqueuedErr), relayDoesIt)
	}
}

// leastForRate is from how many lines a rate says something: of fewer it is
// that of the start.
const leastForRate = 1000
