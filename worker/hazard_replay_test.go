package worker

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// deadLetter sends a notification that WeChat rejects once and returns it dead,
// its task in asynq's archive.
func (r *rig) deadLetter() (n store.Notification, taskID, marker string) {
	r.t.Helper()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003, Errmsg: "argument invalid! data.thing1.value invalid", Count: 1})
	n = r.send()
	taskID = task.ID(n.ID, n.Generation)
	n = r.awaitState(n.ID, store.Dead)
	r.awaitTaskState(taskID, asynq.TaskStateArchived)
	marker = r.lastErr(taskID)
	if !isMarker(marker, n) {
		r.t.Fatalf("archived with %q, want the marker of death %d", marker, n.Seq)
	}
	return n, taskID, marker
}

// wantUnmoved checks that a delivery changed nothing.
func (r *rig) wantUnmoved(before store.Notification) {
	r.t.Helper()
	after := r.get(before.ID)
	if after.State != before.State || after.Generation != before.Generation || after.Seq != before.Seq || after.Reason != before.Reason {
		r.t.Errorf("row %s generation %d seq %d reason %q, was %s, %d, %d, %q",
			after.State, after.Generation, after.Seq, after.Reason, before.State, before.Generation, before.Seq, before.Reason)
	}
}

// The dead letter is on the queue once more although nobody asked: its hash came
// back with an older copy of Redis, or the process died before the archive write.
func TestRedeliveredDeadLetterIsArchivedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	n, taskID, marker := r.deadLetter()
	if err := r.inspector().DeleteTask(r.queue(), taskID); err != nil {
		t.Fatal(err)
	}
	r.enqueue(n)
	r.awaitTaskState(taskID, asynq.TaskStateArchived)
	if got := r.lastErr(taskID); got != marker {
		t.Errorf("archived with %q, want %q again", got, marker)
	}
	r.wantUnmoved(n)
	r.wantSends(1)
}

// A process that dies between the settlement and the archive write leaves the
// task active; another one recovers it.
func TestCrashBeforeTheArchiveWriteSendsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var refused atomic.Int64
	r.edit = func(c *Config) {
		c.ServerRedis.AddHook(hook{func(_ context.Context, cmd redis.Cmder, redis func() error) error {
			if script, _ := scriptOf(cmd); script == archiveScript {
				refused.Add(1)
				return errBroken
			}
			return redis()
		}})
	}
	first := r.start()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003, Count: 1})
	n := r.send()
	n = r.awaitState(n.ID, store.Dead)
	eventually(t, "the archive write failed", func() bool { return refused.Load() > 0 })
	first.stop()
	r.edit = nil
	taskID := task.ID(n.ID, n.Generation)
	r.awaitTaskState(taskID, asynq.TaskStateActive)
	r.expireLeases()
	r.start()
	r.awaitTaskState(taskID, asynq.TaskStateArchived)
	if got := r.lastErr(taskID); !isMarker(got, n) {
		t.Errorf("archived with %q, want the marker of the death", got)
	}
	r.wantUnmoved(n)
	r.wantSends(1)
}

// "Run" in asynqmon is a replay: a new generation, which Relay hands over.
func TestRunOfAnArchivedTaskIsAReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	n, taskID, _ := r.deadLetter()
	if err := r.inspector().RunTask(r.queue(), taskID); err != nil {
		t.Fatal(err)
	}
	got := r.awaitState(n.ID, store.Queued)
	if got.Generation != n.Generation+1 || got.Spent != 0 || got.HandoverAt.IsZero() {
		t.Errorf("generation %d, spent %d, handover %v; want the next generation with a fresh budget, handed over", got.Generation, got.Spent, got.HandoverAt)
	}
	r.awaitNoTask(taskID)
	r.wantSends(1)
	if got := r.handOver(); got != 1 {
		t.Fatalf("%d rows to hand over, want 1", got)
	}
	r.awaitState(n.ID, store.Sent)
	r.awaitNoTask(task.ID(n.ID, got.Generation))
	r.wantSends(2)
	if again := r.handOver(); again != 0 {
		t.Errorf("%d rows to hand over after it was sent", again)
	}
}

// The archived task of an earlier death says nothing about the present one.
func TestRunOfAnEarlierDeathDoesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	n, taskID, marker := r.deadLetter()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003, Count: 1})
	res, err := r.store.Commit(r.ctx, store.Batch{Moves: []store.Move{{ID: n.ID, Generation: n.Generation, State: store.Queued, Replay: true, MaxAge: time.Hour}}})
	if err != nil || !res.Moves[0] {
		t.Fatalf("replay: %v %v", res, err)
	}
	r.handOver()
	again := r.await(n.ID, "dead again", func(g store.Notification) bool { return g.State == store.Dead && g.Seq == 2 })
	if got := r.lastErr(taskID); got != marker {
		t.Fatalf("the first death's task says %q, want %q still", got, marker)
	}
	if err := r.inspector().RunTask(r.queue(), taskID); err != nil {
		t.Fatal(err)
	}
	r.awaitTask(taskID, "it is archived again", func(i *asynq.TaskInfo) bool { return i.State == asynq.TaskStateArchived })
	r.wantUnmoved(again)
	r.wantSends(2)
}

// Redis comes back as it was earlier: the first delivery is pending again while
// the row has gone on.
func TestOlderCopyOfRedisSendsNothing(t *testing.T) {
	t.Parallel()
	commit := func(r *rig, b store.Batch) {
		r.t.Helper()
		if _, err := r.store.Commit(r.ctx, b); err != nil {
			r.t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		advance  func(*rig, store.Notification)
		archived bool // the delivery ends in asynq's archive; else it is acknowledged
		sends    int  // before the old copy came back
	}{
		"sent": {sends: 1, advance: func(r *rig, n store.Notification) {
			r.enqueue(n)
			r.awaitState(n.ID, store.Sent)
		}},
		"dead": {sends: 1, archived: true, advance: func(r *rig, n store.Notification) {
			r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003, Count: 1})
			r.enqueue(n)
			r.awaitState(n.ID, store.Dead)
			r.awaitTaskState(task.ID(n.ID, 1), asynq.TaskStateArchived)
			if err := r.inspector().DeleteTask(r.queue(), task.ID(n.ID, 1)); err != nil {
				r.t.Fatal(err)
			}
		}},
		"retrying in the next generation": {advance: func(r *rig, n store.Notification) {
			commit(r, store.Batch{Moves: []store.Move{{ID: n.ID, Generation: 1, State: store.Retrying, Requeue: true}}})
		}},
		"cancelled": {advance: func(r *rig, n store.Notification) {
			commit(r, store.Batch{Moves: []store.Move{{ID: n.ID, Generation: 1, State: store.Cancelled, Reason: store.ReasonByAdmin}}})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.start()
			n := r.accept()
			taskID := task.ID(n.ID, n.Generation)
			tc.advance(r, n)
			if !tc.archived {
				r.awaitNoTask(taskID)
			}
			before := r.get(n.ID)
			r.enqueue(n)
			if tc.archived {
				r.awaitTaskState(taskID, asynq.TaskStateArchived)
			} else {
				r.awaitNoTask(taskID)
			}
			r.wantUnmoved(before)
			r.wantSends(tc.sends)
		})
	}
}
