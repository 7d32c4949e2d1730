package callback

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Start lets pushes be received, and what is in the inbox be applied, until Stop
// or until ctx is done. Before it every push is answered 503. Started again it
// does nothing; after Stop it fails.
func (h *Handler) Start(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return errors.New("callback: stopped before")
	}
	if h.cancel != nil {
		return nil
	}
	ctx, h.cancel = context.WithCancel(ctx)
	h.inbox.runs.Store(true)
	h.loops.Go(func() { h.inbox.run(ctx) })
	h.loops.Go(func() { h.applier.run(ctx) })
	h.loops.Go(func() { h.forward.run(ctx) })
	return nil
}

// Stop waits, at most as long as ctx, for what is being written and applied. What
// is left in the inbox is applied by another process, or after the next start.
// It may be called again, and before Start.
func (h *Handler) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopped = true
	if h.cancel != nil {
		h.cancel()
	}
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.loops.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("callback: stop: %w", ctx.Err())
	}
}

// wake lets the loop work that takes this kind of event.
func (h *Handler) wake(k eventKind) {
	c := h.applier.wake
	if k == eventForeign {
		c = h.forward.wake
	}
	select {
	case c <- struct{}{}:
	default: // it will look anyway
	}
}

// wait returns when woken, after d, or at the end.
func wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// outage logs one line when the store goes away and one when it is back. It is
// not safe for concurrent use.
type outage struct {
	logger *zap.Logger
	what   string
	from   time.Time // zero while all is well
}

func (o *outage) note(err error) {
	switch {
	case err != nil && o.from.IsZero():
		o.from = time.Now()
		o.logger.Error("store does not answer, "+o.what, zap.Error(err))
	case err == nil && !o.from.IsZero():
		o.logger.Info("store answers again", zap.Duration("away", time.Since(o.from)))
		o.from = time.Time{}
	}
}
