package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// Four workers with fifty calls each share one token: the cold start costs one
// fetch, and so does a token that somebody else rotated under load.
func TestFleetSharesOneToken(t *testing.T) {
	t.Parallel()
	const (
		workers     = 4
		concurrency = 50
		inFlight    = workers * concurrency
		// More than the slots of all asynq servers, so that no worker can take
		// what keeps another from filling up.
		rows = workers * (concurrency + concurrency/2) * 3 / 2
	)
	r := newRig(t, simulator.Config{}, map[string]string{"CONCURRENCY": fmt.Sprint(concurrency)})
	r.fault(simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActLatency, Latency: 300 * time.Millisecond})
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, Count: inFlight})
	list := r.send(rows, nil)

	for range workers {
		r.start() // within the latency of the fetch that the first one begins
	}
	r.awaitSim("all workers are full", func(s simulator.State) bool { return s.Hanging == inFlight })
	if got := r.sim.State().Requests[simulator.APIStableToken]; got != 1 {
		t.Errorf("%d token fetches with %d calls in flight, want 1", got, inFlight)
	}
	r.sim.Release()
	r.awaitStates(map[store.State]int{store.Sent: rows})

	r.sim.SetLatency(20 * time.Millisecond)
	before := r.sim.State()
	list = append(list, r.send(1200, nil)...)
	r.awaitSim("the load is on", func(s simulator.State) bool { return s.Accepted >= before.Accepted+300 && s.InFlight > 0 })
	if err := r.sim.Rotate("", simulator.APIStableToken, true); err != nil {
		t.Fatal(err)
	}
	r.awaitStates(map[store.State]int{store.Sent: rows + 1200})
	after := r.sim.State()
	if got := after.Requests[simulator.APIStableToken]; got != 2 {
		t.Errorf("%d token fetches after a foreign rotation, want 1 more", got)
	}
	if after.Answers[40001] == 0 {
		t.Error("the rotation hit no call: nothing was shown")
	}
	t.Logf("1 fetch for %d calls in flight; rotation: %d calls refused, 1 more fetch", inFlight, after.Answers[40001])
	for _, s := range list {
		n, as := r.get(s.id)
		if last := as[len(as)-1]; last.Errcode != 0 || n.Spent != 0 || n.Doubts != 0 {
			t.Errorf("%s: spent %d, doubts %d, last errcode %d", s.id, n.Spent, n.Doubts, last.Errcode)
		}
		if got := r.sim.Tally("", s.openID, simulator.SeedReport).Accepted; got != 1 {
			t.Errorf("%s was accepted %d times", s.id, got)
		}
	}
}
