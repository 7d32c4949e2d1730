package producer

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

func TestRawSendMakesATaskThatAWorkerAdopts(t *testing.T) {
	t.Parallel()
	rdb, app := sharedRedis(t), newApp()
	c := newClient(t, Config{Redis: rdb, App: app, Producer: "oa"})
	a := send(t.Context(), t, c, notice())

	info := oneTask(t, rdb, app+":default")
	if _, _, ok := task.ParseID(info.ID); ok {
		t.Errorf("TaskID %q has the form of a row's, and there is no row", info.ID)
	}
	if got, want := a, (Accepted{ID: task.RawID(app+":default", info.ID), State: store.Queued}); got != want {
		t.Errorf("Send = %+v, want %+v (the id that adoption gives)", got, want)
	}
	p, err := task.Parse(info.Payload)
	if err != nil {
		t.Fatal(err)
	}
	n := notice()
	if diff := cmp.Diff(task.Payload{ID: a.ID, App: app, TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, Data: n.Data}, p); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	if info.Type != task.Type || info.MaxRetry != task.MaxRetry || info.Timeout != task.Timeout {
		t.Errorf("task = %s, %d retries, timeout %v; want those of every task of ours", info.Type, info.MaxRetry, info.Timeout)
	}
}

func TestRawSendWithTheSameRefIsADuplicate(t *testing.T) {
	t.Parallel()
	rdb, app := sharedRedis(t), newApp()
	c := newClient(t, Config{Redis: rdb, App: app, Producer: "oa"})
	n := notice()
	n.Ref = "order-7"
	first := send(t.Context(), t, c, n)
	second := send(t.Context(), t, c, n)
	if !second.Duplicate || second.ID != first.ID || first.Duplicate {
		t.Errorf("Send twice = %+v, %+v; want the second a duplicate of the first", first, second)
	}
	other := newClient(t, Config{Redis: rdb, App: app, Producer: "crm"})
	if a := send(t.Context(), t, other, n); a.Duplicate {
		t.Error("another producer's ref is a duplicate")
	}
	if got := len(taskIDs(t, rdb, app+":default")); got != 2 {
		t.Errorf("%d tasks, want 2", got)
	}
}

func TestRawDelayIsRoundedUp(t *testing.T) {
	t.Parallel()
	rdb, app := sharedRedis(t), newApp()
	now := time.Now().Truncate(time.Second)
	c := newClient(t, Config{Redis: rdb, App: app, now: func() time.Time { return now }})
	n := notice()
	n.Delay = time.Hour + time.Millisecond
	send(t.Context(), t, c, n)
	tasks, err := inspector(rdb).ListScheduledTasks(app + ":default")
	if err != nil || len(tasks) != 1 {
		t.Fatalf("scheduled tasks = %d, %v; want 1", len(tasks), err)
	}
	if got, want := tasks[0].NextProcessAt, now.Add(time.Hour+time.Second); !got.Equal(want) {
		t.Errorf("next at %v, want %v", got, want)
	}
}

// Without a store nothing may be called accepted that Redis did not take, and a
// silent Redis may not hold a caller for longer than putTimeout.
func TestRawSendWhileRedisIsSilent(t *testing.T) {
	t.Parallel()
	server := ownRedis(t)
	reg := prometheus.NewRegistry()
	c := newClient(t, Config{Redis: server.client(t), App: newApp(), Registerer: reg})
	send(t.Context(), t, c, notice())
	server.signal(t, syscall.SIGSTOP)

	start := time.Now()
	results, err := c.SendBatch(t.Context(), []Notification{notice(), {}, notice()})
	if took := time.Since(start); took > putTimeout+time.Second {
		t.Errorf("SendBatch took %v on a silent Redis, want %v", took, putTimeout)
	}
	if !errors.Is(err, ErrQueueAway) || !errors.Is(results[0].Err, ErrQueueAway) || !errors.Is(results[2].Err, ErrQueueAway) {
		t.Errorf("SendBatch = %+v, %v; want ErrQueueAway", results, err)
	}
	if _, ok := errors.AsType[task.FieldErrors](results[1].Err); !ok {
		t.Errorf("the bad item's error = %v, want task.FieldErrors", results[1].Err)
	}
	start = time.Now()
	if _, err := c.Send(t.Context(), notice()); !errors.Is(err, ErrQueueAway) {
		t.Errorf("Send = %v, want ErrQueueAway", err)
	}
	if took := time.Since(start); took > putTimeout/2 {
		t.Errorf("the second call took %v; the circuit should have answered", took)
	}
	server.signal(t, syscall.SIGCONT)
	eventually(t, "Redis is used again", func() error {
		_, err := c.Send(t.Context(), notice())
		return err
	})
	if got := testutil.ToFloat64(c.metrics.enqueueErrors); got < 3 {
		t.Errorf("enqueue errors = %v, want at least 3", got)
	}
	if got := testutil.ToFloat64(c.metrics.accepted.WithLabelValues("default")); got != 2 {
		t.Errorf("accepted = %v, want 2", got)
	}
}

// H22: asynq's client adds a queue to the set of queues once; when the set is
// lost, Inspector says "queue not found" for ever.
func TestALostQueueSetComesBack(t *testing.T) {
	t.Parallel()
	server := ownRedis(t)
	rdb, app, now := server.client(t), newApp(), time.Now()
	c := newClient(t, Config{Redis: rdb, App: app, now: func() time.Time { return now }})
	send(t.Context(), t, c, notice())
	if err := rdb.Del(t.Context(), queueSet).Err(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(publishInterval - time.Second)
	send(t.Context(), t, c, notice())
	if _, err := inspector(rdb).GetQueueInfo(app + ":default"); err == nil {
		t.Error("the queue is published more often than once a minute")
	}
	now = now.Add(time.Second)
	send(t.Context(), t, c, notice())
	info, err := inspector(rdb).GetQueueInfo(app + ":default")
	if err != nil {
		t.Fatalf("the queue is not found a minute later: %v", err)
	}
	if info.Pending != 3 {
		t.Errorf("pending = %d, want 3", info.Pending)
	}
}

func TestCircuit(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &circuit{now: func() time.Time { return now }, outage: outage{log: zap.NewNop(), part: partRedis, now: time.Now}}
	done, ok := c.try()
	if !ok {
		t.Fatal("a new circuit is open")
	}
	late, _ := c.try()
	done(failed, errNotYet)
	late(failed, errNotYet)
	if _, ok := c.try(); ok || c.ready() {
		t.Fatal("a try right after a failure is let through")
	}
	now = now.Add(circuitPause)
	probe, ok := c.try()
	if !ok {
		t.Fatal("nobody may probe after the pause")
	}
	if _, ok := c.try(); ok {
		t.Error("two probe at once")
	}
	probe(unknown, nil)
	if probe, ok = c.try(); !ok {
		t.Fatal("a probe that learnt nothing blocks the next")
	}
	probe(failed, errNotYet)
	now = now.Add(circuitPause)
	if c.ready() {
		t.Error("the pause does not grow")
	}
	now = now.Add(circuitPauseMax)
	if probe, ok = c.try(); !ok {
		t.Fatal("nobody may probe after the longest pause")
	}
	probe(worked, nil)
	if _, ok := c.try(); !ok || !c.ready() {
		t.Error("the circuit stays open after a success")
	}
}
