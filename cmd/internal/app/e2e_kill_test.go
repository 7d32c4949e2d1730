package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// leaseOver is what the record says of an attempt whose worker never came back.
const leaseOver = "no answer before the lease was over"

// A worker that dies in the middle of a call leaves a doubt, and only the
// notification's policy decides what happens: WeChat may or may not have taken
// the message, and nobody can know.
func TestKilledInMidSend(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"SEND_TIMEOUT": "3s", "IN_DOUBT_WAIT": "1s", "CONCURRENCY": "8"})
	cases := []struct {
		policy store.Duplicates
		taken  bool // WeChat took the first one
		state  store.State
		tally  simulator.Tally
	}{
		{store.DuplicatesAllow, false, store.Sent, simulator.Tally{Received: 2, Accepted: 1}},
		{store.DuplicatesAllow, true, store.Sent, simulator.Tally{Received: 2, Accepted: 2}},
		{store.DuplicatesAvoid, false, store.Dead, simulator.Tally{Received: 1, Accepted: 0}},
		{store.DuplicatesAvoid, true, store.Dead, simulator.Tally{Received: 1, Accepted: 1}},
	}
	list := r.send(len(cases), func(i int, n *producer.Notification) {
		n.Duplicates = cases[i].policy
		r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActHang, After: cases[i].taken, Count: 1})
	})
	first := r.spawn()
	r.awaitSim("every call hangs", func(s simulator.State) bool { return s.Hanging == len(cases) })
	first.kill()
	second := r.spawn()

	r.awaitStates(map[store.State]int{store.Sent: 2, store.Dead: 2})
	for i, c := range cases {
		name := fmt.Sprintf("%s, taken %t", c.policy, c.taken)
		n, as := r.get(list[i].id)
		if n.State != c.state || n.Doubts != 1 {
			t.Errorf("%s: %s with %d doubts, want %s with 1", name, n.State, n.Doubts, c.state)
		}
		if c.state == store.Dead && (n.Class != store.ClassFault || n.Reason != store.ReasonInDoubt) {
			t.Errorf("%s: class %q reason %q, want fault in_doubt", name, n.Class, n.Reason)
		}
		if len(as) != c.tally.Received || as[0].Outcome != store.OutcomeInDoubt || as[0].Errmsg != leaseOver {
			t.Errorf("%s: attempts %+v, want %d, the first in doubt for a worker that fell silent", name, as, c.tally.Received)
		}
		if got := r.sim.Tally("", list[i].openID, simulator.SeedReport); got != c.tally {
			t.Errorf("%s: WeChat %+v, want %+v", name, got, c.tally)
		}
	}

	// The old deliveries come back a minute later, when all is decided.
	second.terminate()
	r.ageLeases()
	r.spawn()
	eventually(t, "the old deliveries are answered", func() error {
		info, err := r.queue()
		if err != nil {
			return err
		}
		if info.Active+info.Retry+info.Pending != 0 || info.Archived != 2 {
			return fmt.Errorf("active %d, retry %d, pending %d, archived %d", info.Active, info.Retry, info.Pending, info.Archived)
		}
		return nil
	})
	if got := r.sim.State().Sends; got != 6 {
		t.Errorf("WeChat received %d calls, want 6: an old delivery was sent", got)
	}
	archived, err := r.inspector().ListArchivedTasks(defaultQueue)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range archived {
		if !strings.HasPrefix(task.LastErr, "dead 1: in_doubt") {
			t.Errorf("archived with %q, want the marker of the death", task.LastErr)
		}
	}
}

// A claim comes last before the write, so a worker that dies leaves doubts on
// the calls it had in flight and on nothing that waited for a slot.
func TestKilledWhileRowsWait(t *testing.T) {
	t.Parallel()
	const (
		rows        = 200
		concurrency = 2
		atWork      = concurrency + 64 // the slots of an asynq server
	)
	// Calls that time out before the kill would free the slots.
	r := newRig(t, simulator.Config{}, map[string]string{"SEND_TIMEOUT": "1m", "IN_DOUBT_WAIT": "1s", "CONCURRENCY": "2"})
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, Count: concurrency})
	list := r.send(rows, func(_ int, n *producer.Notification) { n.Duplicates = store.DuplicatesAllow })

	first := r.spawn()
	r.awaitSim("two calls hang", func(s simulator.State) bool { return s.Hanging == concurrency })
	eventually(t, "the other slots have a delivery each", func() error {
		info, err := r.queue()
		if err == nil && info.Active != atWork {
			err = fmt.Errorf("%d are active, want %d", info.Active, atWork)
		}
		return err
	})
	claimed := func() int {
		n := 0
		for _, row := range r.rows(list) {
			if row.Seq > 0 {
				n++
			}
		}
		return n
	}
	stays(t, "nobody else claims", 500*time.Millisecond, func() error {
		if n := claimed(); n > concurrency {
			return fmt.Errorf("%d rows are claimed, want %d", n, concurrency)
		}
		return nil
	})
	first.kill()
	doubtful := map[string]bool{}
	for _, s := range list {
		n, _ := r.get(s.id)
		switch {
		case n.State == store.Sending && n.Seq == 1:
			doubtful[s.openID] = true
		case n.State != store.Queued || n.Seq != 0:
			t.Errorf("%s is %s, seq %d after the kill; want queued, seq 0", s.id, n.State, n.Seq)
		}
	}
	if len(doubtful) != concurrency {
		t.Fatalf("%d rows are being sent after the kill, want %d", len(doubtful), concurrency)
	}

	r.ageLeases()
	r.execute(`UPDATE notifications SET lease_until = now() WHERE state = 'sending'`)
	r.spawn()
	r.awaitStates(map[store.State]int{store.Sent: rows})
	var once []sent
	for _, s := range list {
		if !doubtful[s.openID] {
			once = append(once, s)
			continue
		}
		n, as := r.get(s.id)
		if n.Doubts != 1 || len(as) != 2 || as[0].Outcome != store.OutcomeInDoubt {
			t.Errorf("%s: %d doubts, attempts %+v; want the first in doubt and a second", s.id, n.Doubts, as)
		}
		if got, want := r.sim.Tally("", s.openID, simulator.SeedReport), (simulator.Tally{Received: 2, Accepted: 1}); got != want {
			t.Errorf("%s: WeChat %+v, want %+v", s.id, got, want)
		}
	}
	r.wantOnce(once)
}

// A restart in the middle of the work loses nothing, sends nothing twice and
// leaves no doubt, and so does the next one.
func TestTerminatedUnderLoad(t *testing.T) {
	t.Parallel()
	const rows = 600
	r := newRig(t, simulator.Config{Latency: 50 * time.Millisecond}, map[string]string{"CONCURRENCY": "20"})
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActLatency, Latency: 50 * time.Millisecond, Rate: 0.5})
	list := r.send(rows, nil)

	for _, soFar := range []int64{rows / 4, rows / 2} {
		w := r.spawn()
		r.awaitSim("part is sent", func(s simulator.State) bool { return s.Accepted >= soFar })
		before := r.sim.State()
		if before.InFlight == 0 || before.Accepted == rows {
			t.Fatalf("no load at the time of SIGTERM: %+v", before)
		}
		took := w.terminate()
		after := r.sim.State()
		t.Logf("SIGTERM at %d of %d with %d in flight: ended after %v at %d", before.Accepted, rows, before.InFlight, took.Round(time.Millisecond), after.Accepted)
		states, err := r.store.CountByState(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if states[store.Sending] != 0 || states[store.InDoubt] != 0 || int64(states[store.Sent]) != after.Accepted {
			t.Errorf("after the end the rows are %v, want %d sent and none in between", states, after.Accepted)
		}
	}
	last := r.spawn()
	r.awaitStates(map[store.State]int{store.Sent: rows})
	r.awaitDrained()
	last.terminate()
	r.wantOnce(list)
	if got := r.sim.State(); got.Sends != rows {
		t.Errorf("WeChat received %d calls for %d notifications", got.Sends, rows)
	}
}

// A worker without Redis still ends on SIGTERM.
func TestTerminatedWithoutRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, nil)
	list := r.send(10, nil)
	w := r.spawn()
	r.awaitStates(map[store.State]int{store.Sent: len(list)})
	r.redis.stop()
	eventually(t, "the worker has noticed", func() error {
		if strings.Contains(w.log.String(), `"part is away"`) {
			return nil
		}
		return errors.New("not yet")
	})
	t.Logf("ended after %v", w.terminate().Round(time.Millisecond))
}
