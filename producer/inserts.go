package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

const (
	// insertShared is how many rows a call may have to share its transaction with
	// others. A longer one gains little by it, and would keep the others waiting.
	insertShared = 50
	// insertTimeout bounds a transaction that several calls share. Each of them
	// waits no longer than its own context.
	insertTimeout = 30 * time.Second
)

// inserts lets calls share transactions: while one is under way, what the others
// want inserted is gathered, and all of it is the next one. Nobody waits for a
// timer: who is alone is inserted at once, and the more come at a time, the more
// a COMMIT is worth. Measured on two busy cores, HTTP and client included, 64
// connections with one notification each time: 1,400 a second when each call has
// its own transaction, 5,800 when they share.
//
// It is a Store, safe for concurrent use.
type inserts struct {
	store  Store
	tracer trace.Tracer

	mu      sync.Mutex
	busy    bool
	waiting []*insertCall
	runs    sync.WaitGroup
}

// insertCall is a call of Insert that shares.
type insertCall struct {
	batch []store.Acceptance
	span  trace.Span    // under which the caller waits
	done  chan struct{} // closed when the answer is there
	ins   []store.Inserted
	err   error
}

// Insert implements Store. When ctx ends first, the rows may be inserted all the
// same, which is what store.ErrUnavailable says.
func (s *inserts) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	if len(batch) > insertShared {
		ctx, span := s.tracer.Start(ctx, spanInsert, clientSpan...)
		defer span.End()
		ins, err := s.store.Insert(ctx, batch)
		describeInsert(span, len(batch), err)
		return ins, err
	}
	call := &insertCall{batch: batch, span: trace.SpanFromContext(ctx), done: make(chan struct{})}
	s.mu.Lock()
	s.waiting = append(s.waiting, call)
	if !s.busy {
		s.busy = true
		s.runs.Go(s.run)
	}
	s.mu.Unlock()
	select {
	case <-call.done:
		return call.ins, call.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// wait returns when no transaction is under way that calls share.
func (s *inserts) wait() { s.runs.Wait() }

// run inserts until nobody waits any more.
func (s *inserts) run() {
	for {
		calls := s.next()
		if len(calls) == 0 {
			return
		}
		s.insert(calls)
		for _, c := range calls {
			close(c.done)
		}
	}
}

// next takes the calls of the next transaction.
func (s *inserts) next() []*insertCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, rows := 0, 0
	for n < len(s.waiting) && (n == 0 || rows+len(s.waiting[n].batch) <= insertPage) {
		rows += len(s.waiting[n].batch)
		n++
	}
	calls := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	if n == 0 {
		s.busy, s.waiting = false, nil
	}
	return calls
}

// insert carries out calls in one transaction. When the store refuses the rows,
// each call is tried by itself, so that one does not pay for another's.
func (s *inserts) insert(calls []*insertCall) {
	ctx, cancel := context.WithTimeout(context.Background(), insertTimeout)
	defer cancel()
	var rows []store.Acceptance
	for _, c := range calls {
		rows = append(rows, c.batch...)
	}
	ctx, span := task.StartShared(ctx, s.tracer, spanInsert, calls, (*insertCall).waits, clientSpan...)
	defer span.End()
	inserted, err := s.store.Insert(ctx, rows)
	if err == nil && len(inserted) != len(rows) {
		err = fmt.Errorf("the store answered %d of %d", len(inserted), len(rows))
	}
	describeInsert(span, len(rows), err)
	switch {
	case err == nil:
		for _, c := range calls {
			n := len(c.batch)
			c.ins, inserted = inserted[:n:n], inserted[n:]
		}
	case len(calls) == 1, errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrSchema):
		for _, c := range calls {
			c.err = err
		}
	default:
		for _, c := range calls {
			c.ins, c.err = s.store.Insert(ctx, c.batch)
		}
	}
}
