package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// hang makes every call wait for letGo.
func (r *rig) hang() {
	r.t.Helper()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang})
}

func (r *rig) letGo() {
	r.sim.ClearFaults()
	r.sim.Release()
}

func (r *rig) awaitHanging(n int) {
	r.t.Helper()
	r.awaitSim("calls are under way", func(s simulator.State) bool { return s.Hanging == n })
}

// rawReport is a raw task's payload for one addressee.
func rawReport(openID string) map[string]any {
	return map[string]any{"template_id": simulator.SeedReport, "openid": openID, "data": reportData}
}

// asynq gives up a handler that is slower than the task's timeout and delivers
// the task again while the first call is under way.
func TestHandlerSlowerThanItsTimeoutSendsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.concurrency = 2
	r.hang()
	p := r.start()
	const tasks = 6
	var rows [tasks]store.Notification
	var taskIDs [tasks]string
	for i := range rows {
		rows[i].ID, taskIDs[i] = r.raw(rawReport(simulator.OpenID(string(rune('a'+i)))), asynq.Timeout(time.Second))
	}
	r.awaitHanging(r.concurrency)
	eventually(t, "asynq has given up the handlers that send", func() bool {
		abandoned := 0
		for i, n := range rows {
			info, err := r.inspector().GetTaskInfo(r.queue(), taskIDs[i])
			row, _, getErr := r.store.Get(r.ctx, n.ID)
			if err == nil && getErr == nil && row.State == store.Sending && info.State == asynq.TaskStateRetry {
				abandoned++
			}
		}
		return abandoned == r.concurrency
	})
	late := r.send()
	eventually(t, "another task waits, although asynq has handlers to spare", func() bool {
		return waiting(p.slots, r.appID, store.Default) > 0
	})
	r.letGo()
	r.awaitState(late.ID, store.Sent)
	for _, n := range rows {
		r.awaitState(n.ID, store.Sent)
		if as := r.attempts(n.ID); len(as) != 1 || as[0].Outcome != "ok" {
			t.Errorf("attempts %+v, want one", as)
		}
	}
	for _, id := range taskIDs {
		r.awaitNoTask(id)
	}
	r.wantSends(tasks + 1)
	if most := r.sim.State().MaxInFlight; most > r.concurrency {
		t.Errorf("%d calls in flight at once, want at most %d: an abandoned handler still holds its slot", most, r.concurrency)
	}
}

// A task that asynq puts back at the end of its shutdown timeout reaches another
// process while the first still sends.
func TestShutdownSlowerThanItsTimeoutSendsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sendTimeout = time.Second // asynq then waits 6 s for its handlers
	began, goOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	r.edit = func(c *Config) {
		next := c.Sender
		c.Sender = senderFunc(func(ctx context.Context, token string, m wechat.Message) (wechat.Receipt, error) {
			close(began)
			<-goOn // stuck, deaf to its deadline
			return next.Send(context.WithoutCancel(ctx), token, m)
		})
	}
	first := r.start()
	n := r.send()
	<-began
	r.edit = nil
	r.start()
	var stopping sync.WaitGroup
	stopping.Go(first.stop)
	t.Cleanup(func() { release(); stopping.Wait() })
	taskID := task.ID(n.ID, n.Generation)
	r.awaitTask(taskID, "the second process has met the claim", func(i *asynq.TaskInfo) bool {
		return i.LastErr == "handed back: another delivery is sending"
	})
	release()
	stopping.Wait()
	if got := r.get(n.ID); got.State != store.Sent || got.Seq != 1 {
		t.Errorf("row %s after %d claims; the first process must write its answer before it ends", got.State, got.Seq)
	}
	r.awaitNoTask(taskID)
	r.wantSends(1)
}

// A person presses "cancel" in asynqmon while the call is under way.
func TestCancelDuringACallSendsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hang()
	r.start()
	n := r.send()
	r.awaitHanging(1)
	taskID := task.ID(n.ID, n.Generation)
	if err := r.inspector().CancelProcessing(taskID); err != nil {
		t.Fatal(err)
	}
	r.awaitTaskState(taskID, asynq.TaskStateRetry)
	if got := r.sim.State().Hanging; got != 1 {
		t.Fatalf("%d calls under way, want the one to go on", got)
	}
	r.letGo()
	r.awaitState(n.ID, store.Sent)
	r.awaitNoTask(taskID)
	r.wantSends(1)
	if as := r.attempts(n.ID); len(as) != 1 || as[0].Outcome != "ok" {
		t.Errorf("attempts %+v, want one that was ok", as)
	}
}

// Two processes hold deliveries of the same row, and both ask for the claim at once.
func TestTwoDeliveriesAtOnceSendOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	asks := make(chan struct{}, 2)
	var both sync.WaitGroup
	both.Add(2)
	r.edit = func(c *Config) {
		var once sync.Once
		c.Store = &faultyStore{Store: c.Store, commit: func(_ store.Batch, call func() (store.Results, error)) (store.Results, error) {
			once.Do(func() { // a claim: it comes first
				asks <- struct{}{}
				both.Done()
				both.Wait()
			})
			return call()
		}}
	}
	r.hang()
	n := r.accept()
	other := n
	other.Priority = store.Low // the same TaskID is free in another queue
	r.enqueue(other)
	first := r.start()
	<-asks
	for _, s := range first.now.Load().servers {
		s.asynq.Stop() // takes no second one
	}
	r.enqueue(n)
	r.start()
	r.awaitHanging(1)
	eventually(t, "the other delivery is handed back", func() bool {
		for _, p := range []store.Priority{store.Default, store.Low} {
			info, err := r.inspector().GetTaskInfo(task.Queue(r.appID, "", p), task.ID(n.ID, n.Generation))
			if err == nil && info.LastErr == "handed back: another delivery is sending" {
				return true
			}
		}
		return false
	})
	r.letGo()
	r.awaitState(n.ID, store.Sent)
	r.wantSends(1)
	if got := r.get(n.ID); got.Seq != 1 {
		t.Errorf("%d claims, want 1", got.Seq)
	}
}

// Raw tasks without retries, as asynq.MaxRetry(0) makes them: whatever needs a
// later attempt must be an open row that Relay takes over. asynq would archive
// the task, and nobody would look there.
func TestRawTaskWithoutRetriesIsLeftToRelay(t *testing.T) {
	t.Parallel()
	// Each starts a worker; what it returns happens when the task is on the queue.
	nothing := func() {}
	for name, arrange := range map[string]func(*rig) (then func()){
		"busy answer": func(r *rig) func() {
			r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActStatus, Status: 412, Count: 1})
			r.start()
			return nothing
		},
		"app paused after the dequeue": func(r *rig) func() {
			var p *process
			r.edit = func(c *Config) {
				c.Store = &faultyStore{Store: c.Store, adopt: func(_ store.Acceptance, call func() (store.Look, error)) (store.Look, error) {
					p.app(r.appID).gate.close(context.Background(), "account", 48001, "barred", time.Minute)
					return call()
				}}
			}
			p = r.prepare()
			if err := p.Start(r.ctx); err != nil {
				r.t.Fatal(err)
			}
			return nothing
		},
		"no access token": func(r *rig) func() {
			r.fault(simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: -1})
			r.start()
			return nothing
		},
		"openid busy": func(r *rig) func() {
			p := r.start()
			unlock, ok := p.openIDs.tryLock(r.ctx, r.appID+" "+simulator.OpenID(r.appID), 0)
			if !ok {
				r.t.Fatal("the openid is locked")
			}
			r.t.Cleanup(unlock)
			return nothing
		},
		"worker stops": func(r *rig) func() {
			p := r.start()
			for range r.concurrency {
				if _, err := p.slots.acquire(r.ctx, r.appID, store.Default); err != nil {
					r.t.Fatal(err)
				}
			}
			return func() {
				eventually(r.t, "the task waits for a slot", func() bool { return waiting(p.slots, r.appID, store.Default) == 1 })
				p.stop()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			then := arrange(r)
			id, taskID := r.raw(rawReport(simulator.OpenID(r.appID)), asynq.MaxRetry(0))
			then()
			got := r.await(id, "left to Relay", func(n store.Notification) bool { return n.Generation == 2 })
			if got.State != store.Retrying || got.HandoverAt.IsZero() {
				t.Errorf("row %s, handover %v; want retrying, with a handover", got.State, got.HandoverAt)
			}
			r.awaitNoTask(taskID)
			if q, err := r.inspector().GetQueueInfo(r.queue()); err != nil || q.Archived != 0 {
				t.Errorf("%+v archived (%v), want none", q, err)
			}
			if r.sim.State().Accepted != 0 {
				t.Error("it was sent")
			}
		})
	}
}

// The worker stops before it could adopt a raw task that has no retries: there
// is no row that Relay could take over, so the task must stay on the queue.
func TestRawTaskWithoutRetriesOutlivesARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.sendTimeout = time.Second // asynq then waits 6 s for its handlers
	tried := make(chan struct{})
	tell := sync.OnceFunc(func() { close(tried) })
	r.edit = func(c *Config) {
		c.Store = &faultyStore{Store: c.Store, adopt: func(store.Acceptance, func() (store.Look, error)) (store.Look, error) {
			tell()
			return store.Look{}, store.ErrUnavailable
		}}
	}
	p := r.start()
	id, taskID := r.raw(rawReport(simulator.OpenID("restart")), asynq.MaxRetry(0))
	<-tried
	p.stop()
	if info, err := r.inspector().GetTaskInfo(r.queue(), taskID); err != nil || info.State != asynq.TaskStatePending {
		t.Fatalf("task %+v (%v), want it pending", info, err)
	}
	r.edit = nil
	r.start()
	r.awaitState(id, store.Sent)
	r.wantSends(1)
}

// A raw task whose own asynq deadline goes by in the queue is never run, and
// asynq only burns its retries.
func TestRawTaskPastItsDeadlineIsNoted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, taskID := r.raw(rawReport(simulator.OpenID("late")), asynq.Deadline(time.Now().Add(-time.Second)))
	r.start()
	if got := r.awaitState(id, store.Expired); got.Reason != store.ReasonDeadline {
		t.Errorf("reason %q, want task_deadline", got.Reason)
	}
	r.awaitTask(taskID, "asynq has noted its own error", func(i *asynq.TaskInfo) bool { return i.LastErr == "context deadline exceeded" })
	r.wantSends(0)
}

// A timeout is no deadline: the handler that asynq gave up still has the task,
// or a later delivery will.
func TestTimeoutIsNotTakenForADeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var away atomic.Bool
	away.Store(true)
	r.edit = func(c *Config) {
		c.Store = &faultyStore{Store: c.Store, adopt: func(a store.Acceptance, call func() (store.Look, error)) (store.Look, error) {
			if away.Load() && a.Notification.State == store.Queued {
				return store.Look{}, store.ErrUnavailable
			}
			return call()
		}}
	}
	r.start()
	id, taskID := r.raw(rawReport(simulator.OpenID("slow")), asynq.Timeout(time.Second))
	r.awaitTaskState(taskID, asynq.TaskStateRetry)
	away.Store(false)
	r.awaitState(id, store.Sent)
	r.wantSends(1)
}

// What asynq is told of our own tasks: no deadline, and a timeout of whole
// seconds, since asynq cuts the fraction off and takes 0 for half an hour.
func TestOwnTasksHaveNoDeadline(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.send()
	info, err := r.inspector().GetTaskInfo(r.queue(), task.ID(n.ID, n.Generation))
	if err != nil {
		t.Fatal(err)
	}
	if !info.Deadline.IsZero() || info.Timeout != task.Timeout || info.Timeout%time.Second != 0 {
		t.Errorf("deadline %v, timeout %v; want none, and %v", info.Deadline, info.Timeout, task.Timeout)
	}
	if info.Timeout < 2*time.Minute || info.MaxRetry < 1<<16 {
		t.Errorf("timeout %v, %d retries: within reach of a delivery that is handed back often", info.Timeout, info.MaxRetry)
	}
}
