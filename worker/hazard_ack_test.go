package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// asynq replays a failed acknowledgement after five seconds with the context of
// the first try. Without the hook every replay fails and the task comes back
// when its lease is over, a minute later.
func TestFailedAcknowledgementIsReplayed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var failed atomic.Bool
	r.edit = func(c *Config) {
		c.ServerRedis.AddHook(hook{func(_ context.Context, cmd redis.Cmder, redis func() error) error {
			if script, _ := scriptOf(cmd); script == doneScript && failed.CompareAndSwap(false, true) {
				return errBroken
			}
			return redis()
		}})
	}
	r.start()
	n := r.send()
	r.awaitState(n.ID, store.Sent)
	eventually(t, "the acknowledgement failed", failed.Load)
	r.awaitNoTask(task.ID(n.ID, n.Generation))
	r.wantSends(1)
}

// The hook gives a script with a cancelled context a fresh one, and nothing else.
func TestServerHookRunsScriptsOfCancelledContexts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	late, end := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer end()
	hooked, plain := testRedis(t), testRedis(t)
	hooked.AddHook(serverHook{})
	script := redis.NewScript(`return ARGV[1]`)
	if got, err := script.Run(ctx, hooked, nil, "run").Text(); got != "run" {
		t.Errorf("script of a cancelled context: %q, %v; want it run", got, err)
	}
	if err := script.Run(ctx, plain, nil, "run").Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("without the hook: %v; if go-redis runs it now, the hook can go", err)
	}
	if err := script.Run(late, hooked, nil, "run").Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("script past its deadline: %v, want it refused", err)
	}
	if err := hooked.Ping(ctx).Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("command of a cancelled context: %v, want it refused", err)
	}
}

// Redis becomes unreachable for a while under load. Calls in flight finish,
// their answers are kept, and nobody is sent anything twice.
func TestRedisTroubleUnderLoadSendsNothingTwice(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mode proxyMode
		d    time.Duration
	}{
		"connections reset for 1 s": {cut, time.Second},
		"replies lost for 1 s":      {replyless, time.Second},
		"frozen for 4 s":            {frozen, 4 * time.Second}, // longer than a read's timeout
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.concurrency = 5
			p := newProxy(r)
			r.sim.SetLatency(100 * time.Millisecond)
			ids := r.sendMany(60)
			first := r.start()
			r.awaitSim("the load has begun", func(s simulator.State) bool { return s.Accepted >= 15 })
			p.set(tc.mode)
			elapse(t, tc.d)
			p.set(passing)

			// What a worker had in its hands is sent and acknowledged; what was
			// taken from the queue by a question whose reply was lost stays active
			// and is not sent before its lease is over.
			eventually(t, "only tasks that no handler knows are left", func() bool {
				left, err := r.redis.LRange(r.ctx, r.key("active"), 0, -1).Result()
				if err != nil || r.redis.LLen(r.ctx, r.key("pending")).Val() > 0 {
					return false
				}
				for _, taskID := range left {
					if id, _, _ := task.ParseID(taskID); r.get(id).State != store.Queued {
						return false
					}
				}
				return r.redis.ZCard(r.ctx, r.key("retry")).Val() == 0 && r.sim.State().InFlight == 0
			})
			first.stop()
			r.expireLeases()
			r.edit = nil
			r.start()
			for _, id := range ids {
				r.awaitState(id, store.Sent)
			}
			if s := r.sim.State(); s.Accepted != 60 || s.Requests[simulator.APISend] != 60 || s.MaxPerOpenID != 1 {
				t.Errorf("WeChat saw %d calls and took %d, want 60 each", s.Requests[simulator.APISend], s.Accepted)
			}
			if c := r.count(); c[store.Sent] != 60 {
				t.Errorf("states %v, want all sent", c)
			}
		})
	}
}
