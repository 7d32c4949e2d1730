package producer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/task"
)

const (
	// ringInterval is the least time between two rings for a queue. Under load a
	// worker does not wait for them, and they must cost next to nothing; one that
	// has just fallen idle learns of the next task this much later.
	ringInterval = 20 * time.Millisecond
	// ringTimeout bounds a ring; nothing waits for it but the end of the process.
	ringTimeout = time.Second
)

// ringer tells idle workers that tasks were put on their queues. Nobody waits
// for it, and a ring that is lost costs a message a quarter of a second. It is
// safe for concurrent use.
type ringer struct {
	redis redis.UniversalClient

	mu      sync.Mutex
	running bool
	queues  map[string]bool // to ring for
	rings   sync.WaitGroup
}

func newRinger(rdb redis.UniversalClient) *ringer {
	return &ringer{redis: rdb, queues: make(map[string]bool)}
}

// ring rings for a queue, at once or with the next round. It does not block.
func (r *ringer) ring(queue string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queues[queue] = true
	if !r.running {
		r.running = true
		r.rings.Go(r.run)
	}
}

// wait returns when every ring is out.
func (r *ringer) wait() { r.rings.Wait() }

// run rings until there is nothing to ring for. A round that has just been made
// is followed by a pause, in which the next is gathered.
func (r *ringer) run() {
	for queues := r.next(); len(queues) > 0; queues = r.next() {
		pause := time.NewTimer(ringInterval)
		r.round(queues)
		<-pause.C
	}
}

// next takes what is to be rung for.
func (r *ringer) next() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	queues := slices.Sorted(maps.Keys(r.queues))
	clear(r.queues)
	r.running = len(queues) > 0
	return queues
}

// round rings once for each queue. What fails is lost.
func (r *ringer) round(queues []string) {
	ctx, cancel := context.WithTimeout(context.Background(), ringTimeout)
	defer cancel()
	pipe := r.redis.Pipeline()
	for _, queue := range queues {
		pipe.Publish(ctx, task.BellChannel, queue)
	}
	_, _ = pipe.Exec(ctx)
}
