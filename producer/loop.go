package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrStopped is returned when a Relay or a Retention is started that was stopped.
var ErrStopped = errors.New("producer: stopped before")

// loop runs one function in the background, once. The zero value is ready.
type loop struct {
	mu      sync.Mutex
	cancel  context.CancelFunc // nil until started
	done    chan struct{}
	stopped bool
}

// start lets run go on until stop or until ctx is done. Started again it does
// nothing.
func (l *loop) start(ctx context.Context, run func(context.Context)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return ErrStopped
	}
	if l.cancel != nil {
		return nil
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		run(ctx)
	}()
	return nil
}

// stop ends run and waits for it, at most as long as ctx; what names it in the
// error. It may be called again, and before start.
func (l *loop) stop(ctx context.Context, what string) error {
	l.mu.Lock()
	l.stopped = true
	cancel, done := l.cancel, l.done
	l.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("producer: stop %s: %w", what, ctx.Err())
	}
}
