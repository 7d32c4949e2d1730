package app_test

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// holdAnswer starts a worker that has WeChat's answer for one notification and
// cannot write it, since its store is away.
func holdAnswer(t *testing.T) (r *rig, proxy *dbProxy, w *child, held sent) {
	t.Helper()
	r = newRig(t, simulator.Config{}, map[string]string{"SEND_TIMEOUT": "2s", "IN_DOUBT_WAIT": "1s"})
	proxy = startProxy(t, r.databaseURL)
	r.env["DATABASE_URL"] = proxy.url
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, Count: 1})
	list := r.send(1, func(_ int, n *producer.Notification) { n.Duplicates = store.DuplicatesAvoid })
	w = r.spawn()
	r.awaitSim("a call is in flight", func(s simulator.State) bool { return s.Hanging == 1 })
	proxy.cut()
	r.sim.Release()
	awaitLog(t, w.log, "store does not answer")
	return r, proxy, w, list[0]
}

// A worker that is told to stop while it holds an answer waits for the store.
func TestTerminatedWhileStoreIsAway(t *testing.T) {
	t.Parallel()
	r, proxy, w, held := holdAnswer(t)
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitLog(t, w.log, "process stops")
	stays(t, "it waits", time.Second, func() error {
		select {
		case <-w.done:
			return errors.New("it ended")
		default:
			return nil
		}
	})
	proxy.join()
	awaitEnd(t, w, 0)
	r.wantOnce([]sent{held})
}

// It does not wait for ever: the answer is lost, and the doubt says so.
func TestTerminatedWithoutStore(t *testing.T) {
	t.Parallel()
	r, proxy, w, held := holdAnswer(t)
	start := time.Now()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, w, 1)
	t.Logf("ended after %v", time.Since(start).Round(time.Millisecond))
	proxy.join()
	r.spawn()
	r.awaitStates(map[store.State]int{store.Dead: 1})
	if n, _ := r.get(held.id); n.Reason != store.ReasonInDoubt || n.Doubts != 1 {
		t.Errorf("reason %q, %d doubts; want in_doubt and 1", n.Reason, n.Doubts)
	}
	if got := r.sim.State().Sends; got != 1 {
		t.Errorf("WeChat received %d calls, want 1", got)
	}
}

// awaitEnd waits for the end within drainLimit and checks the exit code.
func awaitEnd(t *testing.T, w *child, code int) {
	t.Helper()
	limit := time.NewTimer(drainLimit)
	defer limit.Stop()
	select {
	case <-w.done:
	case <-limit.C:
		t.Fatalf("still running after %v", drainLimit)
	}
	got := 0
	if w.err != nil {
		exit, ok := errors.AsType[*exec.ExitError](w.err)
		if !ok {
			t.Fatal(w.err)
		}
		got = exit.ExitCode()
	}
	if got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
}
