package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// The store commits and the reply is lost: the committer asks again and must get
// the same answer, without a second claim, attempt or spending.
func TestLostReplyOfACommit(t *testing.T) {
	t.Parallel()
	busy := simulator.Fault{API: simulator.APISend, Action: simulator.ActStatus, Status: 412, Count: 1}
	for name, tc := range map[string]struct {
		lose  func(store.Batch) bool
		fault simulator.Fault
		sends int
		spent int
	}{
		"claim":                   {lose: func(b store.Batch) bool { return len(b.Claims) > 0 }, sends: 1},
		"settlement of a success": {lose: func(b store.Batch) bool { return len(b.Settlements) > 0 }, sends: 1},
		"settlement that spends":  {lose: func(b store.Batch) bool { return len(b.Settlements) > 0 }, fault: busy, sends: 2, spent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.editTiming = func(tm *timing) { tm.backoff = []time.Duration{time.Millisecond} }
			if tc.fault.Action != "" {
				r.fault(tc.fault)
			}
			var lost atomic.Bool
			r.edit = func(c *Config) {
				c.Store = &faultyStore{Store: c.Store, commit: func(b store.Batch, call func() (store.Results, error)) (store.Results, error) {
					res, err := call()
					if err == nil && tc.lose(b) && lost.CompareAndSwap(false, true) {
						return store.Results{}, fmt.Errorf("commit: %w: connection reset", store.ErrUnavailable)
					}
					return res, err
				}}
			}
			r.start()
			n := r.send()
			got := r.awaitState(n.ID, store.Sent)
			as := r.attempts(n.ID)
			if got.Seq != tc.sends || got.Spent != tc.spent || len(as) != tc.sends {
				t.Errorf("%d claims, %d spent, %d attempts; want %d, %d, %d", got.Seq, got.Spent, len(as), tc.sends, tc.spent, tc.sends)
			}
			r.awaitNoTask(task.ID(n.ID, n.Generation))
			if !lost.Load() {
				t.Error("no reply was lost")
			}
			r.wantSends(tc.sends)
			if got := r.logs.FilterMessage("answer settled").Len(); got != tc.sends {
				t.Errorf("%d answers count as settled, want %d", got, tc.sends)
			}
		})
	}
}

// WeChat has answered and the store is away: the answer is held, nothing else is
// claimed, asynq's patience does not matter, and Stop waits.
func TestAnswerIsHeldWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sendTimeout = time.Second
	var away atomic.Bool
	var tries atomic.Int64
	r.edit = func(c *Config) {
		c.Store = &faultyStore{Store: c.Store, commit: func(_ store.Batch, call func() (store.Results, error)) (store.Results, error) {
			if away.Load() {
				tries.Add(1)
				return store.Results{}, fmt.Errorf("commit: %w", store.ErrUnavailable)
			}
			return call()
		}}
	}
	p := r.start()
	t.Cleanup(func() { away.Store(false) })
	r.sim.SetLatency(200 * time.Millisecond)
	n := r.send()
	r.awaitSim("the call is under way", func(s simulator.State) bool { return s.Requests[simulator.APISend] == 1 })
	away.Store(true)
	r.awaitSim("WeChat has answered", func(s simulator.State) bool { return s.Accepted == 1 })
	eventually(t, "the store is away", p.StoreAway)
	if d := p.Degraded(); len(d) != 1 || d[0].Part != "store" || d[0].Since.IsZero() {
		t.Errorf("degraded %+v, want the store", d)
	}
	second := r.send()

	var stopping sync.WaitGroup
	var stopErr error
	stopped := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stopping.Go(func() {
		defer close(stopped)
		stopErr = p.Stop(ctx)
	})
	t.Cleanup(func() {
		away.Store(false)
		stopping.Wait()
	})
	before, start := tries.Load(), time.Now()
	// Longer than the call, its deadline and asynq's shutdown timeout.
	elapse(t, 8*time.Second)
	select {
	case <-stopped:
		t.Fatalf("stopped (%v) with an answer in hand", stopErr)
	default:
	}
	if rate := float64(tries.Load()-before) / time.Since(start).Seconds(); rate < 1 || rate > 10 {
		t.Errorf("%.1f tries a second, want a few", rate)
	}
	if got := r.get(n.ID); got.State != store.Sending {
		t.Errorf("row %s, want sending: the store was away", got.State)
	}
	away.Store(false)
	stopping.Wait()
	if stopErr != nil {
		t.Errorf("stop: %v", stopErr)
	}
	got := r.get(n.ID)
	if as := r.attempts(n.ID); got.State != store.Sent || len(as) != 1 || as[0].MsgID != got.MsgID {
		t.Errorf("row %s with attempts %+v, want it sent with one", got.State, as)
	}
	if p.StoreAway() {
		t.Error("the store still counts as away")
	}
	r.edit = nil
	r.start()
	r.awaitState(second.ID, store.Sent)
	r.awaitNoTask(task.ID(n.ID, n.Generation))
	r.wantSends(2)
}
