package worker

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// acks sends asynq's acknowledgements, many in one round trip, each queue's by
// itself: where queues live on several nodes, a silent one holds up its own only.
type acks struct {
	redis redis.UniversalClient
	lines sync.Map // of *ackLine, by the first key of the script
}

// do returns when the command has its answer.
func (a *acks) do(cmd redis.Cmder) error {
	key := scriptKeys(cmd)[0]
	line, ok := a.lines.Load(key)
	if !ok {
		line, _ = a.lines.LoadOrStore(key, &ackLine{redis: a.redis})
	}
	return line.(*ackLine).do(cmd)
}

// ackLine sends the acknowledgements of one queue: a block is whatever was to be
// acknowledged while the last block was on its way. Each command has its own
// answer, as if it had been sent alone.
type ackLine struct {
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
func (a *ackLine) do(cmd redis.Cmder) error {
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
func (a *ackLine) run() {
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

func (a *ackLine) send(block []*ack) {
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
