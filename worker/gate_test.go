package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// gatePair is the gate of one app in two processes.
func gatePair(t *testing.T) (a, b *gate, rdb *redis.Client) {
	t.Helper()
	rdb = testRedis(t)
	app := testAppID()
	newOne := func() *gate {
		return newGate(app, task.Queues(app, "the-default"), rdb, zap.NewNop(), 15*time.Second, func(string, bool) {})
	}
	a, b = newOne(), newOne()
	t.Cleanup(func() {
		rdb.Del(context.Background(), a.key(), a.probeKey())
		a.unpauseQueues(context.Background())
	})
	return a, b, rdb
}

func mustRefresh(t *testing.T, gs ...*gate) {
	t.Helper()
	for _, g := range gs {
		if err := g.refresh(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGateClosesTheFleetAndItsQueues(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b, rdb := gatePair(t)
	a.close(ctx, "throttled_day", 45009, "daily quota", time.Minute)
	if _, no := a.enter(ctx); no == nil {
		t.Error("the process that closed the gate still sends")
	}
	mustRefresh(t, b)
	if _, no := b.enter(ctx); no == nil {
		t.Error("the other process still sends after a refresh")
	}
	for _, q := range a.queues {
		ttl := rdb.PTTL(ctx, pauseKey(q)).Val()
		if ttl <= 50*time.Second || ttl > time.Minute {
			t.Errorf("pause of queue %s ends in %v, want just under a minute", q, ttl)
		}
	}
	if p := b.state(); p == nil || p.Errcode != 45009 || p.Why != "daily quota" {
		t.Errorf("the other process knows %+v, want the errcode and the reason", p)
	}
}

func TestGateLeavesAPersonsPauseAlone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, _, rdb := gatePair(t)
	q := a.queues[0]
	rdb.Set(ctx, pauseKey(q), "1", 0)
	t.Cleanup(func() { rdb.Del(ctx, pauseKey(q)) })
	a.close(ctx, "account", 48001, "why", time.Minute)
	a.open(ctx)
	if ttl := rdb.PTTL(ctx, pauseKey(q)).Val(); ttl != -1 {
		t.Errorf("the pause without TTL has now PTTL %v, want -1", ttl)
	}
	if n := rdb.Exists(ctx, pauseKey(a.queues[1])).Val(); n != 0 {
		t.Error("the automatic pause of another queue is still there")
	}
}

// halfOpen lets the pause of both gates be over.
func halfOpen(t *testing.T, gs ...*gate) {
	t.Helper()
	gs[0].close(context.Background(), "account", 48001, "why", time.Millisecond)
	mustRefresh(t, gs[1:]...)
	eventually(t, "the pause is over", func() bool {
		for _, g := range gs {
			if time.Until(g.state().until) > 0 {
				return false
			}
		}
		return true
	})
}

func TestHalfOpenGateAllowsOneProbeInTheFleet(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b, rdb := gatePair(t)
	halfOpen(t, a, b)
	p, no := a.enter(ctx)
	if no != nil {
		t.Fatal("the first may probe")
	}
	for _, g := range []*gate{a, b} {
		if _, no := g.enter(ctx); no == nil {
			t.Fatal("a second message went out beside the probe")
		}
	}
	if rdb.Exists(ctx, pauseKey(a.queues[2])).Val() == 0 {
		t.Error("while the probe is out the queues are not paused, so every task would churn")
	}
	p.done(ctx, appUnknown)
	q, no := b.enter(ctx)
	if no != nil {
		t.Fatal("after a probe that told nothing the next may probe")
	}
	q.done(ctx, appWorks)
	mustRefresh(t, a)
	for _, g := range []*gate{a, b} {
		if p, no := g.enter(ctx); no != nil || p.probe != "" {
			t.Error("after a probe that worked the gate is not open")
		}
	}
	if n := rdb.Exists(ctx, pauseKey(a.queues[0]), a.probeKey()).Val(); n != 0 {
		t.Errorf("%d keys of the pause are left", n)
	}
}

func TestFailedProbeClosesAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b, rdb := gatePair(t)
	halfOpen(t, a, b)
	p, no := a.enter(ctx)
	if no != nil {
		t.Fatal("the first may probe")
	}
	since := a.state().since
	a.close(ctx, "account", 48001, "why", 10*time.Second)
	p.done(ctx, appFails)
	if ttl := rdb.PTTL(ctx, pauseKey(a.queues[0])).Val(); ttl > 10*time.Second || ttl < 5*time.Second {
		t.Errorf("after a failed probe the queue is paused for %v, want the interval of 10 s, not the probe's 15", ttl)
	}
	mustRefresh(t, b)
	if _, no := b.enter(ctx); no == nil {
		t.Error("after a failed probe another message went out within the interval")
	}
	if got := a.state().since; !got.Equal(since) {
		t.Errorf("since %v, want the first pause's %v", got, since)
	}
}

func TestCallsInFlightDoNotStretchAPause(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, _, _ := gatePair(t)
	a.close(ctx, "throttled", 45011, "minute", time.Minute)
	until := a.state().until
	a.close(ctx, "throttled", 45011, "minute", time.Minute)
	if !a.state().until.Equal(until) {
		t.Error("an answer to a call that was in flight moved the end of the pause")
	}
}

func TestPauseIsSharedWhenRedisIsBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b, rdb := gatePair(t)
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { _ = gone.Close() })
	a.redis = gone
	a.close(ctx, "account", 48001, "why", time.Minute)
	if _, no := a.enter(ctx); no == nil {
		t.Fatal("without Redis the process itself must hold still")
	}
	a.redis = rdb
	mustRefresh(t, a, b)
	if _, no := b.enter(ctx); no == nil {
		t.Error("the pause did not reach the other process")
	}
	if _, no := a.enter(ctx); no == nil {
		t.Error("the refresh lost the pause that only this process knew")
	}
}

func TestRestsDoubleAndEnd(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b, _ := gatePair(t)
	scope := openIDScope("o-secret-openid")
	if got := a.restScope(ctx, scope, 0); got != restFirst {
		t.Errorf("first rest %v, want %v", got, restFirst)
	}
	if got := a.restScope(ctx, scope, 0); got > restFirst {
		t.Errorf("an answer to a call in flight made the rest %v", got)
	}
	mustRefresh(t, b)
	if left := b.resting("openid:x", scope); left <= restFirst-time.Minute {
		t.Errorf("the other process lets it rest %v, want about %v", left, restFirst)
	}
	a.mu.Lock()
	r := a.rests[scope]
	r.until = time.Now().Add(-time.Second)
	a.rests[scope] = r
	a.mu.Unlock()
	if got := a.restScope(ctx, scope, 0); got != 2*restFirst {
		t.Errorf("second rest %v, want %v", got, 2*restFirst)
	}
	a.success(ctx, scope)
	mustRefresh(t, a, b)
	if a.resting(scope) != 0 || b.resting(scope) != 0 {
		t.Error("a success did not end the rest")
	}
}

func TestFaultsInARowAreCountedByTheFleet(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	a, b, _ := gatePair(t)
	scope := templateScope("T")
	a.fault(ctx, scope)
	if n := b.fault(ctx, scope); n != 2 {
		t.Errorf("second fault counted as %d", n)
	}
	mustRefresh(t, a)
	a.success(ctx, scope)
	if n := b.fault(ctx, scope); n != 1 {
		t.Errorf("after a success the next fault counts as %d, want 1", n)
	}
}

func TestPacerSharesOneRate(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	rdb := testRedis(t)
	app := testAppID()
	const perSecond = 50
	procs := []*pacer{newPacer(app, perSecond, rdb), newPacer(app, perSecond, rdb)}
	start := time.Now()
	const n = 100
	for i := range n {
		if _, ok := procs[i%2].wait(ctx, store.Default, 10*time.Second); !ok {
			t.Fatal("no permit in ten seconds")
		}
	}
	// The first block of 5 is free; the rest comes at 50 a second together.
	if took := time.Since(start); took < (n-3*5)*time.Second/perSecond {
		t.Errorf("%d permits in %v: two processes together exceed %d a second", n, took, perSecond)
	}
	if newPacer(app, 0, rdb) != nil {
		t.Error("rate 0 is no limit")
	}
}

func TestPacerGivesUpInsteadOfWaitingLong(t *testing.T) {
	t.Parallel()
	p := newPacer(testAppID(), 1, testRedis(t))
	if _, ok := p.wait(context.Background(), store.Default, 0); !ok {
		t.Fatal("the first permit is free")
	}
	if after, ok := p.wait(context.Background(), store.Default, 10*time.Millisecond); ok || after <= 0 {
		t.Errorf("second permit: ok %v after %v; want no, and when to come back", ok, after)
	}
}

// A backlog that uses up the rate does not keep it from a higher priority.
func TestPacerServesHigherPrioritiesFirst(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	p := newPacer(testAppID(), 20, testRedis(t))
	var given atomic.Int64
	var backlog sync.WaitGroup
	for range 200 {
		backlog.Go(func() {
			for ctx.Err() == nil {
				if _, ok := p.wait(ctx, store.Low, time.Minute); ok {
					given.Add(1)
				}
			}
		})
	}
	eventually(t, "the backlog waits", func() bool { return given.Load() > 2 && waiting(p.turn, p.key, store.Low) > 150 })
	for range 3 {
		before := given.Load()
		if _, ok := p.wait(ctx, store.Critical, time.Minute); !ok {
			t.Fatal("no permit in a minute")
		}
		// Who holds the turn goes first, and what is counted late.
		if others := given.Load() - before; others > 5 {
			t.Errorf("%d of the backlog were served before", others)
		}
	}
	cancel()
	backlog.Wait()
}
