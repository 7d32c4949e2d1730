package worker

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// Tasks are taken in blocks, but not so many that they would wait in this process
// while another could begin them.
func TestNoMoreIsTakenThanCanBegin(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sim.SetLatency(20 * time.Millisecond)
	ids := r.sendMany(150)
	p := r.start()
	room := int64(p.handlersPerServer() + aheadMax) // handlers at their very beginning or end are not counted
	r.awaitSim("half is sent", func(s simulator.State) bool {
		if n := r.redis.LLen(context.Background(), r.key("active")).Val(); n > room {
			t.Errorf("%d tasks taken, want at most %d", n, room)
		}
		return s.Accepted > 75
	})
	for _, id := range ids {
		r.awaitState(id, store.Sent)
	}
	r.wantSends(len(ids))
}

// One question takes several tasks and hands them out in their order; what a
// stopped server has not begun goes back to where it was.
func TestWhatWasTakenAheadGoesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sendMany(5)
	want := r.redis.LRange(r.ctx, r.key("pending"), 0, -1).Val()
	in := newIntake(r.queue(), r.redis, nil, func() int { return 100 })
	in.want = 4
	first := r.ask(in)
	if m, err := decodeMessage([]byte(first)); err != nil || m.id != want[4] {
		t.Errorf("took %q (%v), want %q, the next", m.id, err, want[4])
	}
	if got := r.redis.LLen(r.ctx, r.key("active")).Val(); got != 4 || len(in.ahead) != 3 {
		t.Errorf("%d taken, %d of them ahead; want 4 and 3", got, len(in.ahead))
	}
	in.giveBack(zap.NewNop())
	if diff := cmp.Diff(want[:4], r.redis.LRange(r.ctx, r.key("pending"), 0, -1).Val()); diff != "" {
		t.Errorf("pending (-want +got):\n%s", diff)
	}
	if n, m := r.redis.LLen(r.ctx, r.key("active")).Val(), r.redis.ZCard(r.ctx, r.key("lease")).Val(); n != 1 || m != 1 {
		t.Errorf("%d active, %d leases; want those of the one handed out", n, m)
	}
	if got := r.redis.HGet(r.ctx, r.key("t:"+want[3]), "state").Val(); got != "pending" {
		t.Errorf("state %q of a task that went back, want pending", got)
	}
	in.giveBack(zap.NewNop()) // there is nothing left
}

// Ids without a task among those taken do not pass for an empty queue.
func TestGhostsAreSkippedWithinABlock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.send()
	r.redis.RPush(r.ctx, r.key("pending"), "ghost-1", "ghost-2")
	in := newIntake(r.queue(), r.redis, nil, func() int { return 100 })
	if m, err := decodeMessage([]byte(r.ask(in))); err != nil || m.taskType == "" {
		t.Errorf("took %+v (%v), want the task of %s", m, err, n.ID)
	}
}

func TestAStoppingServerTakesNothing(t *testing.T) {
	t.Parallel()
	quit := make(chan struct{})
	close(quit)
	in := newIntake("q", nil, quit, func() int { return 100 })
	for range 2 {
		cmd := redis.NewCmd(t.Context(), "evalsha")
		if err := in.ask(t.Context(), cmd, func() error { t.Error("asked Redis"); return nil }); !errors.Is(err, redis.Nil) {
			t.Errorf("ask = %v, want an empty queue", err)
		}
	}
}

// takeScript does what asynq's dequeue does.
var takeScript = redis.NewScript(`
local id = redis.call("RPOPLPUSH", KEYS[1], KEYS[3])
if not id then return nil end
redis.call("HSET", ARGV[2] .. id, "state", "active")
redis.call("ZADD", KEYS[4], ARGV[1], id)
return redis.call("HGET", ARGV[2] .. id, "msg")`)

// ask asks an intake for one task.
func (r *rig) ask(in *intake) string {
	r.t.Helper()
	if err := takeScript.Load(r.ctx, r.redis).Err(); err != nil {
		r.t.Fatal(err)
	}
	cmd := redis.NewCmd(r.ctx, "evalsha", takeScript.Hash(), 4, r.key("pending"), r.key("paused"), r.key("active"), r.key("lease"),
		time.Now().Add(time.Minute).Unix(), r.key("t:"))
	if err := in.ask(r.ctx, cmd, func() error { return r.redis.Process(r.ctx, cmd) }); err != nil {
		r.t.Fatal(err)
	}
	text, err := cmd.Text()
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// Each acknowledgement of a block has its own answer.
func TestAcknowledgementsOfABlock(t *testing.T) {
	t.Parallel()
	rdb := testRedis(t)
	a := &acks{redis: rdb}
	type answer struct {
		i   int
		err error
	}
	answers := make(chan answer)
	const n = 300
	for i := range n {
		go func() {
			script := `return redis.status_reply("OK")`
			if i%3 == 0 {
				script = `return redis.error_reply("NOT FOUND")`
			}
			answers <- answer{i, a.do(redis.NewCmd(t.Context(), "eval", script, 1, "queue "+strconv.Itoa(i%2)))}
		}()
	}
	for range n {
		if got := <-answers; (got.err != nil) != (got.i%3 == 0) {
			t.Errorf("answer %d: %v", got.i, got.err)
		}
	}
}
