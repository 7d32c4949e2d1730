package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// serverHook repairs two faults of asynq v0.26 on the client of its servers,
// and on no other client.
//
// First, asynq replays a failed acknowledgement with the context of the first
// try, which is cancelled by then, so every replay fails and the finished task
// is run again when its lease is over. A script that comes with a cancelled
// context is therefore run with a fresh one. Nothing else on this client passes
// a cancelled context to a script.
//
// Second, asynq asks for the next task again at once when the question failed
// for another reason than an empty queue, thousands of times a second while
// Redis is full or away. A failed script therefore waits before it reports.
type serverHook struct {
	// failPause is the least time a failed script takes.
	failPause time.Duration
}

const (
	// detachedTimeout bounds a replayed acknowledgement.
	detachedTimeout = 5 * time.Second
	// scriptFailPause lets a failing server ask for work at most twice a second
	// and queue.
	scriptFailPause = 500 * time.Millisecond
)

func (serverHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (serverHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h serverHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !strings.HasPrefix(cmd.Name(), "eval") {
			return next(ctx, cmd)
		}
		if errors.Is(ctx.Err(), context.Canceled) {
			fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout)
			defer cancel()
			ctx = fresh
		}
		err := next(ctx, cmd)
		if troubled(err) {
			h.wait(ctx)
		}
		return err
	}
}

// ordinary are the answers of asynq's scripts that say something about a task,
// and NOSCRIPT, after which the script is sent in full.
var ordinary = []string{"NOT FOUND", "NOSCRIPT", "TASK ID CONFLICT"}

// troubled reports an error that says that Redis is away, full, loading or
// refuses us, as against an empty queue or an ordinary answer of a script.
func troubled(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	return !slices.ContainsFunc(ordinary, func(s string) bool { return strings.Contains(err.Error(), s) })
}

func (h serverHook) wait(ctx context.Context) {
	t := time.NewTimer(h.failPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
