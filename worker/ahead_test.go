package worker

import (
	"context"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// There is credit for as many claims as calls end while one is written, and none
// once calls do not end any more.
func TestAheadLendsWhatEndsWithinAClaim(t *testing.T) {
	t.Parallel()
	s := newSlots(200)
	a := newAhead(s, "a")
	credit := func() int { return s.app("a").credit }
	if credit() != 0 {
		t.Fatalf("credit for %d claims before a call has ended", credit())
	}
	for range 100 {
		a.claimed(10 * time.Millisecond)
	}
	window := func(calls int) {
		a.since = time.Now().Add(-time.Second)
		a.ended = calls - 1
		a.called()
	}
	for range 20 {
		window(2000)
	}
	// 2,000/s x 10 ms x 2.
	if n := credit(); n < 38 || n > 42 {
		t.Errorf("credit for %d claims, want about 40", n)
	}
	for range 100 {
		a.claimed(time.Minute) // held while the store was away
	}
	window(2000)
	if n := credit(); n > 100 {
		t.Errorf("credit for %d claims, want half of the slots at most", n)
	}
	a.stuck()
	if n := credit(); n != 0 {
		t.Errorf("credit for %d claims when calls do not end, want none", n)
	}
}

// Claims on credit take no slot from anybody until their calls begin; those that
// are in use when the credit ends are counted from then on.
func TestSlotsOnCredit(t *testing.T) {
	t.Parallel()
	s := newSlots(4)
	s.serve([]string{"a", "b"}) // one set aside for each
	s.lend("a", 2)
	if n := take(t, s, "a"); n != 5 {
		t.Fatalf("%d slots are given, want 3 and 2 on credit", n)
	}
	if n := s.free(); n != 1 {
		t.Errorf("%d are free, want the other's part", n)
	}
	if n := take(t, s, "b"); n != 1 {
		t.Errorf("the other gets %d, want its part", n)
	}
	giveBack(s, "b")
	s.lend("a", 0)
	got := make(chan string, 1)
	queueUp(t, s, "a", store.Default, 1, got)
	giveBack(s, "a")
	giveBack(s, "a")
	if waiting(s, "a", store.Default) != 1 {
		t.Error("a slot is given while as many are in use as there are")
	}
	giveBack(s, "a")
	<-got
}

// A call that begins makes room for a claim.
func TestSlotsOfCallsLeaveTheCredit(t *testing.T) {
	t.Parallel()
	s := newSlots(2)
	s.serve([]string{"a"})
	s.lend("a", 1)
	first, ok := s.take("a")
	if !ok {
		t.Fatal("no slot")
	}
	if n := take(t, s, "a"); n != 2 {
		t.Fatalf("%d more slots, want 2", n)
	}
	got := make(chan string, 1)
	queueUp(t, s, "a", store.Default, 1, got)
	first.call() // one call, two claims, one of them on credit
	if waiting(s, "a", store.Default) != 1 {
		t.Error("a claim is given although the credit is used up and nothing is free")
	}
	first.release()
	<-got
	first.release() // is over already
	eventually(t, "one slot is free", func() bool { return s.free() == 1 })
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
	p.slots.lend(r.appID, 2) // as if calls had ended in time so far
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
	eventually(t, "there is no credit any more", func() bool {
		p.slots.mu.Lock()
		defer p.slots.mu.Unlock()
		a := p.slots.app(r.appID)
		return a.credit == 0 && a.inUse() == r.concurrency
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
	p.slots.lend(r.appID, 1)
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
