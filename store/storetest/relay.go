package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// expireOne expires leases until one was over.
func (f *fixture) expireOne(wait time.Duration) {
	f.Helper()
	f.eventually("the lease to be over", func() bool {
		n, err := f.ExpireLeases(f.ctx, wait, 10)
		if err != nil {
			f.Fatal(err)
		}
		return n == 1
	})
}

// soon gives a notification time to be claimed, on a slow machine too, and not
// much more.
func soon(a *store.Acceptance) { a.MaxAge = 2 * time.Second }

func testLeaseOver(f *fixture) {
	f.claim(f.accept()) // alive
	n := f.accept()
	c := newClaim(n)
	c.Lease = 20 * time.Millisecond
	l := f.tryClaim(c).Look
	f.expireOne(time.Millisecond)

	got := f.get(n.ID)
	if got.State != store.InDoubt || got.Doubts != 1 || got.Seq != 1 {
		f.Errorf("after the lease: %+v", got)
	}
	// However long the lease has been over, its owner may write an answer yet.
	if from := got.UpdatedAt.Add(time.Millisecond); !got.DueAt.Equal(from) || from.Before(l.LeaseUntil) {
		f.Errorf("due %v, want %v", got.DueAt, from)
	}
	f.invariants(got)
	a := f.attempts(n.ID)
	if len(a) != 1 || a[0].N != 1 || a[0].Outcome != store.OutcomeInDoubt || a[0].At.Sub(l.Now).Abs() > time.Second {
		f.Errorf("attempts %+v", a)
	}
	if f.release(store.Release{ID: n.ID, Seq: 1, Owner: c.Owner}) {
		f.Error("the silent owner could give its claim back")
	}
	if again := f.tryClaim(c); again.OK {
		f.Error("the silent owner could repeat its claim")
	}
	if n := must[int](f)(f.ExpireLeases(f.ctx, 0, 10)); n != 0 {
		f.Errorf("%d more leases were over", n)
	}
	// The owner's own doubt comes late: on record, and nothing counts twice.
	before := f.get(n.ID)
	if got := f.settle(settlement(l, store.InDoubt, store.OutcomeInDoubt)); !got.Applied {
		f.Errorf("the owner's own doubt: %+v", got)
	}
	f.diff("row", before, f.get(n.ID))
	// Its answer, at last.
	f.mustSettle(settlement(l, store.Sent, "ok"))
}

func testDoubtResolved(f *fixture) {
	avoid := row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid })
	f.expectPushes()
	first, _ := f.inDoubt(0)
	f.resolveOne(1, 0)
	n := f.get(first.ID)
	if n.State != store.Queued || n.Generation != 2 || n.HandoverAt.IsZero() || n.Doubts != 1 {
		f.Errorf("first doubt under allow: %+v", n)
	}
	f.invariants(n)

	_, l := f.claim(n)
	f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt))
	f.resolveOne(0, 1)
	wantDead := func(what string, id uuid.UUID) {
		f.Helper()
		n := f.get(id)
		if n.State != store.Dead || n.Class != store.ClassFault || n.Reason != store.ReasonInDoubt {
			f.Errorf("%s: %s, %s, %s", what, n.State, n.Class, n.Reason)
		}
		f.invariants(n)
	}
	wantDead("second doubt under allow", n.ID)

	l, _ = f.inDoubt(0, avoid)
	f.resolveOne(0, 1)
	wantDead("doubt under avoid", l.ID)

	// One that cannot be sent again in time is not queued only to expire: that
	// would hide the doubt.
	l, _ = f.inDoubt(0, soon)
	f.eventually("the notification to be overdue", func() bool { return f.look(l.ID).Overdue() })
	if n := must[int](f)(f.ExpireOverdue(f.ctx, 10)); n != 0 {
		f.Errorf("%d in doubt expired", n)
	}
	f.resolveOne(0, 1)
	wantDead("overdue doubt", l.ID)

	l, _ = f.inDoubt(time.Minute)
	if r, d, err := f.ResolveDoubts(f.ctx, 10); r != 0 || d != 0 || err != nil {
		f.Errorf("a doubt that is not due: %d requeued, %d dead, %v", r, d, err)
	}
	if n := f.get(l.ID); n.State != store.InDoubt {
		f.Errorf("a doubt that is not due became %s", n.State)
	}
}

// testDoubtWaitsForPushes: without verified pushes nothing will settle a doubt,
// so it waits NoPushWait; with them it waits as long as it was told.
func testDoubtWaitsForPushes(f *fixture) {
	pushed := row(func(n *store.Notification) { n.App = "wx-pushed" })
	if last, err := f.LastPushes(f.ctx); err != nil || !last["wx-pushed"].IsZero() {
		f.Errorf("before any push: %v, %v", last, err)
	}
	if err := f.Pushed(f.ctx, "wx-pushed"); err != nil {
		f.Fatal(err)
	}
	if last, err := f.LastPushes(f.ctx); err != nil || time.Since(last["wx-pushed"]).Abs() > time.Hour {
		f.Errorf("after a push: %v, %v", last, err)
	}
	if err := f.Pushed(f.ctx, "wx-pushed"); err != nil {
		f.Fatal(err)
	}
	for name, test := range map[string]struct {
		edit       func(*store.Acceptance)
		wait, want time.Duration
	}{
		"pushes":               {pushed, 90 * time.Second, 90 * time.Second},
		"no pushes":            {func(*store.Acceptance) {}, 90 * time.Second, store.NoPushWait},
		"no pushes, less wait": {func(*store.Acceptance) {}, time.Second, time.Second},
	} {
		_, l := f.claim(f.accept(test.edit))
		n := f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Delay = test.wait }))
		if got := n.DueAt.Sub(n.UpdatedAt); got != test.want {
			f.Errorf("settled, %s: due after %s, want %s", name, got, test.want)
		}
		c := newClaim(f.accept(test.edit))
		c.Lease = time.Millisecond
		l = f.tryClaim(c).Look
		f.expireOne(test.wait)
		n = f.get(l.ID)
		want := l.LeaseUntil.Add(test.want)
		if least := n.UpdatedAt.Add(min(test.wait, store.NoPushWait)); least.After(want) {
			want = least
		}
		if !n.DueAt.Equal(want) {
			f.Errorf("lease over, %s: due %s after its end, want %s", name, n.DueAt.Sub(l.LeaseUntil), want.Sub(l.LeaseUntil))
		}
	}
}

func testOverdue(f *fixture) {
	past := row(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(-time.Minute) })
	f.accept()
	queued := f.accept(past)
	retrying := f.accept(past)
	if !f.move(store.Move{ID: retrying.ID, Generation: 1, State: store.Retrying}) {
		f.Fatal("move to retrying")
	}
	waiting := f.accept(past, row(func(n *store.Notification) { n.State, n.Reason = store.Waiting, store.ReasonNoConsent }))
	_, sending := f.claim(f.accept(soon))
	f.eventually("the one that is being sent to be overdue", func() bool { return f.look(sending.ID).Overdue() })

	for _, want := range []int{2, 1, 0} {
		if n := must[int](f)(f.ExpireOverdue(f.ctx, 2)); n != want {
			f.Errorf("%d expired at most two at a time, want %d", n, want)
		}
	}
	for _, want := range []struct {
		id     uuid.UUID
		reason store.Reason
	}{{queued.ID, store.ReasonTooOld}, {retrying.ID, store.ReasonTooOld}, {waiting.ID, store.ReasonNoConsent}} {
		n := f.get(want.id)
		if n.State != store.Expired || n.Reason != want.reason {
			f.Errorf("%s, reason %q; want expired, %q", n.State, n.Reason, want.reason)
		}
		f.invariants(n)
	}
	if n := f.get(sending.ID); n.State != store.Sending {
		f.Errorf("what is being sent became %s", n.State)
	}
}

func handoverIDs(list []store.Handover) []uuid.UUID {
	var ids []uuid.UUID
	for _, h := range list {
		ids = append(ids, h.ID)
	}
	return ids
}

func testHandovers(f *fixture) {
	due := func(priority store.Priority, ago time.Duration) uuid.UUID {
		return f.accept(row(func(n *store.Notification) {
			n.Priority, n.DueAt, n.ExpiresAt = priority, time.Now().Add(-ago), time.Now().Add(time.Hour)
		})).ID
	}
	low, new1, old, newest := due(store.Low, 3*time.Hour), due(store.Default, time.Minute), due(store.Default, time.Hour), due(store.Critical, time.Second)
	f.accept(func(a *store.Acceptance) { a.Delay = time.Hour })      // not due
	f.accept(func(a *store.Acceptance) { a.HandoverIn = time.Hour }) // due, but on the queue
	f.claim(f.accept())

	all := must[[]store.Handover](f)(f.Handovers(f.ctx, 10))
	f.diff("handovers", []uuid.UUID{newest, old, new1, low}, handoverIDs(all))
	f.diff("row of a handover", f.get(old), all[1].Notification)
	f.diff("limited", []uuid.UUID{newest, old}, handoverIDs(must[[]store.Handover](f)(f.Handovers(f.ctx, 2))))
}

// testUnqueued: what was put on the queue and not seen there since does not stand
// before what nobody has put there.
func testUnqueued(f *fixture) {
	const aWhile = 2 * store.HandoverGrace
	put := f.accept(func(a *store.Acceptance) {
		a.Notification.DueAt, a.Notification.ExpiresAt = time.Now().Add(-aWhile), time.Now().Add(time.Hour)
		a.HandoverIn = store.HandoverGrace
	}).ID
	left := f.accept(row(func(n *store.Notification) {
		n.DueAt, n.ExpiresAt = time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	})).ID
	first := f.accept(row(func(n *store.Notification) { n.Priority = store.Critical })).ID
	f.accept(func(a *store.Acceptance) { a.Delay = time.Hour }) // not due
	f.claim(f.accept())

	want := []uuid.UUID{first, left}
	f.diff("unqueued", want, handoverIDs(must[[]store.Handover](f)(f.Unqueued(f.ctx, 10))))
	f.diff("limited", want[:1], handoverIDs(must[[]store.Handover](f)(f.Unqueued(f.ctx, 1))))
	f.diff("all", []uuid.UUID{first, put, left}, handoverIDs(must[[]store.Handover](f)(f.Handovers(f.ctx, 10))))

	// Its task is gone, which makes it one that nobody has put on the queue.
	if err := f.HandedOver(f.ctx, must[[]store.Handover](f)(f.Handovers(f.ctx, 10))); err != nil {
		f.Fatal(err)
	}
	f.diff("nothing left", []uuid.UUID(nil), handoverIDs(must[[]store.Handover](f)(f.Handovers(f.ctx, 10))))
	must[int](f)(f.Requeue(f.ctx, []store.OnQueue{onQueue(f.get(put))}))
	f.diff("requeued", []uuid.UUID{put}, handoverIDs(must[[]store.Handover](f)(f.Unqueued(f.ctx, 10))))
	if _, _, err := f.RequeueOpen(f.ctx, uuid.Nil, 10); err != nil {
		f.Fatal(err)
	}
	f.diff("all requeued", []uuid.UUID{first, put, left}, handoverIDs(must[[]store.Handover](f)(f.Unqueued(f.ctx, 10))))
}

func testHandedOver(f *fixture) {
	n := f.accept()
	list := must[[]store.Handover](f)(f.Handovers(f.ctx, 10))
	for range 2 {
		if err := f.HandedOver(f.ctx, list); err != nil {
			f.Fatal(err)
		}
	}
	n.HandoverAt = time.Time{}
	f.diff("row", n, f.get(n.ID))
	if list := must[[]store.Handover](f)(f.Handovers(f.ctx, 10)); len(list) != 0 {
		f.Errorf("%d handovers left", len(list))
	}
	if err := f.HandedOver(f.ctx, nil); err != nil {
		f.Error(err)
	}
}

// testHandedOverTooLate: what happened to a row between Handovers and HandedOver
// stands.
func testHandedOverTooLate(f *fixture) {
	for name, between := range map[string]func(n store.Notification){
		"another generation": func(store.Notification) {
			if _, _, err := f.RequeueOpen(f.ctx, uuid.Nil, 10); err != nil {
				f.Fatal(err)
			}
		},
		"back in the same delivery": func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Retrying, "busy", func(s *store.Settlement) { s.Delay = time.Hour }))
		},
		"sent": func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Sent, "ok"))
		},
	} {
		n := f.accept()
		list := must[[]store.Handover](f)(f.Handovers(f.ctx, 10))
		if !slices.Contains(handoverIDs(list), n.ID) {
			f.Fatalf("%s: not handed over", name)
		}
		between(n)
		before := f.get(n.ID)
		if err := f.HandedOver(f.ctx, list); err != nil {
			f.Fatal(err)
		}
		f.diff(name, before, f.get(n.ID))
	}
}

func testRequeueOpen(f *fixture) {
	var want []uuid.UUID
	for range 4 {
		want = append(want, f.accept(func(a *store.Acceptance) { a.HandoverIn = time.Hour }).ID)
	}
	future := f.accept(func(a *store.Acceptance) { a.Delay = time.Hour })
	_, l := f.claim(f.accept())
	retrying := f.mustSettle(settlement(l, store.Retrying, "busy"))
	want = append(want, future.ID, retrying.ID)
	_, sending := f.claim(f.accept())
	sortIDs(want)

	var (
		after uuid.UUID
		steps []int
	)
	for {
		next, n, err := f.RequeueOpen(f.ctx, after, 4)
		if err != nil {
			f.Fatal(err)
		}
		steps = append(steps, n)
		if n > 0 && next != want[min(len(want), 4*len(steps))-1] {
			f.Errorf("step %d ended elsewhere", len(steps))
		}
		after = next
		if n < 4 {
			break
		}
	}
	f.diff("steps", []int{4, 2}, steps)
	for _, id := range want {
		n := f.get(id)
		if n.Generation != 2 || n.HandoverAt.Before(n.DueAt) || n.HandoverAt.After(n.DueAt) && n.HandoverAt.After(time.Now().Add(time.Minute)) {
			f.Errorf("%s: generation %d, due %s, handover %s", n.State, n.Generation, n.DueAt, n.HandoverAt)
		}
	}
	if n := f.get(future.ID); !n.HandoverAt.Equal(n.DueAt) {
		f.Errorf("what is due later is handed over %s after that", n.HandoverAt.Sub(n.DueAt))
	}
	f.diff("what is being sent", sending.Notification, f.get(sending.ID))
}

func testMark(f *fixture) {
	if _, err := f.Mark(f.ctx); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("no mark yet: %v, want ErrNotFound", err)
	}
	for _, want := range []store.Mark{{ID: uuid.New(), Counter: 1}, {ID: uuid.New(), Counter: 1 << 40}} {
		if err := f.SetMark(f.ctx, want); err != nil {
			f.Fatal(err)
		}
		f.diff("mark", want, must[store.Mark](f)(f.Mark(f.ctx)))
	}
}

func testLeads(f *fixture) {
	ok, release, err := f.Lead(f.ctx)
	if err != nil || !ok {
		f.Fatalf("alone, and not leading: %v, %v", ok, err)
	}
	if err := f.StillLeading(f.ctx); err != nil {
		f.Errorf("still leading: %v", err)
	}
	if ok, _, err := f.Lead(f.ctx); ok || err != nil {
		f.Errorf("leads twice: %v, %v", ok, err)
	}
	release()
	release()
	if err := f.StillLeading(f.ctx); err == nil {
		f.Error("still leading after the release")
	}
	ok, release, err = f.Lead(f.ctx)
	if err != nil || !ok {
		f.Errorf("cannot lead again: %v, %v", ok, err)
	}
	release()
}
