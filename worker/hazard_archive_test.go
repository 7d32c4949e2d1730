package worker

import (
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// When more than some eight thousand archived tasks pass asynq's 90 days at
// once, its archive script fails half-way, and so does every later one. The dead
// letters are in the store all the same, and a sweep puts the archive right.
func TestAnArchiveThatAsynqCannotTrim(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const old = 8500
	ids := r.many(old)
	if _, err := r.inspector().ArchiveAllPendingTasks(r.queue()); err != nil {
		t.Fatal(err)
	}
	long := float64(time.Now().Add(-91 * 24 * time.Hour).Unix())
	members := make([]redis.Z, len(ids))
	for i, id := range ids {
		members[i] = redis.Z{Score: long, Member: id}
	}
	if err := r.redis.ZAdd(r.ctx, r.key("archived"), members...).Err(); err != nil {
		t.Fatal(err)
	}

	p := r.start()
	dead := func() (n store.Notification, taskID string) {
		t.Helper()
		r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003, Count: 1})
		n = r.send()
		return r.awaitState(n.ID, store.Dead), task.ID(n.ID, n.Generation)
	}
	n, taskID := dead()
	half := func() bool {
		archived := r.redis.ZScore(r.ctx, r.key("archived"), taskID).Err() == nil
		return archived && r.redis.HGet(r.ctx, r.key("t:"+taskID), "state").Val() == "active"
	}
	eventually(t, "asynq archives it half-way", half)
	if err := r.inspector().RunTask(r.queue(), taskID); err == nil {
		t.Error("a task that is half archived can be run now; the sweep of those may go")
	}

	servers := p.now.Load().servers
	s := servers[slices.IndexFunc(servers, func(s *server) bool { return s.queue == r.queue() })]
	if err := s.sweepArchive(r.ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.wantSwept(t, sweptPruned, old)
	s.wantSwept(t, sweptFinished, 1)
	r.awaitTask(taskID, "it is archived with its error", func(i *asynq.TaskInfo) bool {
		return i.State == asynq.TaskStateArchived && isMarker(i.LastErr, n)
	})
	r.wantUnmoved(n)
	r.wantSends(1)
	_, next := dead()
	r.awaitTaskState(next, asynq.TaskStateArchived)
	if list, err := r.inspector().ListArchivedTasks(r.queue()); err != nil || len(list) != 2 {
		t.Errorf("%d tasks in the archive, %v; want the two dead letters", len(list), err)
	}

	// Swept once more, what is whole stays as it is.
	if err := s.sweepArchive(r.ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	s.wantSwept(t, sweptFinished, 1)
	r.awaitTaskState(taskID, asynq.TaskStateArchived)
	if err := r.inspector().RunTask(r.queue(), taskID); err != nil {
		t.Errorf("run: %v", err)
	}
	r.await(n.ID, "replayed", func(g store.Notification) bool { return g.Generation == n.Generation+1 })
}
