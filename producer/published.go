package producer

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// queueSet is asynq's set of all queues. asynq's client adds a queue once and
// remembers for ever that it did; when the key is lost, tasks still go through
// but Inspector, asynqmon and the metrics say "queue not found".
const queueSet = "asynq:queues"

// publishInterval is how often a queue in use is added to queueSet again.
const publishInterval = time.Minute

// published keeps the queues in use in queueSet. It is safe for concurrent use.
type published struct {
	redis    redis.UniversalClient
	interval time.Duration
	now      func() time.Time

	mu sync.Mutex
	at map[string]time.Time // when each queue was last added
}

func newPublished(rdb redis.UniversalClient, interval time.Duration, now func() time.Time) *published {
	return &published{redis: rdb, interval: interval, now: now, at: make(map[string]time.Time)}
}

// use notes that a queue is in use; the first time it is due.
func (p *published) use(queue string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, seen := p.at[queue]; !seen {
		p.at[queue] = time.Time{}
	}
}

// forget makes every queue due: the set was lost.
func (p *published) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for queue := range p.at {
		p.at[queue] = time.Time{}
	}
}

// due takes the queues whose turn it is.
func (p *published) due() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	var due []string
	for _, queue := range slices.Sorted(maps.Keys(p.at)) {
		if now.Sub(p.at[queue]) >= p.interval {
			p.at[queue] = now
			due = append(due, queue)
		}
	}
	return due
}

// publish adds the queues whose turn it is. When that fails, the next call
// tries again.
func (p *published) publish(ctx context.Context) {
	due := p.due()
	if len(due) == 0 {
		return
	}
	if p.redis.SAdd(ctx, queueSet, due).Err() == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, queue := range due {
		p.at[queue] = time.Time{}
	}
}
