package producer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// ErrQueueAway means that the queue could not be reached. Without a store the
// notification may be on it nevertheless: repeat the call with the same Ref.
var ErrQueueAway = errors.New("queue away")

const (
	// putTimeout bounds one put, whatever the number of tasks: a caller of Send
	// waits no longer for Redis.
	putTimeout = 2 * time.Second
	// patience is how long a caller must have waited for its own deadline to
	// count as Redis's silence.
	patience = 500 * time.Millisecond
)

// delivery is one task and where it goes. The task belongs to one delivery:
// asynq appends to its options, so goroutines must not share it.
type delivery struct {
	queue string
	task  *asynq.Task
	opts  []asynq.Option
}

// outcome is what became of a delivery. conflict: a task with this TaskID is
// there, perhaps by an earlier try whose reply was lost. err wraps ErrQueueAway.
type outcome struct {
	conflict bool
	err      error
}

// queue puts tasks on asynq's queues. It is safe for concurrent use.
type queue struct {
	redis       redis.UniversalClient
	client      *asynq.Client
	scribe      *scribe
	ringer      *ringer
	published   *published
	circuit     *circuit
	concurrency int
	// stragglers are enqueues that nobody waits for any more.
	stragglers sync.WaitGroup
}

func newQueue(rdb redis.UniversalClient, concurrency int, p *published, c *circuit) *queue {
	return &queue{
		redis: rdb, client: asynq.NewClientFromRedisClient(rdb), scribe: newScribe(), ringer: newRinger(rdb),
		published: p, circuit: c, concurrency: concurrency,
	}
}

// wait returns when no enqueue and no ring is under way. The Redis client's own
// timeouts bound it.
func (q *queue) wait() {
	q.stragglers.Wait()
	q.ringer.wait()
}

// put enqueues every delivery, in blocks of one round trip, several at a time,
// and replies each. It returns within putTimeout, and at once while the circuit is
// open. After the first failure it begins no further block.
func (q *queue) put(ctx context.Context, ds []delivery) []outcome {
	outcomes := make([]outcome, len(ds))
	for i := range outcomes {
		outcomes[i].err = ErrQueueAway
	}
	done, ok := q.circuit.try()
	if !ok {
		return outcomes
	}
	start := time.Now()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()

	err := collect(ctx, q.start(ctx, ds), outcomes)
	switch {
	case err == nil:
		done(worked, nil)
	case caller.Err() != nil && time.Since(start) < patience:
		done(unknown, nil)
	default:
		done(failed, err)
	}
	return outcomes
}

// collect takes replies until the last or until ctx is done; then what is there
// counts and the rest is left to its goroutines. It returns the first error.
func collect(ctx context.Context, replies <-chan reply, outcomes []outcome) (err error) {
	take := func(r reply) {
		outcomes[r.i] = r.outcome
		if err == nil {
			err = r.err
		}
	}
	for {
		select {
		case r, open := <-replies:
			if !open {
				return err
			}
			take(r)
		case <-ctx.Done():
			for range len(replies) {
				if r, open := <-replies; open {
					take(r)
				}
			}
			if err == nil {
				err = ctx.Err()
			}
			return err
		}
	}
}

// reply is the outcome of the delivery i.
type reply struct {
	i int
	outcome
}

// start begins the enqueues. The channel has room for every answer, so no
// goroutine waits for a reader that went away; it is closed after the last.
func (q *queue) start(ctx context.Context, ds []delivery) <-chan reply {
	replies := make(chan reply, len(ds))
	blocks := (len(ds) + blockSize - 1) / blockSize
	for _, d := range ds {
		q.published.use(d.queue)
	}
	var (
		next    atomic.Int64
		stopped atomic.Bool
		group   sync.WaitGroup
	)
	group.Go(func() { q.published.publish(ctx) })
	for range min(q.concurrency, blocks) {
		group.Go(func() {
			for !stopped.Load() {
				first := (int(next.Add(1)) - 1) * blockSize
				if first >= len(ds) {
					return
				}
				block := ds[first:min(first+blockSize, len(ds))]
				outcomes := make([]outcome, len(block))
				q.enqueueBlock(ctx, block, outcomes)
				for i, o := range outcomes {
					if o.err != nil {
						stopped.Store(true)
					} else if !o.conflict {
						q.ringer.ring(block[i].queue)
					}
					replies <- reply{first + i, o}
				}
			}
		})
	}
	q.stragglers.Go(func() {
		group.Wait()
		close(replies)
	})
	return replies
}

func (q *queue) enqueue(ctx context.Context, d delivery) outcome {
	_, err := q.client.EnqueueContext(ctx, d.task, d.opts...)
	switch {
	case err == nil:
		return outcome{}
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return outcome{conflict: true}
	}
	return outcome{err: fmt.Errorf("%w: %w", ErrQueueAway, err)}
}

// deliver makes the delivery of a row in its generation; headers are those of a
// trace, nil for none.
func deliver(n store.Notification, defaultApp string, mode PayloadMode, headers map[string]string) (delivery, error) {
	p := task.Payload{ID: n.ID, App: n.App, TemplateID: n.TemplateID}
	if mode == PayloadFull {
		p.Page, p.UserID, p.OpenID, p.Data = n.Page, n.UserID, n.OpenID, n.Data
		p.Lang, p.MiniprogramState = n.Lang, n.MiniprogramState
	}
	b, err := p.Marshal()
	if err != nil {
		return delivery{}, fmt.Errorf("payload of notification %s: %w", n.ID, err)
	}
	name := task.Queue(n.App, defaultApp, n.Priority)
	return delivery{queue: name, task: task.NewTraced(n.ID, n.Generation, name, b, headers)}, nil
}
