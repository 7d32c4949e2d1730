package storetest

import (
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// testReceiptDelivered: a good receipt tells how long the message took, whichever
// way it finds its attempt, and tells it once.
func testReceiptDelivered(f *fixture) {
	f.expectPushes()
	record := func(e store.ReceiptEvent) time.Duration {
		f.Helper()
		return must[[]store.Receipted](f)(f.RecordReceipts(f.ctx, []store.ReceiptEvent{e}))[0].Delivered
	}
	// since is the least that it can have taken: until l was read.
	check := func(what string, took time.Duration, l store.Look, since time.Time) {
		f.Helper()
		if least, most := l.Now.Sub(since), f.look(l.ID).Now.Sub(since); took < least || took > most || took == 0 {
			f.Errorf("%s: %s, want %s to %s", what, took, least, most)
		}
	}
	nothing := func(what string, took time.Duration) {
		f.Helper()
		if took != 0 {
			f.Errorf("%s: %s, want nothing told", what, took)
		}
	}

	_, l := f.claim(f.accept())
	f.mustSettle(settlement(l, store.Sent, "ok", sentWith(1)))
	check("after the settlement", record(receipt(l, 1)), l, l.CreatedAt)
	nothing("repeated", record(receipt(l, 1)))

	_, l = f.claim(f.accept())
	f.mustSettle(settlement(l, store.Sent, "ok", sentWith(2)))
	nothing("not delivered", record(receipt(l, 2, func(e *store.ReceiptEvent) { e.OK = false })))

	_, l = f.claim(f.accept())
	nothing("before the settlement", record(receipt(l, 3)))
	s := settlement(l, store.Sent, "ok", sentWith(3))
	check("by the settlement", f.settle(s).Delivered, l, l.CreatedAt)
	nothing("the settlement repeated", f.settle(s).Delivered)
	_, l = f.claim(f.accept())
	nothing("a settlement without a receipt", f.settle(settlement(l, store.Sent, "ok", sentWith(4))).Delivered)

	l, _ = f.inDoubt(time.Hour)
	check("a doubt settled", record(receipt(l, 5)), l, l.CreatedAt)

	// A receipt that waits for its doubt is found by a review.
	_, l = f.claim(f.accept())
	nothing("before the doubt", record(receipt(l, 6)))
	f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Delay = time.Hour }))
	var found []store.Receipted
	f.eventually("a review to find the attempt", func() bool {
		var err error
		if _, found, err = f.ReviewReceipts(f.ctx, 100); err != nil {
			f.Fatal(err)
		}
		return len(found) > 0
	})
	if r := found[0]; len(found) != 1 || r.App != testApp || r.Result != store.ReceiptSettled || r.Delivered <= 0 || r.Delivered > f.look(l.ID).Now.Sub(l.CreatedAt) {
		f.Errorf("reviewed: %+v", found)
	}

	// The time before it was due is nobody's delay.
	n := f.accept(func(a *store.Acceptance) { a.Delay = 300 * time.Millisecond })
	var claimed store.Claimed
	f.eventually("it is due", func() bool { claimed = f.tryClaim(newClaim(n)); return claimed.OK })
	f.mustSettle(settlement(claimed.Look, store.Sent, "ok", sentWith(7)))
	check("due later", record(receipt(claimed.Look, 7)), claimed.Look, n.DueAt)
}
