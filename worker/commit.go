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

const (
	// writers is how many transactions are under way at a time: while one waits for
	// the disk, the other computes. Transactions of one process meet as those of two
	// processes do.
	writers = 2
	// worthwhile is how many items the second one begins for: an item of a small
	// transaction costs up to twice that of a large one.
	worthwhile = maxBatch / 2
	// stuckAfter is how long a transaction is under way before the second writer
	// takes whatever waits: it may be held by a lock or a connection that is lost.
	stuckAfter = 50 * time.Millisecond
)

// commitTimeout bounds one try, so that a store that hangs is asked again:
// every item can be repeated.
const commitTimeout = 15 * time.Second

// committer writes claims, settlements, releases and moves. There is one per
// process, and nothing waits for a timer: a batch is whatever arrived while the
// last one was written.
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
	// stuckAfter is the constant, but in tests.
	stuckAfter time.Duration

	more chan struct{} // holds a token when something may be due
	quit chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	holding int // writers whose store does not answer

	asked   sync.Mutex // guards what follows
	pending []*item
	stopped bool
}

func newCommitter(s Store, l *zap.Logger, t trace.Tracer, away func(bool)) *committer {
	return &committer{
		store: s, logger: l, tracer: t, away: away, pause: 250 * time.Millisecond, stuckAfter: stuckAfter,
		more: make(chan struct{}, 1), quit: make(chan struct{}),
	}
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

// do returns when the item has its answer.
func (c *committer) do(ctx context.Context, it *item) {
	it.span = trace.SpanFromContext(ctx)
	c.asked.Lock()
	if c.stopped {
		c.asked.Unlock()
		it.err = errStopped
		return
	}
	c.pending = append(c.pending, it)
	c.asked.Unlock()
	c.tell()
	<-it.done
}

// tell lets run see whether something is due.
func (c *committer) tell() {
	select {
	case c.more <- struct{}{}:
	default: // it is known
	}
}

// claim puts the row into look, when it is found. The row goes by pointer, as in
// all that waits for an answer: a thousand stacks are the most of a worker's memory.
func (c *committer) claim(ctx context.Context, cl store.Claim, look *store.Look) (ok, found bool, err error) {
	it := newItem(claimItem)
	defer it.free()
	it.claim = cl
	c.do(ctx, it)
	if it.claimed.Found {
		*look = it.claimed.Look
	}
	return it.claimed.OK, it.claimed.Found, it.err
}

func (c *committer) settle(ctx context.Context, s *store.Settlement) (store.Settled, error) {
	it := newItem(settlementItem)
	defer it.free()
	it.settlement = *s
	c.do(ctx, it)
	return it.settled, it.err
}

func (c *committer) release(ctx context.Context, r store.Release) (bool, error) {
	it := newItem(releaseItem)
	defer it.free()
	it.release = r
	c.do(ctx, it)
	return it.ok, it.err
}

func (c *committer) move(ctx context.Context, m store.Move) (bool, error) {
	it := newItem(moveItem)
	defer it.free()
	it.move = m
	c.do(ctx, it)
	return it.ok, it.err
}

// run hands batches to the writers: to the first what has become pending, to the
// second when that is much or the first is stuck.
func (c *committer) run() {
	work := make(chan []*item)
	idle := make(chan struct{}, writers)
	for range writers {
		idle <- struct{}{}
		c.wg.Go(func() {
			for batch := range work {
				c.write(batch)
				idle <- struct{}{}
				c.tell()
			}
		})
	}
	defer c.giveUp()
	defer close(work)

	seen := make(map[uuid.UUID]bool, maxBatch)
	began := time.Now()
	stuck := time.NewTimer(c.stuckAfter)
	defer stuck.Stop()
	for {
		select {
		case <-c.more:
		case <-stuck.C:
		case <-c.quit:
			return
		}
		for c.due(len(idle), began) {
			<-idle
			batch := c.take(seen)
			began = time.Now()
			stuck.Reset(c.stuckAfter)
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
		}
	}
}

// due reports whether a batch is to be written now. The last one began then.
func (c *committer) due(idle int, began time.Time) bool {
	c.asked.Lock()
	n := len(c.pending)
	c.asked.Unlock()
	switch {
	case n == 0 || idle == 0:
		return false
	case idle == writers || n >= worthwhile:
		return true
	default:
		return time.Since(began) >= c.stuckAfter
	}
}

// giveUp answers what is still asked for, and will be.
func (c *committer) giveUp() {
	c.asked.Lock()
	defer c.asked.Unlock()
	c.stopped = true
	for _, it := range c.pending {
		it.answer(errStopped)
	}
	c.pending = nil
}

// take cuts the next batch off what is pending. seen is for its use alone.
func (c *committer) take(seen map[uuid.UUID]bool) (batch []*item) {
	clear(seen)
	c.asked.Lock()
	defer c.asked.Unlock()
	batch, c.pending = takeBatch(c.pending, seen)
	return batch
}

// pausesTemplate reports whether the batch has to be written alone: a claim that
// is asked for after it must find the template paused.
func pausesTemplate(batch []*item) bool {
	return slices.ContainsFunc(batch, func(it *item) bool { return it.what == settlementItem && it.settlement.PauseTemplate })
}

// takeBatch cuts off at most maxBatch items of different notifications; a
// second item of the same notification waits for the next batch. seen is empty.
func takeBatch(pending []*item, seen map[uuid.UUID]bool) (batch, rest []*item) {
	n := 0
	for ; n < min(len(pending), maxBatch) && !seen[pending[n].id()]; n++ {
		seen[pending[n].id()] = true
	}
	batch, rest = pending[:n:n], pending[n:]
	if n == maxBatch || len(rest) == 0 {
		return batch, rest
	}
	var later []*item
	for i, it := range rest {
		if len(batch) == maxBatch {
			return batch, append(later, rest[i:]...)
		}
		if id := it.id(); !seen[id] {
			seen[id] = true
			batch = append(batch, it)
			continue
		}
		later = append(later, it)
	}
	return batch, later
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
			it.answer(err)
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
