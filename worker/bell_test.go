package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// onlyRings makes a process ask an empty queue after a ring and not otherwise.
func (p *process) onlyRings() {
	for _, s := range p.now.Load().servers {
		s.intake.bell.patience = time.Hour
	}
}

// awaitIdle waits until the queue was found empty.
func (p *process) awaitIdle(t *testing.T, queue string) {
	t.Helper()
	in := p.intakes.of(pendingKey(queue))
	eventually(t, "the queue is found empty", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.dry
	})
}

// ring rings until somebody has heard it: a worker that has just started may not
// listen yet.
func (r *rig) ring(queue string) {
	r.t.Helper()
	eventually(r.t, "somebody hears the bell", func() bool {
		return r.redis.Publish(r.ctx, task.BellChannel, queue).Val() > 0
	})
}

func TestARingWakesAnIdleQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ownRedis() // so that nobody else hears
	p := r.prepare()
	p.onlyRings()
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	p.awaitIdle(t, r.queue())
	n := r.send()
	r.ring("another")
	r.ring(r.queue())
	r.awaitState(n.ID, store.Sent)
}

// A producer that does not ring, or a ring that is lost, costs bellPatience.
func TestAQueueIsAskedWithoutARing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start()
	p.awaitIdle(t, r.queue())
	r.awaitState(r.send().ID, store.Sent)
}

// What asynq itself makes pending, a retry whose time has come, needs no ring
// from outside.
func TestARetryThatIsDueWakesItsQueue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.prepare()
	p.onlyRings()
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	p.awaitIdle(t, r.queue())
	n := r.accept()
	taskID := task.ID(n.ID, n.Generation)
	r.enqueue(n)
	r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
	r.redis.ZAdd(r.ctx, r.key("retry"), redis.Z{Score: float64(time.Now().Unix()), Member: taskID})
	r.awaitState(n.ID, store.Sent)
}

// Rings are heard again after Redis was away.
func TestTheBellSurvivesAnOutageOfRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	proxy := newProxy(r)
	p := r.prepare()
	p.onlyRings()
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	p.awaitIdle(t, r.queue())
	proxy.set(cut)
	in := p.intakes.of(pendingKey(r.queue()))
	in.bell.ring() // the question fails
	proxy.set(passing)
	p.awaitIdle(t, r.queue())
	n := r.send()
	eventually(t, "a ring is heard", func() bool {
		r.redis.Publish(r.ctx, task.BellChannel, r.queue())
		return r.get(n.ID).State == store.Sent
	})
}

// Whoever may publish can make workers ask, but not more than a little.
func TestEndlessRingingDoesNotMakeAWorkerSpin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var asked atomic.Int64
	r.edit = func(c *Config) {
		c.ServerRedis.AddHook(hook{func(_ context.Context, cmd redis.Cmder, redis func() error) error {
			if script, pending := scriptOf(cmd); script == dequeueScript && pending == pendingKey(r.queue()) {
				asked.Add(1)
			}
			return redis()
		}})
	}
	p := r.start()
	p.awaitIdle(t, r.queue())
	in := p.intakes.of(pendingKey(r.queue()))
	before, start := asked.Load(), time.Now()
	eventually(t, "it rings for a while", func() bool {
		for range 100 {
			in.bell.ring()
		}
		return time.Since(start) > 500*time.Millisecond
	})
	if got, most := asked.Load()-before, int64(time.Since(start)/bellPause)+2; got > most {
		t.Errorf("asked %d times, want at most %d", got, most)
	}
}
