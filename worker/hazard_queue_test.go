package worker

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// An id whose task is gone costs the queue one idle pass. asynq's own idle
// sleep of a second would make five of them cost five seconds.
func TestGhostsDoNotHoldTheQueueUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.send()
	for i := range 5 {
		r.redis.RPush(r.ctx, r.key("pending"), "ghost-"+strconv.Itoa(i)) // the next to be taken
	}
	p := r.prepare()
	if _, err := p.tokens.Token(r.ctx); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.awaitState(n.ID, store.Sent)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("sent after %v behind five ghosts, want under 2 s", took)
	}
}

// Ghosts stay in the active list for ever and make every statistic of the queue
// fail, until they are swept out.
func TestSweepDropsGhosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.send() // so that asynq knows the queue
	const ghosts = 3
	lease := time.Now().Add(30 * time.Second)
	for i := range ghosts {
		id := "ghost-" + strconv.Itoa(i)
		r.redis.LPush(r.ctx, r.key("active"), id)
		r.redis.ZAdd(r.ctx, r.key("lease"), redis.Z{Score: float64(lease.Unix()), Member: id})
	}
	r.redis.LPush(r.ctx, r.key("active"), "ghost-without-lease")
	if _, err := r.inspector().GetQueueInfo(r.queue()); err == nil {
		t.Error("asynq counts a queue with ghosts now; the sweep of ghosts may go")
	}
	active := func() int64 { return r.redis.LLen(r.ctx, r.key("active")).Val() }
	if err := sweep(r.ctx, r.redis, r.queue(), lease, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if got := active(); got != ghosts {
		t.Errorf("%d ids active after a sweep, want the %d whose lease is young left alone", got, ghosts)
	}
	if err := sweep(r.ctx, r.redis, r.queue(), lease.Add(ghostAge+time.Second), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	if active() != 0 || r.redis.ZCard(r.ctx, r.key("lease")).Val() != 0 {
		t.Errorf("%d ids active, %d leases; want none", active(), r.redis.ZCard(r.ctx, r.key("lease")).Val())
	}
	q, err := r.inspector().GetQueueInfo(r.queue())
	if err != nil || q.Pending != 1 {
		t.Errorf("queue %+v (%v), want its one task pending", q, err)
	}
	if info, err := r.inspector().GetTaskInfo(r.queue(), task.ID(n.ID, 1)); err != nil || info.LastErr != "" {
		t.Errorf("task %+v (%v), want it untouched", info, err)
	}
}

// asynq never recovers an active task that has no lease.
func TestSweepGivesAnActiveTaskALease(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.send()
	taskID := task.ID(n.ID, n.Generation)
	r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
	r.redis.LPush(r.ctx, r.key("active"), taskID)
	r.redis.HSet(r.ctx, r.key("t:"+taskID), "state", "active")
	now := time.Now()
	if err := sweep(r.ctx, r.redis, r.queue(), now, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	lease, err := r.redis.ZScore(r.ctx, r.key("lease"), taskID).Result()
	if err != nil || time.Unix(int64(lease), 0).After(now.Add(-time.Minute)) {
		t.Fatalf("lease %v (%v), want one that is over", lease, err)
	}
	r.start()
	r.awaitState(n.ID, store.Sent)
	r.awaitNoTask(taskID)
	r.wantSends(1)
}

// asynq publishes a queue's name once per process; when the set is lost, the
// queue works on unseen.
func TestLostQueueNamesAreListedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.send()
	wantListed := func(when string) {
		t.Helper()
		names, err := r.inspector().Queues()
		for _, q := range task.Queues(r.appID, "") {
			if err != nil || !slices.Contains(names, q) {
				t.Errorf("queue %s is not listed %s (%v)", q, when, err)
			}
		}
	}
	r.redis.SRem(r.ctx, "asynq:queues", r.queue())
	r.start()
	wantListed("by a worker that starts")
	r.awaitState(n.ID, store.Sent)
	for _, q := range task.Queues(r.appID, "") {
		r.redis.SRem(r.ctx, "asynq:queues", q)
		if err := sweep(r.ctx, r.redis, q, time.Now(), zap.NewNop()); err != nil {
			t.Fatal(err)
		}
	}
	wantListed("after a sweep")
}

// Redis refuses writes because it is full: the loops that ask for work must not
// spin, a call in flight must end as usual, and afterwards everything goes on.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ownRedis()
	var refused atomic.Int64
	r.edit = func(c *Config) {
		c.ServerRedis.AddHook(hook{func(_ context.Context, cmd redis.Cmder, redis func() error) error {
			err := redis()
			if err != nil && troubled(err) {
				refused.Add(1)
			}
			return err
		}})
	}
	r.start()
	r.hang()
	inFlight := r.send()
	r.awaitHanging(1)
	low := task.Queue(r.appID, "", store.Low)
	if err := r.inspector().PauseQueue(low); err != nil {
		t.Fatal(err)
	}
	var waiting []uuid.UUID
	for range 5 {
		n := r.send(func(n *store.Notification) { n.Priority = store.Low })
		waiting = append(waiting, n.ID)
	}
	r.memory("1mb")
	if err := r.inspector().UnpauseQueue(low); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the queues are refused", func() bool { return refused.Load() > 0 })
	before, start := refused.Load(), time.Now()
	elapse(t, 3*time.Second)
	if rate := float64(refused.Load()-before) / time.Since(start).Seconds(); rate > 20 {
		t.Errorf("%.0f refused scripts a second, want a few for each of three queues", rate)
	}
	r.letGo()
	got := r.awaitState(inFlight.ID, store.Sent)
	if got.Seq != 1 {
		t.Errorf("%d claims of the call in flight, want 1", got.Seq)
	}
	r.wantSends(1)
	r.memory("0")
	later := r.send()
	for _, id := range append(waiting, later.ID) {
		r.awaitState(id, store.Sent)
	}
	r.awaitNoTask(task.ID(inFlight.ID, 1))
	r.wantSends(2 + len(waiting))
}

// memory bounds the test's own Redis; 0 is no bound.
func (r *rig) memory(limit string) {
	r.t.Helper()
	if err := r.redis.ConfigSet(r.ctx, "maxmemory", limit).Err(); err != nil {
		r.t.Fatal(err)
	}
}
