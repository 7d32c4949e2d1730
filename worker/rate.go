package worker

import (
	"context"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/wxnotify/wxnotify/store"
)

// pacer holds the messages of one app to a rate that the whole fleet shares.
// Each process borrows permits from a bucket in Redis in blocks, so that a
// message costs far less than a round trip; what a process borrowed and did not
// use within borrowLife is lost, never sent later in a burst. With Redis away
// each process holds itself to the full rate.
type pacer struct {
	key     string
	limit   redis_rate.Limit
	block   int
	limiter *redis_rate.Limiter
	alone   *rate.Limiter
	// turn is held by who gets the next permit. The others wait for it as for a
	// slot: where the rate is the bound, a backlog of one priority must not keep the
	// permits from a higher one.
	turn *slots

	// Of the holder of the turn.
	have     int
	borrowed time.Time
	retryAt  time.Time // the bucket was empty; no use in asking before
}

const (
	// blocksPerSecond: at full rate a process asks Redis this often.
	blocksPerSecond = 10
	borrowLife      = time.Second
)

// newPacer returns nil when perSecond is 0: no limit.
func newPacer(app string, perSecond int, rdb redis.UniversalClient) *pacer {
	if perSecond <= 0 {
		return nil
	}
	block := max(perSecond/blocksPerSecond, 1)
	return &pacer{
		key:     "wxnotify:" + app,
		limit:   redis_rate.Limit{Rate: perSecond, Burst: block, Period: time.Second},
		block:   block,
		limiter: redis_rate.NewLimiter(rdb),
		alone:   rate.NewLimiter(rate.Limit(perSecond), block),
		turn:    newSlots(1),
	}
}

// wait takes one permit, waiting at most limit; after is when to come back when
// it did not get one.
func (p *pacer) wait(ctx context.Context, priority store.Priority, limit time.Duration) (after time.Duration, ok bool) {
	if p == nil {
		return 0, true
	}
	deadline := time.Now().Add(limit)
	patient, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	turn, err := p.turn.acquire(patient, p.key, priority)
	if err != nil {
		return time.Second / blocksPerSecond, false
	}
	defer turn.release()
	for {
		next, ok := p.take(ctx)
		if ok {
			return 0, true
		}
		if time.Now().Add(next).After(deadline) {
			return next, false
		}
		t := time.NewTimer(next)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return next, false
		}
	}
}

// take is for the holder of the turn: one of a process asks, and the others get of
// what came.
func (p *pacer) take(ctx context.Context) (next time.Duration, ok bool) {
	if time.Since(p.borrowed) > borrowLife {
		p.have = 0
	}
	if p.have > 0 {
		p.have--
		return 0, true
	}
	if left := time.Until(p.retryAt); left > 0 {
		return left, false
	}
	res, err := p.limiter.AllowAtMost(ctx, p.key, p.limit, p.block)
	if err != nil {
		if p.alone.Allow() {
			return 0, true
		}
		return time.Second / blocksPerSecond, false
	}
	if res.Allowed == 0 {
		wait := max(res.RetryAfter, time.Millisecond)
		p.retryAt = time.Now().Add(wait)
		return wait, false
	}
	p.have, p.borrowed = res.Allowed-1, time.Now()
	return 0, true
}
