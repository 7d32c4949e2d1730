package worker

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// "Run" in asynqmon says nothing of a second message, so it does not replay what
// died in doubt.
func TestRunOfADoubtSendsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.editTiming = func(tm *timing) { tm.backoff = []time.Duration{time.Millisecond} }
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: -1, Count: 1})
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 43101})
	r.start()
	n := r.send()
	n = r.awaitState(n.ID, store.Dead)
	if n.Reason != store.ReasonInDoubt {
		t.Fatalf("reason %q, want in_doubt", n.Reason)
	}
	taskID := task.ID(n.ID, n.Generation)
	r.awaitTaskState(taskID, asynq.TaskStateArchived)
	before := r.lastFailed(taskID)
	if err := r.inspector().RunTask(r.queue(), taskID); err != nil {
		t.Fatal(err)
	}
	r.awaitTask(taskID, "it is archived again", func(i *asynq.TaskInfo) bool {
		return i.State == asynq.TaskStateArchived && i.LastFailedAt.After(before)
	})
	r.wantUnmoved(n)
	r.wantSends(2)
}

// lastFailed is when asynq last archived the task, after the whole second in
// which it keeps that is over.
func (r *rig) lastFailed(taskID string) time.Time {
	r.t.Helper()
	info, err := r.inspector().GetTaskInfo(r.queue(), taskID)
	if err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "the second is over", func() bool { return time.Now().Unix() > info.LastFailedAt.Unix() })
	return info.LastFailedAt
}
