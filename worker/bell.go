package worker

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/task"
)

const (
	// bellPatience is how long an idle queue is left alone without a ring: what a
	// lost ring costs, and a raw task, whose producer does not ring. Three queues
	// asked four times a second take half a per cent of a core.
	bellPatience = 250 * time.Millisecond
	// bellPause is the least time between an empty answer and the next question,
	// so that nobody who rings without end makes a worker ask without end.
	bellPause = 10 * time.Millisecond
)

// bell tells who waits for tasks of one queue that one may be there.
type bell struct {
	rung     chan struct{} // holds one ring
	patience time.Duration // how long wait waits for it
}

func newBell() bell { return bell{rung: make(chan struct{}, 1), patience: bellPatience} }

// ring does not block. A ring that nobody waits for is kept for who comes next.
func (b bell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// wait returns after a ring or when its patience ends, but not before bellPause;
// false when quit was closed.
func (b bell) wait(quit <-chan struct{}) bool {
	t := time.NewTimer(bellPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-quit:
		<-t.C // who asks again and again until the end must not spin
		return false
	}
	t.Reset(b.patience - bellPause)
	select {
	case <-b.rung:
	case <-t.C:
	case <-quit:
		return false
	}
	return true
}

// intakes are the intakes of the queues that this process serves, by asynq's
// name of the pending list. The zero value is ready,
// and nil serves none.
type intakes struct {
	mu     sync.RWMutex
	queues map[string]*intake
}

func pendingKey(queue string) string { return "asynq:{" + queue + "}:pending" }

func (s *intakes) add(in *intake) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues == nil {
		s.queues = map[string]*intake{}
	}
	s.queues[pendingKey(in.queue)] = in
}

// of returns the intake of a pending list; nil when the queue is not served.
func (s *intakes) of(pending string) *intake {
	if s == nil {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.queues[pending]
}

// ring rings the bell of a pending list, if it is served here.
func (s *intakes) ring(pending string) {
	if in := s.of(pending); in != nil {
		in.bell.ring()
	}
}

// listen rings the bells of this process when anyone rings for their queues.
// Rings are lost while Redis is away; go-redis subscribes again by itself.
func (s *intakes) listen(ctx context.Context, rdb redis.UniversalClient) {
	sub := rdb.Subscribe(ctx, task.BellChannel)
	defer func() { _ = sub.Close() }()
	rings := sub.Channel()
	for {
		select {
		case m, open := <-rings:
			if !open {
				return
			}
			s.ring(pendingKey(m.Payload))
		case <-ctx.Done():
			return
		}
	}
}
