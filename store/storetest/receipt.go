package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// aMsgID is a msgid that does not fit a float64.
const aMsgID = 1<<60 + 1

// receipt is one that fits the attempt that l stands for.
func receipt(l store.Look, msgID int64, edits ...func(*store.ReceiptEvent)) store.ReceiptEvent {
	e := store.ReceiptEvent{
		App: l.App, OpenID: l.Address, TemplateID: l.TemplateID, MsgID: msgID, OK: true, Status: "success",
		At: l.Now.Truncate(time.Second), Wait: 90 * time.Second, Verified: true,
	}
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

func (f *fixture) record(events ...store.ReceiptEvent) (results []store.ReceiptResult) {
	f.Helper()
	for i, r := range must[[]store.Receipted](f)(f.RecordReceipts(f.ctx, events)) {
		if r.App != events[i].App {
			f.Errorf("receipt of app %s is answered for %s", events[i].App, r.App)
		}
		results = append(results, r.Result)
	}
	return results
}

// wantRecorded records one receipt and checks what became of it.
func (f *fixture) wantRecorded(what string, e store.ReceiptEvent, want store.ReceiptResult) {
	f.Helper()
	if got := f.record(e); len(got) != 1 || got[0] != want {
		f.Errorf("%s: %v, want %s", what, got, want)
	}
}

// reviewed reviews until a receipt was found.
func (f *fixture) reviewed() {
	f.Helper()
	f.eventually("a review to find the attempt", func() bool {
		_, found, err := f.ReviewReceipts(f.ctx, 100)
		if err != nil {
			f.Fatal(err)
		}
		return len(found) > 0
	})
}

// sentWith settles the attempt as accepted with a msgid.
func sentWith(msgID int64) func(*store.Settlement) {
	return func(s *store.Settlement) { s.Attempt.MsgID = msgID }
}

func testReceipt(f *fixture) {
	_, l := f.claim(f.accept())
	before := f.mustSettle(settlement(l, store.Sent, "ok", sentWith(aMsgID)))
	e := receipt(l, aMsgID)
	f.diff("results", []store.ReceiptResult{store.ReceiptJoined, store.ReceiptBefore}, f.record(e, e))
	f.wantRecorded("repeated", e, store.ReceiptBefore)
	want := before
	want.Receipt = store.ReceiptOK
	f.diff("row", want, f.get(l.ID))
	f.diff("receipts", []store.ReceiptRecord{{NotificationID: l.ID, N: 1, MsgID: aMsgID, OK: true, Status: "success", At: e.At}},
		must[[]store.ReceiptRecord](f)(f.Receipts(f.ctx, l.ID)))

	// A failure is kept as it came. It is joined though its signature does not cover
	// it, and whatever its time.
	_, l = f.claim(f.accept())
	f.mustSettle(settlement(l, store.Sent, "ok", sentWith(aMsgID+1)))
	bad := receipt(l, aMsgID+1, func(e *store.ReceiptEvent) {
		e.OK, e.Code, e.Status, e.Verified, e.At = false, -7, "系统错误", false, e.At.Add(-time.Hour)
	})
	f.wantRecorded("a failure", bad, store.ReceiptJoined)
	if n := f.get(l.ID); n.Receipt != store.ReceiptFailed || n.State != store.Sent {
		f.Errorf("after a failure: %s, receipt %s", n.State, n.Receipt)
	}
	f.diff("a failure", []store.ReceiptRecord{{NotificationID: l.ID, N: 1, MsgID: aMsgID + 1, Code: -7, Status: "系统错误", At: bad.At}},
		must[[]store.ReceiptRecord](f)(f.Receipts(f.ctx, l.ID)))
}

// testReceiptEarly: a receipt may come before the answer to its send.
func testReceiptEarly(f *fixture) {
	_, l := f.claim(f.accept())
	_, other := f.claim(f.accept(row(func(n *store.Notification) { n.App = "wx-other" })))
	e := receipt(l, aMsgID)
	f.wantRecorded("before the settlement", e, store.ReceiptPending)
	f.wantRecorded("twice before the settlement", e, store.ReceiptPending)
	// The same msgid in another app is another message.
	if n := f.mustSettle(settlement(other, store.Sent, "ok", sentWith(aMsgID))); n.Receipt != store.ReceiptNone {
		f.Errorf("the receipt of another app was joined: %s", n.Receipt)
	}
	s := settlement(l, store.Sent, "ok", sentWith(aMsgID))
	if n := f.mustSettle(s); n.Receipt != store.ReceiptOK {
		f.Errorf("after the settlement: receipt %s", n.Receipt)
	}
	if got := f.settle(s); !got.Applied {
		f.Errorf("the settlement repeated: %+v", got)
	}
	f.wantRecorded("after the settlement", e, store.ReceiptBefore)
	if n := must[int](f)(f.DeleteReceipts(f.ctx, 0, 10)); n != 0 {
		f.Errorf("deleted %d receipts that found their attempt", n)
	}
	f.wantRecorded("of the other app", receipt(other, aMsgID), store.ReceiptJoined)
}

// avoidDoubts lets a doubt end as dead.
var avoidDoubts = row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid })

// testReceiptSettles settles a doubt by its receipt in every state in which it
// may come.
func testReceiptSettles(f *fixture) {
	msgID := int64(aMsgID)
	for name, test := range map[string]struct {
		arrive func(to func(*store.Acceptance)) store.Look
		from   store.State
	}{
		"in doubt": {func(to func(*store.Acceptance)) store.Look { l, _ := f.inDoubt(time.Hour, to); return l }, store.InDoubt},
		"lease over": {func(to func(*store.Acceptance)) store.Look {
			c := newClaim(f.accept(to))
			c.Lease = time.Millisecond
			l := f.tryClaim(c).Look
			f.expireOne(time.Hour)
			return l
		}, store.InDoubt},
		"in doubt, as unsure": {func(to func(*store.Acceptance)) store.Look {
			_, l := f.claim(f.accept(to))
			f.mustSettle(settlement(l, store.InDoubt, store.OutcomeUnsure, func(s *store.Settlement) { s.Delay, s.Unsure = time.Hour, true }))
			return l
		}, store.InDoubt},
		"queued": {func(to func(*store.Acceptance)) store.Look { l, _ := f.inDoubt(0, to); f.resolveOne(1, 0); return l }, store.Queued},
		"retrying": {func(to func(*store.Acceptance)) store.Look {
			_, l := f.claim(f.accept(to))
			f.mustSettle(settlement(l, store.Retrying, store.OutcomeUnsure, func(s *store.Settlement) { s.Delay, s.Unsure = time.Hour, true }))
			return l
		}, store.Retrying},
		"dead": {func(to func(*store.Acceptance)) store.Look {
			l, _ := f.inDoubt(0, to, avoidDoubts)
			f.resolveOne(0, 1)
			return l
		}, store.Dead},
	} {
		f.expectPushes()
		l := test.arrive(row(func(n *store.Notification) { n.OpenID = "openid-" + name }))
		before, attempts := f.get(l.ID), f.attempts(l.ID)
		if before.State != test.from {
			f.Fatalf("%s: the test arrived at %s", name, before.State)
		}
		msgID++
		ok := msgID%2 == 0
		e := receipt(l, msgID, func(e *store.ReceiptEvent) { e.OK = ok })
		f.wantRecorded(name, e, store.ReceiptSettled)
		f.wantRecorded(name+", repeated", e, store.ReceiptBefore)

		after, want := f.get(l.ID), before
		want.State, want.MsgID, want.Receipt = store.Sent, msgID, store.ReceiptFailed
		want.Class, want.Reason, want.Errcode, want.Errmsg, want.HandoverAt = "", "", 0, "", time.Time{}
		if ok {
			want.Receipt = store.ReceiptOK
		}
		f.diff(name, want, after, cmpopts.IgnoreFields(store.Notification{}, "UpdatedAt", "FinishedAt"))
		f.invariants(after)
		attempts[0].MsgID = msgID
		f.diff(name+": attempts", attempts, f.attempts(l.ID))
		if got := must[[]store.ReceiptRecord](f)(f.Receipts(f.ctx, l.ID)); len(got) != 1 || got[0].N != 1 || got[0].MsgID != msgID {
			f.Errorf("%s: receipts %+v", name, got)
		}
		// Nothing sends it again, and the answer comes too late.
		if c := f.tryClaim(newClaim(after)); c.OK {
			f.Errorf("%s: claimed after its receipt", name)
		}
		f.settle(settlement(l, store.Dead, "rejected"))
		f.diff(name+": after a late answer", after, f.get(l.ID))
	}
}

// testReceiptDoesNotFit violates each condition under which a receipt settles a
// doubt, one at a time.
func testReceiptDoesNotFit(f *fixture) {
	f.expectPushes()
	edited := func(edit func(*store.ReceiptEvent)) func(store.Look, int64) store.ReceiptEvent {
		return func(l store.Look, msgID int64) store.ReceiptEvent { return receipt(l, msgID, edit) }
	}
	same := func(l store.Look) func(*store.Acceptance) {
		return row(func(n *store.Notification) { n.OpenID = l.Address })
	}
	msgID := int64(aMsgID)
	for name, test := range map[string]func(l store.Look, msgID int64) store.ReceiptEvent{
		"not covered by its signature": edited(func(e *store.ReceiptEvent) { e.Verified = false }),
		"another app":                  edited(func(e *store.ReceiptEvent) { e.App = "wx-other" }),
		"another openid":               edited(func(e *store.ReceiptEvent) { e.OpenID += "x" }),
		"another template":             edited(func(e *store.ReceiptEvent) { e.TemplateID += "x" }),
		"too late":                     edited(func(e *store.ReceiptEvent) { e.At = e.At.Add(e.Wait + 2*time.Second) }),
		"before it was sent":           edited(func(e *store.ReceiptEvent) { e.At = e.At.Add(-store.ReceiptEarly - time.Second) }),
		"two doubts": func(l store.Look, msgID int64) store.ReceiptEvent {
			f.inDoubt(time.Hour, same(l))
			return receipt(l, msgID)
		},
		"another one is unsure": func(l store.Look, msgID int64) store.ReceiptEvent {
			_, other := f.claim(f.accept(same(l)))
			f.mustSettle(settlement(other, store.Retrying, store.OutcomeUnsure, func(s *store.Settlement) { s.Delay = time.Hour }))
			return receipt(l, msgID)
		},
		"another one was in doubt and is out of reach": func(l store.Look, msgID int64) store.ReceiptEvent {
			_, other := f.claim(f.accept(same(l)))
			n := f.mustSettle(settlement(other, store.Retrying, store.OutcomeUnsure, func(s *store.Settlement) { s.Delay = time.Hour }))
			f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Cancelled, Reason: store.ReasonByAdmin})
			return receipt(l, msgID)
		},
		"another one is being sent": func(l store.Look, msgID int64) store.ReceiptEvent {
			f.claim(f.accept(same(l)))
			return receipt(l, msgID)
		},
	} {
		l, before := f.inDoubt(time.Hour, row(func(n *store.Notification) { n.OpenID = "openid-" + name }))
		msgID++
		e := test(l, msgID)
		f.wantRecorded(name, e, store.ReceiptPending)
		f.wantRecorded(name+", repeated", e, store.ReceiptPending)
		f.diff(name, before, f.get(l.ID))
		if a := f.attempts(l.ID); a[0].MsgID != 0 {
			f.Errorf("%s: the attempt has msgid %d", name, a[0].MsgID)
		}
	}

	// Each receipt has its own time.
	late, before := f.inDoubt(time.Hour, row(func(n *store.Notification) { n.OpenID = "openid-late" }))
	inTime, _ := f.inDoubt(time.Hour, row(func(n *store.Notification) { n.OpenID = "openid-in-time" }))
	f.diff("one of two is too late", []store.ReceiptResult{store.ReceiptPending, store.ReceiptSettled}, f.record(
		receipt(late, 5, func(e *store.ReceiptEvent) { e.At = e.At.Add(e.Wait + 2*time.Second) }), receipt(inTime, 6)))
	f.diff("too late", before, f.get(late.ID))

	// The msgid of another attempt is about that one.
	l, before := f.inDoubt(time.Hour, row(func(n *store.Notification) { n.OpenID = "openid-7" }))
	_, other := f.claim(f.accept())
	f.mustSettle(settlement(other, store.Sent, "ok", sentWith(7)))
	f.wantRecorded("the msgid of another", receipt(l, 7), store.ReceiptJoined)
	f.diff("the msgid of another", before, f.get(l.ID))

	// A doubt that was settled, or that is no doubt, is left alone.
	for name, settle := range map[string]func(store.Look){
		"sent": func(l store.Look) { f.mustSettle(settlement(l, store.Sent, "ok", sentWith(8))) },
		"dead": func(l store.Look) { f.mustSettle(settlement(l, store.Dead, "rejected")) },
		"by a person": func(l store.Look) {
			if _, err := f.SettleDoubts(f.ctx, []store.DoubtSettlement{{ID: l.ID, Generation: 1, As: store.Sent, Actor: "a"}}); err != nil {
				f.Fatal(err)
			}
		},
	} {
		l, _ := f.inDoubt(time.Hour, row(func(n *store.Notification) { n.OpenID = "openid-known-" + name }))
		settle(l)
		before := f.get(l.ID)
		msgID++
		f.wantRecorded(name, receipt(l, msgID), store.ReceiptPending)
		f.diff(name, before, f.get(l.ID))
	}
}

// testReceiptOnce: of two receipts that fit a doubt one settles it.
func testReceiptOnce(f *fixture) {
	l, _ := f.inDoubt(time.Hour)
	got := f.record(receipt(l, 8), receipt(l, 7))
	slices.Sort(got)
	f.diff("results", []store.ReceiptResult{store.ReceiptPending, store.ReceiptSettled}, got)
	if records := must[[]store.ReceiptRecord](f)(f.Receipts(f.ctx, l.ID)); len(records) != 1 {
		f.Errorf("receipts %+v", records)
	}
}

// testReceiptWaits: a receipt that comes before its doubt settles it all the
// same, and no later than the doubt would be resolved.
func testReceiptWaits(f *fixture) {
	f.expectPushes()
	// The lease is over when the receipt is long there.
	c := newClaim(f.accept())
	c.Lease = time.Millisecond
	l := f.tryClaim(c).Look
	f.wantRecorded("while it is being sent", receipt(l, 7), store.ReceiptPending)
	f.expireOne(0)
	f.eventually("the doubt to be due", func() bool {
		if r, d, err := f.ResolveDoubts(f.ctx, 10); r != 0 || d != 0 || err != nil {
			f.Fatalf("a doubt with a receipt: %d requeued, %d dead, %v", r, d, err)
		}
		return f.get(l.ID).State != store.InDoubt
	})
	n := f.get(l.ID)
	if n.State != store.Sent || n.Receipt != store.ReceiptOK || n.MsgID != 7 {
		f.Errorf("resolved: %s, receipt %s, msgid %d", n.State, n.Receipt, n.MsgID)
	}
	f.invariants(n)

	// Nobody has to wait for that: it is looked at again.
	_, l = f.claim(f.accept())
	f.wantRecorded("while it is being sent", receipt(l, 8), store.ReceiptPending)
	f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Delay = time.Hour }))
	f.reviewed()
	if n := f.get(l.ID); n.State != store.Sent || n.Receipt != store.ReceiptOK {
		f.Errorf("reviewed: %s, receipt %s", n.State, n.Receipt)
	}

	// What stood in the way goes away.
	l, _ = f.inDoubt(time.Hour)
	_, other := f.claim(f.accept())
	f.wantRecorded("while another is being sent", receipt(l, 9), store.ReceiptPending)
	f.mustSettle(settlement(other, store.Sent, "ok", sentWith(10)))
	f.reviewed()
	if n := f.get(l.ID); n.State != store.Sent || n.MsgID != 9 {
		f.Errorf("reviewed when the other was sent: %s, msgid %d", n.State, n.MsgID)
	}
	if n, found, err := f.ReviewReceipts(f.ctx, 100); n != 0 || len(found) != 0 || err != nil {
		f.Errorf("%d reviewed and %d found when none is pending: %v", n, len(found), err)
	}
}

// testReceiptReview: a look in vain puts the next one off.
func testReceiptReview(f *fixture) {
	_, l := f.claim(f.accept())
	f.record(receipt(l, 7), receipt(l, 8))
	looked := 0
	f.eventually("the first looks", func() bool {
		n, found, err := f.ReviewReceipts(f.ctx, 1)
		if err != nil || len(found) != 0 || n > 1 {
			f.Fatalf("looked at %d, found %d, %v", n, len(found), err)
		}
		looked += n
		return looked >= 2
	})
	if n, _, err := f.ReviewReceipts(f.ctx, 10); n > 1 || err != nil {
		f.Errorf("looked at %d again at once, %v", n, err)
	}
}

func testReceiptsDeleted(f *fixture) {
	_, l := f.claim(f.accept())
	n := f.mustSettle(settlement(l, store.Sent, "ok", sentWith(1)))
	f.record(receipt(l, 1), receipt(l, 2), receipt(l, 3), receipt(l, 4))
	if n := must[int](f)(f.DeleteReceipts(f.ctx, time.Hour, 10)); n != 0 {
		f.Errorf("deleted %d that came just now", n)
	}
	if n := must[int](f)(f.DeleteReceipts(f.ctx, 0, 2)); n != 2 {
		f.Errorf("deleted %d, want the limit", n)
	}
	if n := must[int](f)(f.DeleteReceipts(f.ctx, 0, 2)); n != 1 {
		f.Errorf("deleted %d, want the one that was left", n)
	}
	if got := must[[]store.ReceiptRecord](f)(f.Receipts(f.ctx, n.ID)); len(got) != 1 {
		f.Errorf("receipts %+v, want the one that found its attempt", got)
	}
	// That one goes with its notification.
	f.retain(0)
	if got := must[[]store.ReceiptRecord](f)(f.Receipts(f.ctx, n.ID)); len(got) != 0 {
		f.Errorf("receipts %+v outlived their notification", got)
	}
	f.wantRecorded("the receipt of what was deleted", receipt(l, 1), store.ReceiptPending)
}

func testReceiptsChecked(f *fixture) {
	l := store.Look{Notification: store.Notification{App: testApp, TemplateID: testTemplate}, Address: "openid-1", Now: time.Now()}
	for name, edit := range map[string]func(*store.ReceiptEvent){
		"no app":           func(e *store.ReceiptEvent) { e.App = "" },
		"no openid":        func(e *store.ReceiptEvent) { e.OpenID = "" },
		"no template":      func(e *store.ReceiptEvent) { e.TemplateID = "" },
		"no msgid":         func(e *store.ReceiptEvent) { e.MsgID = 0 },
		"a negative msgid": func(e *store.ReceiptEvent) { e.MsgID = -1 },
		"no time":          func(e *store.ReceiptEvent) { e.At = time.Time{} },
		"a negative wait":  func(e *store.ReceiptEvent) { e.Wait = -1 },
		"a long status":    func(e *store.ReceiptEvent) { e.Status = strings.Repeat("x", 257) },
		"a zero byte":      func(e *store.ReceiptEvent) { e.OpenID = "a\x00" },
		"a long openid":    func(e *store.ReceiptEvent) { e.OpenID = strings.Repeat("secret", 1000) },
	} {
		_, err := f.RecordReceipts(f.ctx, []store.ReceiptEvent{receipt(l, 1), receipt(l, 2, edit)})
		if err == nil || strings.Contains(err.Error(), "secret") {
			f.Errorf("%s: %v, want it refused without its value", name, err)
		}
	}
	if got := f.record(); len(got) != 0 {
		f.Errorf("no receipts: %v", got)
	}
	f.wantRecorded("what was refused left nothing", receipt(l, 1), store.ReceiptPending)
}

// testPairReceipts lets two processes record the same receipts in opposite
// orders while a third one settles what they are about.
func testPairReceipts(a, b *fixture) {
	const rows = 60
	var (
		events []store.ReceiptEvent
		batch  store.Batch
		ids    []uuid.UUID
	)
	for i := range rows {
		_, l := a.claim(a.accept())
		events = append(events, receipt(l, int64(i+1)))
		batch.Settlements = append(batch.Settlements, settlement(l, store.Sent, "ok", sentWith(int64(i+1))))
		ids = append(ids, l.ID)
	}
	reversed := slices.Clone(events)
	slices.Reverse(reversed)
	both(a, b, 3, func(f *fixture, round int) error {
		if f == b && round == 1 {
			_, err := f.Commit(f.ctx, batch)
			return err
		}
		list := events
		if f == b {
			list = reversed
		}
		_, err := f.RecordReceipts(f.ctx, list)
		return err
	})
	// What met in the same moment is found by the review.
	a.eventually("every receipt to find its attempt", func() bool {
		if _, _, err := a.ReviewReceipts(a.ctx, 100); err != nil {
			a.Fatal(err)
		}
		return !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return a.get(id).Receipt != store.ReceiptOK })
	})
}
