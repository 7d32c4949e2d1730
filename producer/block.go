package producer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// blockSize is how many tasks one round trip puts on the queue: enough to make
// the round trip cheap, few enough that Redis answers others in between.
// Measured with one caller: 11 times as many tasks a second as one by one.
const blockSize = 100

// scribe writes the commands that asynq's client would send, so that many can go
// in one round trip: asynq v0.26 has no call for that. They are its own, with its
// script and its encoding, whatever those are.
type scribe struct {
	client *asynq.Client
}

func newScribe() *scribe {
	rdb := redis.NewClient(&redis.Options{ // it never connects: the hook answers
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	rdb.AddHook(scribeHook{})
	return &scribe{client: asynq.NewClientFromRedisClient(rdb)}
}

// sheetKey is the context's key of the *sheet to write on.
type sheetKey struct{}

// sheet takes the arguments of one command.
type sheet struct{ args []any }

// errUnwritten means that asynq's client works in another way than this program
// knows.
var errUnwritten = errors.New("asynq's client did not send one script")

// write returns the arguments of the command that enqueues d.
func (s *scribe) write(d delivery) ([]any, error) {
	var p sheet
	_, err := s.client.EnqueueContext(context.WithValue(context.Background(), sheetKey{}, &p), d.task, d.opts...)
	if err == nil && p.args == nil {
		err = errUnwritten
	}
	return p.args, err
}

// scribeHook writes a script's arguments down and answers in Redis's place. The
// set of queues is kept by published.
type scribeHook struct{}

func (scribeHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (scribeHook) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return errUnwritten }
}

func (scribeHook) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		p, _ := ctx.Value(sheetKey{}).(*sheet)
		switch c := cmd.(type) {
		case *redis.IntCmd:
			if cmd.Name() == "sadd" {
				c.SetVal(1)
				return nil
			}
		case *redis.Cmd:
			if p != nil && p.args == nil && cmd.Name() == "evalsha" {
				p.args = cmd.Args()
				c.SetVal(int64(1))
				return nil
			}
		}
		cmd.SetErr(errUnwritten)
		return errUnwritten
	}
}

// enqueueBlock enqueues up to blockSize deliveries in one round trip.
func (q *queue) enqueueBlock(ctx context.Context, ds []delivery, outcomes []outcome) {
	if len(ds) == 1 {
		outcomes[0] = q.enqueue(ctx, ds[0])
		return
	}
	pipe := q.redis.Pipeline()
	cmds := make([]*redis.Cmd, len(ds)) // nil: alone
	for i, d := range ds {
		args, err := q.scribe.write(d)
		if err != nil {
			continue
		}
		cmds[i] = redis.NewCmd(ctx, args...)
		_ = pipe.Process(ctx, cmds[i])
	}
	_, _ = pipe.Exec(ctx) // each command has its own answer
	for i, cmd := range cmds {
		outcomes[i] = q.enqueued(ctx, ds[i], cmd)
	}
}

// enqueued is what the command for a delivery has led to. One that was not
// written, or met a Redis that has forgotten the script, goes by itself.
func (q *queue) enqueued(ctx context.Context, d delivery, cmd *redis.Cmd) outcome {
	if cmd == nil || cmd.Err() != nil && strings.HasPrefix(cmd.Err().Error(), "NOSCRIPT") {
		return q.enqueue(ctx, d)
	}
	n, err := cmd.Int()
	if err != nil {
		return outcome{err: fmt.Errorf("%w: %w", ErrQueueAway, err)}
	}
	return outcome{conflict: n == 0}
}
