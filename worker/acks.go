package worker

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// acks sends asynq's acknowledgements, many in one round trip: a block is
// whatever was to be acknowledged while the last block was on its way. Each
// command has its own answer, as if it had been sent alone.
type acks struct {
	redis redis.UniversalClient

	mu      sync.Mutex
	running bool
	waiting []*ack
}

type ack struct {
	cmd  redis.Cmder
	done chan struct{}
}

// acksMax bounds one block.
const acksMax = 128

// do returns when the command has its answer.
func (a *acks) do(cmd redis.Cmder) error {
	one := &ack{cmd: cmd, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, one)
	if !a.running {
		a.running = true
		go a.run()
	}
	a.mu.Unlock()
	<-one.done
	return cmd.Err()
}

// run sends blocks until nothing waits.
func (a *acks) run() {
	for {
		a.mu.Lock()
		n := min(len(a.waiting), acksMax)
		block := a.waiting[:n:n]
		a.waiting = a.waiting[n:]
		if n == 0 {
			a.running, a.waiting = false, nil
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		a.send(block)
	}
}

func (a *acks) send(block []*ack) {
	ctx, cancel := context.WithTimeout(context.Background(), detachedTimeout)
	defer cancel()
	pipe := a.redis.Pipeline()
	for _, one := range block {
		_ = pipe.Process(ctx, one.cmd)
	}
	_, _ = pipe.Exec(ctx) // each command has its own answer
	for _, one := range block {
		close(one.done)
	}
}
