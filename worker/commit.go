package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// maxBatch bounds one transaction; beyond some hundred items the statements
// take longer than the commit they share.
const maxBatch = 256

// writers is how many transactions are under way at a time: while one waits for
// the disk, the other computes, and an item waits half as long for its turn.
// Transactions of one process meet as those of two processes do.
const writers = 2

// commitTimeout bounds one try, so that a store that hangs is asked again:
// every item can be repeated.
const commitTimeout = 15 * time.Second

// item is one entry of a batch and the place for its answer.
type item struct {
	claim      *store.Claim
	settlement *store.Settlement
	release    *store.Release
	move       *store.Move
	span       trace.Span // under which the caller waits

	claimed store.Claimed
	settled store.Settled
	ok      bool
	err     error
	done    chan struct{}
}

// committer writes claims, settlements, releases and moves. There is one per
// process and no timer: a batch is whatever arrived while its writers were busy.
// While the store is away everything is held and repeated; a caller that got no
// answer must not conclude anything, so there is no timeout here.
type committer struct {
	store  Store
	logger *zap.Logger
	tracer trace.Tracer
	// away is called with true when the store stops answering and with false
	// when it answers again.
	away func(bool)
	// pause is the wait between two tries while the store is away.
	pause time.Duration

	in   chan *item
	quit chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	holding int // writers whose store does not answer
}

func newCommitter(s Store, l *zap.Logger, t trace.Tracer, away func(bool)) *committer {
	return &committer{store: s, logger: l, tracer: t, away: away, pause: 250 * time.Millisecond, in: make(chan *item), quit: make(chan struct{})}
}

// holds notes that a writer began to hold what is known, or wrote it: the store
// is away as long as one of them does.
func (c *committer) holds(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.holding
	c.holding += n
	if (before == 0) != (c.holding == 0) {
		c.away(c.holding > 0)
	}
}

func (c *committer) start() {
	c.wg.Go(c.run)
}

// errStopped answers what was still asked for when the committer stopped.
var errStopped = fmt.Errorf("%w: the worker has stopped", store.ErrUnavailable)

// stop ends the committer. No claim and no settlement may be under way; a move
// that is held because the store is away is given up: its row stays as it is.
func (c *committer) stop(ctx context.Context) error {
	close(c.quit)
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the store holds the last write: %w", ctx.Err())
	}
}

func (c *committer) do(ctx context.Context, it *item) *item {
	it.span = trace.SpanFromContext(ctx)
	it.done = make(chan struct{})
	select {
	case c.in <- it:
		<-it.done
	case <-c.quit:
		it.err = errStopped
	}
	return it
}

func (c *committer) claim(ctx context.Context, cl store.Claim) (store.Claimed, error) {
	it := c.do(ctx, &item{claim: &cl})
	return it.claimed, it.err
}

func (c *committer) settle(ctx context.Context, s store.Settlement) (store.Settled, error) {
	it := c.do(ctx, &item{settlement: &s})
	return it.settled, it.err
}

func (c *committer) release(ctx context.Context, r store.Release) (bool, error) {
	it := c.do(ctx, &item{release: &r})
	return it.ok, it.err
}

func (c *committer) move(ctx context.Context, m store.Move) (bool, error) {
	it := c.do(ctx, &item{move: &m})
	return it.ok, it.err
}

// run collects items while the writers are busy, so that the next batch is ready
// when one returns.
func (c *committer) run() {
	work := make(chan []*item)
	idle := make(chan struct{}, writers)
	for range writers {
		idle <- struct{}{}
		c.wg.Go(func() {
			for batch := range work {
				c.write(batch)
				idle <- struct{}{}
			}
		})
	}
	defer close(work)

	var pending []*item
	for {
		ready := idle
		if len(pending) == 0 {
			ready = nil
		}
		select {
		case it := <-c.in:
			pending = append(pending, it)
		case <-ready:
			batch, rest := takeBatch(pending)
			pending = rest
			if !pausesTemplate(batch) {
				work <- batch
				continue
			}
			for range writers - 1 {
				<-idle
			}
			work <- batch
			<-idle // it is written
			for range writers {
				idle <- struct{}{}
			}
		case <-c.quit:
			for _, it := range pending {
				it.err = errStopped
				close(it.done)
			}
			return
		}
	}
}

// pausesTemplate reports whether the batch has to be written alone: a claim that
// is asked for after it must find the template paused.
func pausesTemplate(batch []*item) bool {
	return slices.ContainsFunc(batch, func(it *item) bool { return it.settlement != nil && it.settlement.PauseTemplate })
}

// takeBatch cuts off at most maxBatch items of different notifications; a
// second item of the same notification waits for the next batch.
func takeBatch(pending []*item) (batch, rest []*item) {
	seen := make(map[uuid.UUID]bool, len(pending))
	for _, it := range pending {
		if id := it.id(); len(batch) < maxBatch && !seen[id] {
			seen[id] = true
			batch = append(batch, it)
			continue
		}
		rest = append(rest, it)
	}
	return batch, rest
}

func (it *item) id() uuid.UUID {
	switch {
	case it.claim != nil:
		return it.claim.ID
	case it.settlement != nil:
		return it.settlement.ID
	case it.release != nil:
		return it.release.ID
	default:
		return it.move.ID
	}
}

// write commits the batch, however long the store is away. A batch that fails
// for another reason is split down to the single item, whose caller gets the
// error.
func (c *committer) write(items []*item) {
	res, err := c.insist(items)
	switch {
	case err == nil:
		answer(items, res)
	case len(items) == 1 || errors.Is(err, errStopped):
		for _, it := range items {
			it.err = err
			close(it.done)
		}
	default:
		half := len(items) / 2
		c.write(items[:half])
		c.write(items[half:])
	}
}

func (c *committer) insist(items []*item) (store.Results, error) {
	b := batchOf(items)
	traced, span := startCommit(c.tracer, items)
	defer span.End()
	for away := false; ; {
		ctx, cancel := context.WithTimeout(traced, commitTimeout)
		res, err := c.store.Commit(ctx, b)
		hung := ctx.Err() != nil
		cancel()
		if err == nil || !hung && !errors.Is(err, store.ErrUnavailable) {
			if away {
				c.holds(-1)
				c.logger.Info("store answers again", zap.Int("held", len(items)))
			}
			describeCommit(span, b, err)
			return res, err
		}
		if !away {
			away = true
			c.holds(1)
			c.logger.Error("store does not answer; holding what is known", zap.Int("held", len(items)), zap.Error(err))
		}
		t := time.NewTimer(c.pause)
		select {
		case <-t.C:
		case <-c.quit:
			t.Stop()
			return store.Results{}, errStopped
		}
	}
}

func batchOf(items []*item) store.Batch {
	var b store.Batch
	for _, it := range items {
		switch {
		case it.claim != nil:
			b.Claims = append(b.Claims, *it.claim)
		case it.settlement != nil:
			b.Settlements = append(b.Settlements, *it.settlement)
		case it.release != nil:
			b.Releases = append(b.Releases, *it.release)
		default:
			b.Moves = append(b.Moves, *it.move)
		}
	}
	return b
}

func answer(items []*item, res store.Results) {
	var claims, settlements, releases, moves int
	for _, it := range items {
		switch {
		case it.claim != nil:
			it.claimed = res.Claims[claims]
			claims++
		case it.settlement != nil:
			it.settled = res.Settlements[settlements]
			settlements++
		case it.release != nil:
			it.ok = res.Releases[releases]
			releases++
		default:
			it.ok = res.Moves[moves]
			moves++
		}
		close(it.done)
	}
}
