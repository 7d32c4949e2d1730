package callback

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// The bounds of the way to the inbox. WeChat waits five seconds for an answer;
// one that comes too late is as good as none.
const (
	putTimeout = 3 * time.Second
	maxWaiting = 256 // requests; who comes when so many wait is sent away
	maxBatch   = 500 // pushes in one transaction
)

var (
	errBusy    = fmt.Errorf("%w: too many pushes wait for it", store.ErrUnavailable)
	errStopped = fmt.Errorf("%w: the callback does not run", store.ErrUnavailable)
)

// receiver writes pushes into the inbox: what came while the last transaction
// ran is the next one.
type receiver struct {
	store Inbox
	in    chan *delivery
	runs  atomic.Bool
	limit time.Duration // of a put, and of a transaction: putTimeout
}

// delivery is what one request brought, and the answer.
type delivery struct {
	pushes []store.Push
	news   []bool
	err    error
	done   chan struct{} // closed when news or err is there
}

func newReceiver(s Inbox) *receiver {
	return &receiver{store: s, in: make(chan *delivery, maxWaiting), limit: putTimeout}
}

// put returns when the pushes are in the inbox, and whether each is new. After
// an error they may be in it all the same: when they come again they are known.
func (r *receiver) put(ctx context.Context, pushes []store.Push) ([]bool, error) {
	if !r.runs.Load() {
		return nil, errStopped
	}
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	d := &delivery{pushes: pushes, done: make(chan struct{})}
	select {
	case r.in <- d:
	default:
		return nil, errBusy
	}
	select {
	case <-d.done:
		return d.news, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// run writes until ctx is done. What waits then is sent away.
func (r *receiver) run(ctx context.Context) {
	for {
		select {
		case d := <-r.in:
			r.write(ctx, r.batch(d))
		case <-ctx.Done():
			r.runs.Store(false)
			for {
				select {
				case d := <-r.in:
					d.err = errStopped
					close(d.done)
				default:
					return
				}
			}
		}
	}
}

// batch is first and whatever else waits.
func (r *receiver) batch(first *delivery) []*delivery {
	batch, n := []*delivery{first}, len(first.pushes)
	for n < maxBatch {
		select {
		case d := <-r.in:
			batch, n = append(batch, d), n+len(d.pushes)
		default:
			return batch
		}
	}
	return batch
}

// write answers every delivery of the batch. One that the store does not take
// for itself does not keep the others out.
func (r *receiver) write(ctx context.Context, batch []*delivery) {
	var pushes []store.Push
	for _, d := range batch {
		pushes = append(pushes, d.pushes...)
	}
	// Stop does not break off what a request waits for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.limit)
	defer cancel()
	news, err := r.store.ReceivePushes(ctx, pushes)
	if err != nil && len(batch) > 1 && !errors.Is(err, store.ErrUnavailable) {
		for _, d := range batch {
			r.write(ctx, []*delivery{d})
		}
		return
	}
	for _, d := range batch {
		if d.err = err; err == nil {
			d.news, news = news[:len(d.pushes)], news[len(d.pushes):]
		}
		close(d.done)
	}
}
