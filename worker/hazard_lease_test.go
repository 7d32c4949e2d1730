package worker

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// Redis is out of a worker's reach for longer than asynq's lease, and another
// worker takes its task back: while the call is under way, or after it was
// answered and could not be acknowledged. WeChat is asked once in either case.
func TestRedisUnreachablePastTheLeaseSendsOnce(t *testing.T) {
	t.Parallel()
	for name, answeredFirst := range map[string]bool{"call under way": false, "call answered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p := newProxy(r)
			r.hang()
			r.start()
			n := r.send()
			taskID := task.ID(n.ID, n.Generation)
			r.awaitHanging(1)
			p.set(frozen)
			t.Cleanup(func() { p.set(passing) }) // the worker has to stop
			if answeredFirst {
				r.letGo()
				r.awaitState(n.ID, store.Sent)
			}
			r.awaitTaskState(taskID, asynq.TaskStateActive)
			r.expireLeases()
			r.edit = nil
			r.start()
			if answeredFirst {
				r.awaitNoTaskSoon(taskID)
			} else {
				r.hasten(taskID, func(i *asynq.TaskInfo) bool { return i.LastErr == "handed back: another delivery is sending" })
				r.letGo()
				r.awaitState(n.ID, store.Sent)
				r.awaitNoTaskSoon(taskID)
			}
			p.set(passing)
			later := r.send()
			r.awaitState(later.ID, store.Sent)
			r.wantSends(2)
			if got := r.get(n.ID); got.Seq != 1 || got.Doubts != 0 || got.Spent != 0 {
				t.Errorf("%d claims, %d doubts, %d spent; want one claim and nothing else", got.Seq, got.Doubts, got.Spent)
			}
		})
	}
}

// hasten waits for a task, and lets it come back at once whenever it waits for
// asynq's retry.
func (r *rig) hasten(taskID string, ok func(*asynq.TaskInfo) bool) {
	r.t.Helper()
	eventually(r.t, "the task comes back", func() bool {
		info, err := r.inspector().GetTaskInfo(r.queue(), taskID)
		if err != nil || ok(info) {
			return err == nil
		}
		if info.State == asynq.TaskStateRetry {
			_ = r.inspector().RunTask(r.queue(), taskID) // it may just have gone
		}
		return false
	})
}

// awaitNoTaskSoon is awaitNoTask without asynq's delays.
func (r *rig) awaitNoTaskSoon(taskID string) {
	r.t.Helper()
	eventually(r.t, "the task is acknowledged", func() bool {
		info, err := r.inspector().GetTaskInfo(r.queue(), taskID)
		if err == nil && info.State == asynq.TaskStateRetry {
			_ = r.inspector().RunTask(r.queue(), taskID) // it may just have gone
		}
		return err != nil
	})
}

// The reply of a dequeue is lost: the script ran, so the task is active, and no
// handler has it. go-redis asks again and gets the next one; the lost one comes
// back when its lease is over, and it costs no attempt.
func TestLostDequeueReply(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := newProxy(r)
	first := r.start()
	n := r.accept()
	taskID := task.ID(n.ID, n.Generation)
	lost := p.loseReply(n.ID.String())
	r.enqueue(n)
	select {
	case <-lost:
	case <-time.After(30 * time.Second):
		t.Fatal("no reply was lost")
	}
	next := r.send()
	r.awaitState(next.ID, store.Sent)
	r.awaitTaskState(taskID, asynq.TaskStateActive)
	if got := r.get(n.ID); got.State != store.Queued || got.Seq != 0 {
		t.Errorf("row %s after %d claims, want it queued and unclaimed", got.State, got.Seq)
	}
	first.stop()
	r.awaitTaskState(taskID, asynq.TaskStateActive)
	r.expireLeases()
	r.start()
	r.awaitNoTaskSoon(taskID)
	if got := r.get(n.ID); got.State != store.Sent || got.Seq != 1 || got.Spent != 0 || got.Doubts != 0 {
		t.Errorf("row %s, %d claims, %d spent, %d doubts; want it sent by the first claim", got.State, got.Seq, got.Spent, got.Doubts)
	}
	r.wantSends(2)
}
