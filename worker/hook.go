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
// and on no other client, and saves round trips: it answers dequeues through the
// intake of their queue, and sends acknowledgements in blocks.
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
	intakes   *intakes
	acks      *acks // nil: one by one
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
		err := h.run(ctx, cmd, next)
		if troubled(err) {
			h.wait(ctx)
		}
		return err
	}
}

func (h serverHook) run(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
	script, pending := scriptOf(cmd)
	switch script {
	case dequeueScript:
		in := h.intakes.of(pending)
		if c, ok := cmd.(*redis.Cmd); in != nil && ok {
			return in.ask(ctx, c, func() error { return next(ctx, cmd) })
		}
	case forwardScript:
		err := next(ctx, cmd)
		if c, ok := cmd.(*redis.Cmd); ok {
			if moved, _ := c.Int(); moved > 0 {
				h.intakes.ring(pending)
			}
		}
		return err
	case doneScript:
		if h.acks != nil && ctx.Err() == nil {
			return h.acks.do(cmd)
		}
	case otherScript, retryScript, archiveScript:
	}
	return next(ctx, cmd)
}

// scriptName is one of asynq's scripts.
type scriptName int

const (
	otherScript   scriptName = iota
	dequeueScript            // takes a task
	forwardScript            // makes tasks pending whose time has come
	doneScript               // acknowledges a task
	retryScript
	archiveScript
)

// scriptOf tells a script of asynq by the keys it touches. pending is the pending
// list of a dequeue or a forward.
func scriptOf(cmd redis.Cmder) (name scriptName, pending string) {
	keys := scriptKeys(cmd)
	if len(keys) < 2 {
		return otherScript, ""
	}
	key := func(i int) string { s, _ := keys[min(i, len(keys)-1)].(string); return s }
	switch {
	case strings.HasSuffix(key(0), ":pending") && strings.HasSuffix(key(1), ":paused"):
		return dequeueScript, key(0)
	case strings.HasSuffix(key(1), ":pending") && (strings.HasSuffix(key(0), ":scheduled") || strings.HasSuffix(key(0), ":retry")):
		return forwardScript, key(1)
	case strings.HasSuffix(key(0), ":active") && strings.HasSuffix(key(1), ":lease") && strings.Contains(key(2), ":t:"):
		return doneScript, ""
	case strings.Contains(key(0), ":t:") && strings.HasSuffix(key(3), ":retry"):
		return retryScript, ""
	case strings.Contains(key(0), ":t:") && strings.HasSuffix(key(3), ":archived"):
		return archiveScript, ""
	}
	return otherScript, ""
}

// scriptKeys are the keys of EVALSHA or EVAL: after the name and the script come
// their number and they.
func scriptKeys(cmd redis.Cmder) []any {
	args := cmd.Args()
	if !strings.HasPrefix(cmd.Name(), "eval") || len(args) < 3 {
		return nil
	}
	n, _ := args[2].(int)
	return args[3:min(3+max(n, 0), len(args))]
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
