package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

const (
	// sendBatch is how many lines are handed in at once.
	sendBatch = 1000
	// sendTimeout bounds one batch. It does not end with an interrupt: that way
	// it is always known what was accepted.
	sendTimeout = time.Minute
)

// sendFile hands in the lines of a file.
func (p *program) sendFile(cmd *cobra.Command, f *sendFlags, path string) error {
	in, size, err := p.openInput(path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	return p.withSender(cmd, f, func(ctx context.Context, s *sender) error {
		checker, err := newChecker(s)
		if err != nil {
			return err
		}
		run := &sendRun{
			sender: s, strict: f.strict, checker: checker,
			report: &sendReport{p: p, asJSON: f.asJSON, progress: p.newProgress(), size: size, began: time.Now()},
		}
		if f.wait > 0 {
			run.report.waiting = &sendWait{lines: map[uuid.UUID][]sendLine{}}
		}
		err = run.all(ctx, in)
		run.report.end()
		if f.wait > 0 {
			return p.waitForAll(ctx, s, run.report, f, err)
		}
		if err == nil && run.report.bad > 0 {
			err = errors.New(run.report.leftOut())
		}
		return err
	})
}

// sendItem is one line on its way: a notification, or what is wrong with it.
type sendItem struct {
	line   int
	n      producer.Notification
	faults task.FieldErrors
	read   int64 // bytes of the file up to its end
	err    error // of the file; the last item
}

// sendRun is one file under way.
type sendRun struct {
	sender  *sender
	checker *producer.Client
	strict  bool
	report  *sendReport
}

// all reads and hands in until the file ends, ctx is over or something fails.
// A batch is what was read while the one before it was handed in, so a pipe
// that gives a line now and then waits for nothing.
func (r *sendRun) all(ctx context.Context, in io.Reader) error {
	// The reader may be stuck in the file when the run ends; it then ends with
	// the process, or with the file's next line.
	readCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	items := make(chan sendItem, sendBatch)
	go readItems(readCtx, in, r.sender, items)
	for {
		batch, end := r.collect(ctx, items)
		if err := r.handIn(ctx, batch); err != nil {
			return err
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(end, io.EOF):
			return nil
		case end != nil:
			return fmt.Errorf("read the file after line %s: %w", thousands(r.report.lines), end)
		case r.strict && r.report.bad > 0:
			return fmt.Errorf("stopped at line %d: of the lines before it all are accepted, from there on none", r.report.firstBad)
		}
	}
}

// readItems parses lines until the file ends or nobody listens any more.
func readItems(ctx context.Context, in io.Reader, s *sender, items chan<- sendItem) {
	lines := newJSONLines(in)
	for {
		b, err := lines.next()
		it := sendItem{line: lines.line, read: lines.read}
		switch {
		case errors.Is(err, errLongLine):
			it.faults = task.FieldErrors{{Reason: err.Error()}}
		case err != nil:
			it.err = err
		default:
			it.n, it.faults = s.parseLine(b)
		}
		select {
		case items <- it:
		case <-ctx.Done():
			return
		}
		if it.err != nil {
			return
		}
	}
}

// collect waits for one line and takes what else is there. end is not nil after
// the last one. In strict mode a batch ends at its first bad line, and after a
// line with a ref: only the database knows whether that is a bad one.
func (r *sendRun) collect(ctx context.Context, items <-chan sendItem) (batch []sendItem, end error) {
	var it sendItem
	for len(batch) < sendBatch {
		if len(batch) == 0 {
			select {
			case it = <-items:
			case <-ctx.Done():
				return nil, nil
			}
		} else {
			select {
			case it = <-items:
			default:
				return batch, nil
			}
		}
		if it.err != nil {
			return batch, it.err
		}
		if r.strict && len(it.faults) == 0 {
			it.faults = r.check(ctx, it.n)
		}
		batch = append(batch, it)
		if r.strict && (len(it.faults) > 0 || it.n.Ref != "") {
			return batch, nil
		}
	}
	return batch, nil
}

// handIn accepts a batch and reports each line of it.
func (r *sendRun) handIn(ctx context.Context, batch []sendItem) error {
	if len(batch) == 0 {
		return nil
	}
	ns := make([]producer.Notification, 0, len(batch))
	for _, it := range batch {
		if len(it.faults) == 0 {
			ns = append(ns, it.n)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	results, err := r.sender.client.SendBatch(ctx, ns)
	if err != nil && len(results) != len(ns) {
		return err
	}
	unknown := 0
	for _, it := range batch {
		if len(it.faults) > 0 {
			r.report.line(it, sendLine{Errors: jsonFaults(it.faults)})
			continue
		}
		res := results[0]
		results = results[1:]
		switch {
		case res.Err == nil:
			r.report.queueErr(res.QueueErr)
			r.report.line(it, sendLine{ID: &res.ID, Ref: it.n.Ref, State: res.State, Duplicate: &res.Duplicate})
		case err != nil && !errors.As(res.Err, new(task.FieldErrors)) && !errors.Is(res.Err, store.ErrConflict):
			unknown++
			r.report.unknown(it)
		default:
			r.report.line(it, sendLine{Errors: jsonFaults(faultsOf(res.Err))})
		}
	}
	if flushErr := r.report.flush(); flushErr != nil {
		return flushErr
	}
	if err != nil {
		first, last := batch[0].line, batch[len(batch)-1].line
		return fmt.Errorf("stopped: of lines %d to %d %s may or may not be accepted, after them none: %w",
			first, last, thousands(unknown), err)
	}
	return nil
}

// faultsOf is what is wrong with one notification that was not accepted.
func faultsOf(err error) task.FieldErrors {
	if faults, ok := errors.AsType[task.FieldErrors](err); ok {
		return faults
	}
	if errors.Is(err, store.ErrConflict) {
		return task.FieldErrors{{Field: "ref", Reason: "was used for another notification"}}
	}
	return task.FieldErrors{{Reason: err.Error()}}
}

// newChecker makes a client that checks and accepts nothing, for strict mode,
// in which a bad line has to be found before those after it are handed in.
func newChecker(s *sender) (*producer.Client, error) {
	return producer.New(producer.Config{Store: nowhere{}, Producer: cliProducer, App: s.app, MaxAge: s.cfg.MaxAge})
}

// check is what producer would say about n.
func (r *sendRun) check(ctx context.Context, n producer.Notification) task.FieldErrors {
	if _, err := r.checker.Send(ctx, n); err != nil {
		return faultsOf(err)
	}
	return nil
}

// nowhere is a store that forgets what it takes.
type nowhere struct{}

// Insert implements producer.Store.
func (nowhere) Insert(_ context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	inserted := make([]store.Inserted, len(batch))
	for i, a := range batch {
		inserted[i] = store.Inserted{ID: a.Notification.ID, State: store.Queued}
	}
	return inserted, nil
}
