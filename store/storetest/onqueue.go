package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// handedOver accepts a notification and notes that it is on the queue.
func (f *fixture) handedOver(edits ...func(*store.Acceptance)) store.Notification {
	f.Helper()
	n := f.accept(edits...)
	if err := f.HandedOver(f.ctx, []store.Handover{{Notification: n}}); err != nil {
		f.Fatal(err)
	}
	return f.get(n.ID)
}

func onQueue(n store.Notification) store.OnQueue {
	return store.OnQueue{ID: n.ID, Generation: n.Generation, App: n.App, Priority: n.Priority}
}

// testOnQueue: only what is open and was handed over must be on the queue.
func testOnQueue(f *fixture) {
	var want []store.OnQueue
	for _, p := range []store.Priority{store.Low, store.Default, store.Critical} {
		want = append(want, onQueue(f.handedOver(row(func(n *store.Notification) { n.Priority = p }))))
	}
	_, l := f.claim(f.accept())
	back := f.mustSettle(settlement(l, store.Retrying, "busy"))
	if err := f.HandedOver(f.ctx, []store.Handover{{Notification: back}}); err != nil {
		f.Fatal(err)
	}
	want = append(want, onQueue(back))

	f.accept()                                             // not handed over
	f.claim(f.handedOver())                                // being sent
	f.inDoubt(time.Minute)                                 // in doubt
	_, l = f.claim(f.handedOver())                         //
	f.mustSettle(settlement(l, store.Sent, "ok"))          // over
	f.accept(func(a *store.Acceptance) { a.Delay = 1e12 }) // due later

	var got []store.OnQueue
	after := uuid.Nil
	for {
		page := must[[]store.OnQueue](f)(f.OnQueue(f.ctx, after, 3))
		got = append(got, page...)
		if len(page) < 3 {
			break
		}
		after = page[len(page)-1].ID
	}
	f.diff("on the queue", want, got)
}

func testRequeue(f *fixture) {
	lost, other := f.handedOver(), f.handedOver()
	future := f.handedOver(func(a *store.Acceptance) { a.Delay = time.Hour })
	if n := must[int](f)(f.Requeue(f.ctx, []store.OnQueue{onQueue(lost), onQueue(future)})); n != 2 {
		f.Errorf("%d requeued, want 2", n)
	}
	for _, before := range []store.Notification{lost, future} {
		n := f.get(before.ID)
		if n.State != store.Queued || n.Generation != 2 || n.HandoverAt.Before(n.DueAt) || n.HandoverAt.IsZero() {
			f.Errorf("%s, generation %d, due %s, handover %s", n.State, n.Generation, n.DueAt, n.HandoverAt)
		}
		f.invariants(n)
	}
	f.diff("another row", other, f.get(other.ID))
	if n := must[int](f)(f.Requeue(f.ctx, []store.OnQueue{onQueue(lost)})); n != 0 {
		f.Error("requeued twice for one loss")
	}
	if n := must[int](f)(f.Requeue(f.ctx, nil)); n != 0 {
		f.Error("requeued what nobody named")
	}
}

// testRequeueTooLate: what happened to a row since OnQueue stands.
func testRequeueTooLate(f *fixture) {
	for name, between := range map[string]func(n store.Notification){
		"another generation": func(n store.Notification) {
			must[int](f)(f.Requeue(f.ctx, []store.OnQueue{onQueue(n)}))
			list := must[[]store.Handover](f)(f.Handovers(f.ctx, 10))
			if err := f.HandedOver(f.ctx, list); err != nil {
				f.Fatal(err)
			}
		},
		"being sent": func(n store.Notification) { f.claim(n) },
		"in doubt": func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt))
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
		n := f.handedOver()
		seen := onQueue(n)
		between(n)
		before := f.get(n.ID)
		if n := must[int](f)(f.Requeue(f.ctx, []store.OnQueue{seen})); n != 0 {
			f.Errorf("%s: requeued", name)
		}
		f.diff(name, before, f.get(n.ID))
	}
}
