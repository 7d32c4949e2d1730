package worker

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// A panic in the middle of a call ends nothing but this delivery: what the
// delivery held is free for the next, and the row is a doubt when its lease is
// over, since nobody knows whether anything was written.
func TestPanicInACallFreesWhatItHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.concurrency = 1
	const secret = "token-in-a-panic"
	var panicked atomic.Bool
	r.edit = func(c *Config) {
		next := c.Sender
		c.Sender = senderFunc(func(ctx context.Context, token string, m wechat.Message) (wechat.Receipt, error) {
			if panicked.CompareAndSwap(false, true) {
				panic(secret)
			}
			return next.Send(ctx, token, m)
		})
	}
	p := r.prepare()
	app := p.app(r.appID)
	// A pause that is over: each call has to take the probe, too.
	app.gate.close(r.ctx, "account", 48001, "was barred", time.Millisecond)
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	openID := simulator.OpenID("same")
	to := func(n *store.Notification) { n.OpenID = openID }
	first := r.send(to)
	taskID := task.ID(first.ID, first.Generation)
	r.awaitTaskState(taskID, asynq.TaskStateRetry)
	if got := r.lastErr(taskID); got != errPanic.Error() {
		t.Errorf("asynq stores %q, want %q", got, errPanic)
	}
	if got := r.get(first.ID); got.State != store.Sending || got.Seq != 1 {
		t.Errorf("row %s after %d claims, want sending", got.State, got.Seq)
	}
	if got := r.redis.Exists(r.ctx, app.gate.probeKey()).Val(); got != 0 {
		t.Error("the probe is still out")
	}
	second := r.send(to)
	r.awaitState(second.ID, store.Sent)
	if got := counter(t, p.registry, "wxnotify_worker_in_flight", "app", r.appID); got != 0 {
		t.Errorf("metric: %v calls in flight, want none", got)
	}
	r.wantSends(1)
	for _, e := range r.logs.All() {
		for _, f := range e.Context {
			if strings.Contains(f.String, secret) || strings.Contains(e.Message, secret) {
				t.Errorf("the panic's value is in the log: %q", e.Message)
			}
		}
	}
	p.stop() // waits for nothing that the panic left behind
}

// asynq calls its hooks outside its own recover: a panic there would end the
// process with every call in flight.
func TestPanicInAHookDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var panicked atomic.Bool
	r.edit = func(c *Config) {
		c.Store = &faultyStore{Store: c.Store, adopt: func(_ store.Acceptance, call func() (store.Look, error)) (store.Look, error) {
			if panicked.CompareAndSwap(false, true) {
				panic("in the error handler")
			}
			return call()
		}}
	}
	id, _ := r.raw(rawReport(simulator.OpenID("late")), asynq.Deadline(time.Now().Add(-time.Second)))
	r.start()
	eventually(t, "the hook panicked", panicked.Load)
	n := r.send()
	r.awaitState(n.ID, store.Sent)
	// The next retry finds the deadline gone by again, and then it is noted.
	r.awaitState(id, store.Expired)
}

// The three hooks that a server gets are the guarded ones.
func TestHooksOfAServerAreGuarded(t *testing.T) {
	t.Parallel()
	w := &Worker{cfg: Config{}}
	w.cfg.setDefaults()
	c := w.asynqConfig(&server{w: w})
	if !c.IsFailure(panicError{}) {
		t.Error("an error that panics when it is looked at must count as a failure")
	}
	if got := c.RetryDelayFunc(0, panicError{}, nil); got != defaultRetryDelay {
		t.Errorf("retry after %v, want %v", got, defaultRetryDelay)
	}
}

// panicError panics when errors.Is or errors.As asks it.
type panicError struct{}

func (panicError) Error() string { return "panics" }
func (panicError) As(any) bool   { panic("as") }
func (panicError) Is(error) bool { panic("is") }
