package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// sweeping is a worker that was not started, and its server of the rig's queue.
func (r *rig) sweeping() *server {
	r.t.Helper()
	for _, s := range r.prepare().now.Load().servers {
		if s.queue == r.queue() {
			return s
		}
	}
	r.t.Fatal("no server of the rig's queue")
	return nil
}

func (s *server) wantSwept(t *testing.T, kind swept, want int) {
	t.Helper()
	if got := testutil.ToFloat64(s.w.sweeps.done.WithLabelValues(string(kind))); got != float64(want) {
		t.Errorf("%v counted as %s, want %d", got, kind, want)
	}
}

// archived are the ids in the archive.
func (r *rig) archived() map[string]bool {
	r.t.Helper()
	ids, err := r.redis.ZRange(r.ctx, r.key("archived"), 0, -1).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	set := map[string]bool{}
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// many enqueues n tasks that are ours and have no row, with a TaskID each.
func (r *rig) many(n int) []string {
	r.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		id := uuid.Must(uuid.NewV7())
		ids[i] = task.ID(id, 1)
		if _, err := r.client.Enqueue(task.New(id, 1, r.queue(), []byte(`{}`))); err != nil {
			r.t.Fatal(err)
		}
	}
	return ids
}

func (r *rig) hashes() int {
	r.t.Helper()
	n := 0
	iter := r.redis.Scan(r.ctx, 0, r.key("t:*"), 1000).Iterator()
	for iter.Next(r.ctx) {
		n++
	}
	if err := iter.Err(); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func rawPayload() map[string]any {
	return map[string]any{"template_id": simulator.SeedReport, "openid": simulator.OpenID(uuid.NewString()), "data": reportData}
}

// The archive is a view of the newest dead letters, pruned before asynq trims it
// at 10,000 and at 90 days.
func TestTheArchiveIsPruned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sweeping()
	ids := r.many(archiveKeep + archivePage + 120)
	if _, err := r.inspector().ArchiveAllPendingTasks(r.queue()); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	const old, extra = 30, archivePage + 120
	for i, id := range ids { // the first are the oldest
		at := now.Add(-time.Duration(len(ids)-i) * time.Second)
		r.redis.ZAdd(r.ctx, r.key("archived"), redis.Z{Score: float64(at.Unix()), Member: id})
	}
	if err := s.sweepArchive(r.ctx, now); err != nil {
		t.Fatal(err)
	}
	left := r.archived()
	if len(left) != archiveKeep || left[ids[extra-1]] || !left[ids[extra]] {
		t.Errorf("%d archived, want the newest %d", len(left), archiveKeep)
	}
	if got := r.hashes(); got != archiveKeep {
		t.Errorf("%d tasks, want one for each of the %d archived", got, archiveKeep)
	}
	s.wantSwept(t, sweptPruned, extra)

	for _, id := range ids[extra : extra+old] {
		r.redis.ZAdd(r.ctx, r.key("archived"), redis.Z{Score: float64(now.Add(-archiveAge - time.Minute).Unix()), Member: id})
	}
	if err := s.sweepArchive(r.ctx, now); err != nil {
		t.Fatal(err)
	}
	if left := r.archived(); len(left) != archiveKeep-old || left[ids[extra]] {
		t.Errorf("%d archived, want those older than %v gone", len(left), archiveAge)
	}
	if q, err := r.inspector().GetQueueInfo(r.queue()); err != nil || q.Archived != archiveKeep-old {
		t.Errorf("queue %+v, %v", q, err)
	}
}

// asynq archives without an answer of ours what had no retry left when its
// worker died: without a row it never ran, so it is accepted now.
func TestRawTasksThatAsynqGaveUpAreAdopted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sweeping()
	giveUp := func(payload any, opts ...asynq.Option) (uuid.UUID, string) {
		id, taskID := r.raw(payload, append([]asynq.Option{asynq.MaxRetry(0)}, opts...)...)
		r.archiveAs(taskID, "asynq: task lease expired")
		return id, taskID
	}
	lost, lostTask := giveUp(rawPayload())
	bad, badTask := giveUp([]byte(`nonsense`))
	late, lateTask := giveUp(rawPayload(), asynq.Deadline(time.Now().Add(time.Second)))
	hand, handTask := r.raw(rawPayload())
	if err := r.inspector().ArchiveTask(r.queue(), handTask); err != nil {
		t.Fatal(err)
	}
	// So does one with retries left, and one without that asynq says nothing of.
	again, againTask := r.raw(rawPayload(), asynq.MaxRetry(3))
	r.archiveAs(againTask, "handed back: the store does not answer")
	silent, silentTask := r.raw(rawPayload(), asynq.MaxRetry(0))
	if err := r.inspector().ArchiveTask(r.queue(), silentTask); err != nil {
		t.Fatal(err)
	}
	purged, purgedTask := r.raw(rawPayload(), asynq.MaxRetry(0))
	r.archiveAs(purgedTask, "dead 1: not_subscribed")

	now := time.Now().Add(2 * time.Second)
	for range 2 {
		if err := s.sweepArchive(r.ctx, now); err != nil {
			t.Fatal(err)
		}
	}
	s.wantSwept(t, sweptAdopted, 3)
	for id, want := range map[uuid.UUID]store.State{lost: store.Queued, bad: store.Dead, late: store.Expired} {
		if n := r.get(id); n.State != want {
			t.Errorf("%s, want %s", n.State, want)
		}
	}
	for _, id := range []uuid.UUID{hand, again, silent, purged} {
		if _, _, err := r.store.Get(r.ctx, id); err == nil {
			t.Error("a dead letter, or what a person archived, was accepted")
		}
	}
	left := r.archived()
	if left[lostTask] || left[badTask] || left[lateTask] || !left[handTask] || !left[againTask] || !left[silentTask] || !left[purgedTask] {
		t.Errorf("archived %v", left)
	}

	// Before the view forgets it, what a person archived goes on record.
	if err := s.sweepArchive(r.ctx, now.Add(archiveAge+time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := r.get(hand); n.State != store.Cancelled || n.Reason != store.ReasonByAdmin {
		t.Errorf("archived by hand: %s, %s", n.State, n.Reason)
	}
	if len(r.archived()) != 0 {
		t.Error("the view keeps what is too old")
	}
	if _, _, err := r.store.Get(r.ctx, purged); err == nil {
		t.Error("a purged dead letter was accepted again")
	}

	// It is sent as any other, once.
	r.start()
	eventually(t, "it is handed over", func() bool {
		hs, err := r.store.Handovers(r.ctx, 10)
		if err != nil || len(hs) == 0 {
			r.hurry(lost)
			return false
		}
		return r.handOver() > 0
	})
	r.awaitState(lost, store.Sent)
	r.wantSends(1)
}

// While the store is away, no raw task leaves the archive.
func TestTheArchiveWaitsForTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.edit = func(c *Config) {
		c.Store = &faultyStore{Store: c.Store, look: func(func() ([]store.Look, error)) ([]store.Look, error) {
			return nil, store.ErrUnavailable
		}}
	}
	s := r.sweeping()
	_, taskID := r.raw(rawPayload(), asynq.MaxRetry(0))
	r.archiveAs(taskID, "asynq: task lease expired")
	if err := s.sweepArchive(r.ctx, time.Now().Add(2*archiveAge)); err == nil {
		t.Error("swept without a store")
	}
	if !r.archived()[taskID] {
		t.Error("the task is gone")
	}
}

// archiveAs does to a pending task what asynq does when it gives one up.
func (r *rig) archiveAs(taskID, lastErr string) {
	r.t.Helper()
	msg, err := r.redis.HGet(r.ctx, r.key("t:"+taskID), "msg").Bytes()
	if err != nil {
		r.t.Fatal(err)
	}
	msg = append(msg, 7<<3|2, byte(len(lastErr))) // field 7, error_msg
	msg = append(msg, lastErr...)
	r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
	r.redis.HSet(r.ctx, r.key("t:"+taskID), "msg", msg, "state", "archived")
	r.redis.ZAdd(r.ctx, r.key("archived"), redis.Z{Score: float64(time.Now().Unix()), Member: taskID})
	if got := r.lastErr(taskID); got != lastErr {
		r.t.Fatalf("asynq reads %q, want %q", got, lastErr)
	}
}

// hurry makes a row due for its handover.
func (r *rig) hurry(id uuid.UUID) {
	r.t.Helper()
	n := r.get(id)
	hs := []store.Handover{{Notification: n}}
	if err := r.store.HandedOver(r.ctx, hs); err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.store.Requeue(r.ctx, []store.OnQueue{{ID: id, Generation: n.Generation}}); err != nil {
		r.t.Fatal(err)
	}
}

// A message that cannot be read stops all recovery of a server.
func TestPoisonIsTakenAside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sweeping()
	n := r.send()
	good, bad := task.ID(n.ID, 1), "poison-1"
	long := time.Now().Add(-10 * time.Minute)
	for _, id := range []string{good, bad} {
		r.redis.LRem(r.ctx, r.key("pending"), 0, id)
		r.redis.LPush(r.ctx, r.key("active"), id)
		r.redis.HSet(r.ctx, r.key("t:"+id), "state", "active")
		r.redis.ZAdd(r.ctx, r.key("lease"), redis.Z{Score: float64(long.Unix()), Member: id})
	}
	r.redis.HSet(r.ctx, r.key("t:"+bad), "msg", "\xffnonsense")
	if err := s.sweepPoison(r.ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.wantSwept(t, sweptPoison, 1)
	if r.redis.Exists(r.ctx, r.key("t:"+bad)).Val() != 0 || r.redis.ZScore(r.ctx, r.key("lease"), bad).Err() == nil ||
		r.redis.LPos(r.ctx, r.key("active"), bad, redis.LPosArgs{}).Err() == nil {
		t.Error("the poison is still there")
	}
	if r.redis.ZScore(r.ctx, r.key("lease"), good).Err() != nil {
		t.Error("a task that can be read was taken aside")
	}
	found := false
	for _, entry := range r.redis.LRange(r.ctx, task.PoisonKey, 0, -1).Val() {
		var p task.Poison
		if err := json.Unmarshal([]byte(entry), &p); err != nil {
			t.Fatal(err)
		}
		found = found || p.Queue == r.queue() && p.TaskID == bad && string(p.Msg) == "\xffnonsense"
	}
	if !found {
		t.Error("the poison was not copied aside")
	}
	if got := r.logs.FilterMessageSnippet("cannot be read").Len(); got != 1 {
		t.Errorf("%d lines in the log, want 1", got)
	}
	// The other task is recovered now.
	r.start()
	r.awaitState(n.ID, store.Sent)
}

// Ghosts anywhere in the pending list are dropped before they are met, and what
// is there keeps its order.
func TestSweepDropsPendingGhosts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sweeping()
	var want []string
	for i, id := range r.many(ghostWindow + 100) {
		if i%3 == 0 {
			r.redis.Del(r.ctx, r.key("t:"+id))
			continue
		}
		want = append(want, id)
	}
	if err := s.sweepPending(r.ctx); err != nil {
		t.Fatal(err)
	}
	got := r.redis.LRange(r.ctx, r.key("pending"), 0, -1).Val()
	if len(got) != len(want) {
		t.Fatalf("%d pending, want %d", len(got), len(want))
	}
	for i, id := range got {
		if id != want[len(want)-1-i] {
			t.Fatalf("place %d changed", i)
		}
	}
	s.wantSwept(t, sweptGhost, ghostWindow+100-len(want))
}

// passes makes two passes over all tasks, as far apart as they must be.
func (s *server) passes(t *testing.T, between func()) {
	t.Helper()
	now := time.Now()
	for i, at := range []time.Time{now, now.Add(orphanAge + time.Second)} {
		if i > 0 && between != nil {
			between()
		}
		q, err := s.orphanQueue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.w.passOrphans(t.Context(), map[string]*orphanQueue{s.queue: q}, at); err != nil {
			t.Fatal(err)
		}
	}
}

// A task that asynq's or the console's half-applied scripts left in no list is
// deleted after two passes; everything else is left alone.
func TestOrphansAreDeleted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		orphan func(r *rig, taskID string)
	}{
		"acknowledged without a lease": {func(r *rig, taskID string) {
			r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
			r.redis.HSet(r.ctx, r.key("t:"+taskID), "state", "active")
			r.redis.HDel(r.ctx, r.key("t:"+taskID), "pending_since")
		}},
		"archive trimmed by the console": {func(r *rig, taskID string) {
			r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
			r.redis.HSet(r.ctx, r.key("t:"+taskID), "state", "archived")
		}},
		"pending list evicted": {func(r *rig, _ string) { r.redis.Del(r.ctx, r.key("pending")) }},
		"pending, but not listed": {func(r *rig, taskID string) {
			r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
			r.many(1)
		}},
		"retry set evicted": {func(r *rig, taskID string) {
			r.redis.LRem(r.ctx, r.key("pending"), 0, taskID)
			r.redis.HSet(r.ctx, r.key("t:"+taskID), "state", "retry")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			s := r.sweeping()
			n := r.send()
			rawID, rawTask := r.raw(rawPayload())
			for _, id := range []string{task.ID(n.ID, 1), rawTask} {
				test.orphan(r, id)
			}
			healthy := r.everywhere()
			q, err := s.orphanQueue(r.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := q.orphans(r.ctx, healthy, true); err != nil || len(got) != 0 {
				t.Errorf("%d tasks in their places taken for orphans, %v", len(got), err)
			}
			s.passes(t, func() {
				if got := r.redis.Exists(r.ctx, r.key("t:"+rawTask)).Val(); got != 1 {
					t.Error("deleted at first sight")
				}
			})
			if got := r.redis.Exists(r.ctx, r.key("t:"+rawTask), r.key("t:"+task.ID(n.ID, 1))).Val(); got != 0 {
				t.Errorf("%d orphans left", got)
			}
			if got := r.get(rawID); got.State != store.Queued {
				t.Errorf("the raw task's row is %s, want queued", got.State)
			}
			for _, id := range healthy {
				if r.redis.Exists(r.ctx, r.key("t:"+id)).Val() != 1 {
					t.Errorf("%s was deleted", id)
				}
			}
			s.wantSwept(t, sweptOrphan, 2)
			s.wantSwept(t, sweptAdopted, 1)
		})
	}
}

// everywhere makes a task in each place where one belongs.
func (r *rig) everywhere() []string {
	r.t.Helper()
	ids := r.many(6)
	for i, name := range []string{"scheduled", "retry", "archived", "completed"} {
		r.redis.LRem(r.ctx, r.key("pending"), 0, ids[i])
		r.redis.HSet(r.ctx, r.key("t:"+ids[i]), "state", name)
		r.redis.ZAdd(r.ctx, r.key(name), redis.Z{Score: float64(time.Now().Unix()), Member: ids[i]})
	}
	r.redis.LRem(r.ctx, r.key("pending"), 0, ids[4])
	r.redis.LPush(r.ctx, r.key("active"), ids[4])
	r.redis.HSet(r.ctx, r.key("t:"+ids[4]), "state", "active") // without a lease: another sweep's
	return ids
}

// A task that is where it belongs again by the second pass is no orphan.
func TestAnOrphanThatReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sweeping()
	n := r.send()
	id := task.ID(n.ID, 1)
	r.redis.LRem(r.ctx, r.key("pending"), 0, id)
	s.passes(t, func() { r.redis.LPush(r.ctx, r.key("pending"), id) })
	if r.redis.Exists(r.ctx, r.key("t:"+id)).Val() != 1 {
		t.Error("deleted")
	}
	if r.redis.Exists(r.ctx, s.orphansKey()).Val() != 0 {
		t.Error("still under suspicion")
	}
}

// One process of all makes the pass.
func TestOrphansAreLookedForByOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, two := r.sweeping(), r.sweeping()
	n := r.send()
	r.redis.LRem(r.ctx, r.key("pending"), 0, task.ID(n.ID, 1))
	now := time.Now()
	if err := one.w.sweepOrphans(r.ctx, now); err != nil {
		t.Fatal(err)
	}
	if err := two.w.sweepOrphans(r.ctx, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r.redis.Exists(r.ctx, r.key("t:"+task.ID(n.ID, 1))).Val() != 1 {
		t.Error("the second process made a pass of its own")
	}
	r.redis.Del(r.ctx, "wxnotify:{"+r.queue()+"}:orphans:turn")
	if err := two.w.sweepOrphans(r.ctx, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r.redis.Exists(r.ctx, r.key("t:"+task.ID(n.ID, 1))).Val() != 0 {
		t.Error("the second process forgot what the first had found")
	}
}

// BenchmarkOrphanPass makes a pass over 100,000 tasks on which all is well.
func BenchmarkOrphanPass(b *testing.B) {
	const tasks = 100_000
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" {
		b.Skip("TEST_REDIS_URL is not set")
	}
	opts, err := redis.ParseURL(url)
	if err != nil {
		b.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	defer func() { _ = rdb.Close() }()
	ctx := context.Background()
	queue := testAppID() + ":default"
	s := &server{queue: queue, w: &Worker{cfg: Config{Redis: rdb}, sweeps: newSweepMetrics(nil)}}
	s.w.now.Store(&serving{servers: []*server{s}})
	defer func() {
		var keys []string
		iter := rdb.Scan(ctx, 0, s.key("*"), 10_000).Iterator()
		for iter.Next(ctx) {
			keys = append(keys, iter.Val())
		}
		for len(keys) > 0 {
			n := min(len(keys), 1000)
			rdb.Del(ctx, keys[:n]...)
			keys = keys[n:]
		}
	}()
	for i := range tasks / 1000 {
		_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for k := range 1000 {
				id := fmt.Sprintf("%d-%d", i, k)
				p.HSet(ctx, s.key("t:"+id), "msg", make([]byte, 300), "state", "pending", "pending_since", time.Now().UnixNano())
				p.LPush(ctx, s.key("pending"), id)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		q, err := s.orphanQueue(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.w.passOrphans(ctx, map[string]*orphanQueue{queue: q}, time.Now()); err != nil {
			b.Fatal(err)
		}
		if len(q.suspects) > 0 {
			b.Fatalf("%d suspects where all is well", len(q.suspects))
		}
	}
}
