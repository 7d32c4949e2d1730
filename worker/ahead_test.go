package worker

import (
	"context"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// As many slots are lent as calls end while a claim is written, and none once
// calls do not end any more.
func TestAheadLendsWhatEndsWithinAClaim(t *testing.T) {
	t.Parallel()
	s := newSlots(200)
	a := newAhead(s)
	if s.lent != 0 {
		t.Fatalf("%d slots are lent before a call has ended", s.lent)
	}
	for range 100 {
		a.claimed(10 * time.Millisecond)
	}
	for range 20 { // windows of a second with 2,000 calls each
		a.since = time.Now().Add(-time.Second)
		a.ended = 1999
		a.called()
	}
	// 2,000/s x 10 ms x 2.
	if s.lent < 38 || s.lent > 42 || s.free != 200+s.lent {
		t.Errorf("%d lent, %d free; want about 40, and those beyond 200", s.lent, s.free)
	}
	for range 100 {
		a.claimed(time.Minute) // held while the store was away
	}
	a.since = time.Now().Add(-time.Second)
	a.called()
	if s.lent > 100 {
		t.Errorf("%d lent, want half of the slots at most", s.lent)
	}
	a.stuck()
	if s.lent != 0 || s.free != 200 {
		t.Errorf("%d lent, %d free when calls do not end; want 0, 200", s.lent, s.free)
	}
}

// What is lent comes on top, and those who hold it keep it until they are done.
func TestSlotsLent(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	s.serve([]string{"a"})
	s.lend(1)
	if got := take(t, s, "a"); got != 3 {
		t.Fatalf("%d slots are given, want 2 and one lent", got)
	}
	s.lend(0)
	got := make(chan string, 1)
	queueUp(t, s, "a", store.Default, 1, got)
	s.release(s.apps["a"])
	if waiting(s, "a", store.Default) != 1 {
		t.Error("a slot is given while as many are in use as there are")
	}
	s.release(s.apps["a"])
	<-got
}

// Claims that ran ahead of calls that then hang are given back: nothing is sent
// beyond CONCURRENCY, and no row stays claimed that has no call.
func TestClaimsAheadOfCallsThatHang(t *testing.T) {
	t.Parallel()
	const tasks = 6
	r := newRig(t)
	r.concurrency = 2
	r.hang()
	p := r.prepare()
	p.slots.lend(2) // as if calls had ended in time so far
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	rows := make([]store.Notification, tasks)
	for i := range rows {
		rows[i] = r.send()
	}
	r.awaitHanging(r.concurrency)
	count := func() (sending, released int) {
		for _, n := range rows {
			switch got := r.get(n.ID); {
			case got.State == store.Sending:
				sending++
			case got.Seq > 0:
				released++
			}
		}
		return sending, released
	}
	eventually(t, "the claims without a call are given back", func() bool {
		sending, released := count()
		return sending == r.concurrency && released == 2
	})
	eventually(t, "nothing is lent any more", func() bool {
		p.slots.mu.Lock()
		defer p.slots.mu.Unlock()
		return p.slots.lent == 0 && p.slots.free == 0
	})
	r.letGo()
	for _, n := range rows {
		got := r.awaitState(n.ID, store.Sent)
		if as := r.attempts(n.ID); len(as) != 1 || got.Doubts != 0 {
			t.Errorf("attempts %+v, %d doubts; want one call and no doubt", as, got.Doubts)
		}
	}
	r.wantSends(tasks)
	if most := r.sim.State().MaxInFlight; most > r.concurrency {
		t.Errorf("%d calls in flight at once, want at most %d", most, r.concurrency)
	}
}

// An app that an answer closes while claims wait for their place sends none of
// them.
func TestClaimsAheadOfAPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.concurrency = 1
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, Count: 1})
	p := r.prepare()
	p.slots.lend(1)
	if err := p.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	first := r.send()
	r.awaitHanging(1)
	second := r.send()
	r.await(second.ID, "it is claimed", func(n store.Notification) bool { return n.State == store.Sending })
	p.now.Load().apps[r.appID].gate.close(context.Background(), "quota", 45009, "the day's quota is used up", time.Hour)
	r.letGo()
	r.awaitState(first.ID, store.Sent)
	got := r.await(second.ID, "its claim is given back", func(n store.Notification) bool { return n.State != store.Sending })
	if as := r.attempts(got.ID); len(as) != 0 {
		t.Errorf("attempts %+v of an app that is paused", as)
	}
	r.wantSends(1)
}
