package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// testSettle settles into every state, and checks each field that it moves.
func testSettle(f *fixture) {
	for name, test := range map[string]struct {
		state store.State
		edit  func(*store.Settlement)
		want  func(*store.Notification)
		due   time.Duration // from now; 0 means as before
		grace time.Duration // handover after due; negative means none
	}{
		"sent": {store.Sent, func(s *store.Settlement) {
			s.Attempt.MsgID, s.Attempt.Outcome = 1<<60+1, "ok"
		}, func(n *store.Notification) { n.MsgID = 1<<60 + 1 }, 0, -1},
		"sent, assumed": {store.Sent, func(s *store.Settlement) {
			s.Assumed, s.Attempt.Errcode, s.Attempt.Outcome = true, 43101, "refused"
		}, func(n *store.Notification) { n.Assumed, n.Errcode = true, 43101 }, 0, -1},
		"retrying in the same delivery": {store.Retrying, func(s *store.Settlement) {
			s.Delay, s.Spend, s.Attempt.Outcome = time.Hour, true, "busy"
		}, func(n *store.Notification) { n.Spent = 1 }, time.Hour, store.HandoverGrace},
		"retrying in a new delivery": {store.Retrying, func(s *store.Settlement) {
			s.Delay, s.Requeue, s.Unsure, s.Attempt.Outcome = time.Hour, true, true, "unsure"
		}, func(n *store.Notification) { n.Generation, n.Unsure = 2, 1 }, time.Hour, 0},
		"waiting": {store.Waiting, func(s *store.Settlement) {
			s.Reason, s.Attempt.Errcode, s.Attempt.Outcome = store.ReasonNoConsent, 43101, "refused"
		}, func(n *store.Notification) { n.Reason, n.Errcode = store.ReasonNoConsent, 43101 }, 0, -1},
		"dead": {store.Dead, func(s *store.Settlement) {
			s.Field, s.Attempt.Errcode, s.Attempt.Errmsg, s.Attempt.Outcome = "thing1", 47003, "argument invalid", "rejected"
		}, func(n *store.Notification) {
			n.Class, n.Reason, n.Field, n.Errcode, n.Errmsg = store.ClassFault, store.ReasonRejected, "thing1", 47003, "argument invalid"
		}, 0, -1},
		"in doubt": {store.InDoubt, func(s *store.Settlement) {
			s.Delay, s.Attempt.Outcome = time.Second, store.OutcomeInDoubt
		}, func(n *store.Notification) { n.Doubts = 1 }, time.Second, -1},
		"in doubt, as unsure": {store.InDoubt, func(s *store.Settlement) {
			s.Delay, s.Unsure, s.Attempt.Outcome = time.Second, true, "unsure"
		}, func(n *store.Notification) { n.Doubts, n.Unsure = 1, 1 }, time.Second, -1},
	} {
		_, l := f.claim(f.accept())
		s := settlement(l, test.state, "x", test.edit)
		s.Attempt.RID = "rid-1"
		start := time.Now()
		answer := f.settle(s)
		got := f.get(l.ID)

		want := l.Notification
		want.State, want.Owner, want.LeaseUntil = test.state, uuid.Nil, time.Time{}
		test.want(&want)
		f.diff(name, want, got, cmpopts.IgnoreFields(store.Notification{}, "UpdatedAt", "DueAt", "HandoverAt", "FinishedAt"))
		f.diff(name+": answer", store.Settled{
			Applied: true, State: test.state, Class: want.Class, Reason: want.Reason, Generation: want.Generation,
		}, answer)
		if test.due == 0 {
			f.diff(name+": due_at", l.DueAt, got.DueAt)
		} else {
			f.wantIn(name+": due_at", got.DueAt, start, test.due)
		}
		if handover := got.HandoverAt.Sub(got.DueAt); test.grace >= 0 && handover != test.grace {
			f.Errorf("%s: handover_at %s after due_at, want %s", name, handover, test.grace)
		}
		f.invariants(got)
		s.Attempt.NotificationID, s.Attempt.N = l.ID, 1
		f.diff(name+": attempts", []store.Attempt{s.Attempt}, f.attempts(l.ID), cmpopts.EquateApproxTime(time.Microsecond))
	}
}

func testSettleRepeated(f *fixture) {
	for name, s := range map[string]store.Settlement{
		"retrying": {State: store.Retrying, Delay: time.Hour, Requeue: true, Spend: true, Unsure: true, Attempt: store.Attempt{Outcome: "unsure"}},
		"in doubt": {State: store.InDoubt, Delay: time.Hour, Spend: true, Attempt: store.Attempt{Outcome: store.OutcomeInDoubt}},
		"dead":     {State: store.Dead, Class: store.ClassFault, Reason: store.ReasonPage, Attempt: store.Attempt{Outcome: "page"}},
		"sent":     {State: store.Sent, Attempt: store.Attempt{Outcome: "ok"}},
	} {
		_, l := f.claim(f.accept())
		s.ID, s.Seq, s.Attempt.At = l.ID, l.Seq, l.Now
		first := f.settle(s)
		before, attempts := f.get(l.ID), f.attempts(l.ID)
		f.diff(name+": answer", first, f.settle(s))
		if !first.Applied {
			f.Errorf("%s: not applied", name)
		}
		f.diff(name+": row", before, f.get(l.ID))
		f.diff(name+": attempts", attempts, f.attempts(l.ID))
	}

	// A repeat that comes when the next claim has been made, and settled, is
	// still on record.
	_, l := f.claim(f.accept())
	s := settlement(l, store.Retrying, "busy")
	_, second := f.claim(f.mustSettle(s))
	f.diff("while the next is sent", store.Settled{Applied: true, State: store.Sending, Generation: 1}, f.settle(s))
	f.mustSettle(settlement(second, store.Sent, "ok"))
	f.diff("after the next", store.Settled{Applied: true, State: store.Sent, Generation: 1}, f.settle(s))
	if n := f.get(l.ID); n.State != store.Sent || n.Seq != 2 || len(f.attempts(l.ID)) != 2 {
		f.Errorf("%+v", n)
	}
}

// testSettleFenced settles attempts that were never made, or that a later claim
// fenced off.
func testSettleFenced(f *fixture) {
	n := f.accept()
	for _, seq := range []int{1, 2} {
		s := store.Settlement{ID: n.ID, Seq: seq, State: store.Sent, Attempt: store.Attempt{Outcome: "ok"}}
		if got := f.settle(s); got.Applied || got.State != store.Queued {
			f.Errorf("attempt %d of a queued row: %+v", seq, got)
		}
	}
	f.diff("row", n, f.get(n.ID))

	c, l := f.claim(n)
	if got := f.settle(store.Settlement{ID: n.ID, Seq: 2, State: store.Sent, Attempt: store.Attempt{Outcome: "ok"}}); got.Applied {
		f.Errorf("an attempt before its claim: %+v", got)
	}
	if !f.release(store.Release{ID: n.ID, Seq: l.Seq, Owner: c.Owner}) {
		f.Fatal("release")
	}
	if got := f.settle(settlement(l, store.Sent, "ok")); got.Applied {
		f.Errorf("an attempt that was given back: %+v", got)
	}
	if len(f.attempts(n.ID)) != 0 {
		f.Error("refused settlements left attempts")
	}

	// A doubt that was resolved and claimed again is out of reach.
	late, _ := f.inDoubt(0)
	f.resolveOne(1, 0)
	again, _ := f.claim(f.get(late.ID))
	before := f.get(late.ID)
	if got := f.settle(settlement(late, store.Sent, "ok")); got.Applied || got.State != store.Sending {
		f.Errorf("late answer after a later claim: %+v", got)
	}
	f.diff("row with a later claim", before, f.get(late.ID))
	if before.Owner != again.Owner || f.attempts(late.ID)[0].Outcome != store.OutcomeInDoubt {
		f.Error("the later claim or the doubt was disturbed")
	}
}

// resolveOne resolves what is due until as many rows as wanted were.
func (f *fixture) resolveOne(requeued, dead int) {
	f.Helper()
	f.eventually("doubts to be resolved", func() bool {
		r, d, err := f.ResolveDoubts(f.ctx, 10)
		if err != nil {
			f.Fatal(err)
		}
		requeued, dead = requeued-r, dead-d
		return requeued <= 0 && dead <= 0
	})
	if requeued != 0 || dead != 0 {
		f.Fatalf("too many doubts were resolved: %d requeued, %d dead", -requeued, -dead)
	}
}

func testSettleIntoDoubt(f *fixture) {
	l, doubt := f.inDoubt(time.Hour)
	if doubt.Doubts != 1 {
		f.Errorf("doubts %d, want 1", doubt.Doubts)
	}
	f.mustSettle(settlement(l, store.Sent, "ok"))
	before := f.get(l.ID)
	if got := f.settle(settlement(l, store.InDoubt, store.OutcomeInDoubt)); !got.Applied || got.State != store.Sent {
		f.Errorf("a doubt after the answer: %+v", got)
	}
	f.diff("row", before, f.get(l.ID))

	// Only from sending.
	n := f.accept()
	got := f.settle(store.Settlement{ID: n.ID, Seq: 1, State: store.InDoubt, Attempt: store.Attempt{Outcome: store.OutcomeInDoubt}})
	if got.Applied {
		f.Errorf("a doubt of a queued row: %+v", got)
	}
}

// testSettleLate brings a true answer after a doubt, in every state in which it
// may come.
func testSettleLate(f *fixture) {
	avoid := row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid })
	for name, test := range map[string]struct {
		arrive func() store.Look // to the state; returns the look of the claim in doubt
		from   store.State
		ok     bool
	}{
		"in doubt": {func() store.Look { l, _ := f.inDoubt(time.Hour); return l }, store.InDoubt, true},
		"queued":   {func() store.Look { l, _ := f.inDoubt(0); f.resolveOne(1, 0); return l }, store.Queued, true},
		"retrying": {func() store.Look {
			l, _ := f.inDoubt(0)
			f.resolveOne(1, 0)
			if !f.move(store.Move{ID: l.ID, Generation: 2, State: store.Retrying, Delay: time.Hour}) {
				f.Fatal("move to retrying")
			}
			return l
		}, store.Retrying, true},
		"dead in doubt": {func() store.Look { l, _ := f.inDoubt(0, avoid); f.resolveOne(0, 1); return l }, store.Dead, true},
		"dead otherwise": {func() store.Look {
			l, _ := f.inDoubt(0)
			f.resolveOne(1, 0)
			if !f.move(store.Move{ID: l.ID, Generation: 2, State: store.Dead, Class: store.ClassRefused, Reason: store.ReasonUnbound}) {
				f.Fatal("move to dead")
			}
			return l
		}, store.Dead, false},
		"cancelled": {func() store.Look {
			l, _ := f.inDoubt(0)
			f.resolveOne(1, 0)
			if !f.move(store.Move{ID: l.ID, Generation: 2, State: store.Cancelled, Reason: store.ReasonByAdmin}) {
				f.Fatal("move to cancelled")
			}
			return l
		}, store.Cancelled, false},
	} {
		l := test.arrive()
		before := f.get(l.ID)
		if before.State != test.from {
			f.Fatalf("%s: the test arrived at %s", name, before.State)
		}
		s := settlement(l, store.Sent, "ok", func(s *store.Settlement) { s.Attempt.MsgID = 7 })
		got, after := f.settle(s), f.get(l.ID)
		if !test.ok {
			if got.Applied || got.State != test.from || f.attempts(l.ID)[0].Outcome != store.OutcomeInDoubt {
				f.Errorf("%s: late answer: %+v, want it refused", name, got)
			}
			f.diff(name+": row", before, after)
			continue
		}
		f.diff(name+": answer", store.Settled{Applied: true, State: store.Sent, Generation: before.Generation}, got)
		if after.MsgID != 7 || after.Class != "" || after.Reason != "" || after.Doubts != 0 {
			f.Errorf("%s: row %+v", name, after)
		}
		f.invariants(after)
		if a := f.attempts(l.ID); len(a) != 1 || a[0].Outcome != "ok" || a[0].Latency != 87*time.Millisecond {
			f.Errorf("%s: attempts %+v", name, a)
		}
		f.diff(name+": repeated", got, f.settle(s))
	}
}

// testSettleLateDoubts: a late answer that says "not sent" takes the doubt back,
// so that the next one counts as the first.
func testSettleLateDoubts(f *fixture) {
	l, _ := f.inDoubt(time.Hour)
	n := f.mustSettle(settlement(l, store.Retrying, "busy", func(s *store.Settlement) { s.Requeue = true }))
	if n.Doubts != 0 || n.Generation != 2 {
		f.Fatalf("doubts %d, generation %d; want 0 and 2", n.Doubts, n.Generation)
	}
	_, l = f.claim(n)
	if n = f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt)); n.Doubts != 1 {
		f.Errorf("doubts %d, want 1", n.Doubts)
	}
	f.resolveOne(1, 0)
}

// testSettleRefusedValue: a value that the schema refuses fails the batch with
// an ordinary error, writes nothing, and the rest can be written without it.
func testSettleRefusedValue(f *fixture) {
	_, good := f.claim(f.accept())
	_, bad := f.claim(f.accept())
	for name, edit := range map[string]func(*store.Settlement){
		"class":     func(s *store.Settlement) { s.Class = "secret" },
		"reason":    func(s *store.Settlement) { s.Reason = "secret" },
		"no class":  func(s *store.Settlement) { s.Class = "" },
		"latency":   func(s *store.Settlement) { s.Attempt.Latency = -time.Second },
		"NUL":       func(s *store.Settlement) { s.Attempt.Errmsg = "secret\x00" },
		"bad UTF-8": func(s *store.Settlement) { s.Attempt.RID = "secret\xff" },
	} {
		_, err := f.Commit(f.ctx, store.Batch{Settlements: []store.Settlement{
			settlement(good, store.Sent, "ok"), settlement(bad, store.Dead, "rejected", edit),
		}})
		if err == nil || errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			f.Errorf("%s: %v, want an ordinary error without the value", name, err)
		}
	}
	if n := f.get(good.ID); n.State != store.Sending || len(f.attempts(good.ID)) != 0 {
		f.Errorf("a failed batch left %s", n.State)
	}
	f.mustSettle(settlement(good, store.Sent, "ok"))
}

func testSettleSuspect(f *fixture) {
	suspect := func(s *store.Settlement) { s.SuspectBinding, s.Reason = true, store.ReasonBadAddress }
	toUser := row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u1" })
	f.bind(store.Binding{App: testApp, UserID: "u1", OpenID: "o1", UnionID: "union"})
	_, l := f.claim(f.accept(toUser))
	_, rebound := f.claim(f.accept(toUser))
	s := settlement(l, store.Dead, "bad_address", suspect)
	f.mustSettle(s)
	if b := must[store.Binding](f)(f.Resolve(f.ctx, testApp, "u1")); !b.Suspect || b.OpenID != "o1" || b.UnionID != "union" {
		f.Errorf("binding %+v, want it suspect", b)
	}
	// A login clears it; the repeated settlement, and one of an older openid,
	// say nothing about the new one.
	f.bind(store.Binding{App: testApp, UserID: "u1", OpenID: "o2"})
	f.settle(s)
	f.mustSettle(settlement(rebound, store.Dead, "bad_address", suspect))
	if b := must[store.Binding](f)(f.Resolve(f.ctx, testApp, "u1")); b.Suspect || b.OpenID != "o2" {
		f.Errorf("binding %+v, want the new openid unsuspected", b)
	}
}

func testSettlePausesTemplate(f *fixture) {
	_, l := f.claim(f.accept())
	_, second := f.claim(f.accept())
	_, third := f.claim(f.accept())
	waiting, other := f.accept(), f.accept(row(func(n *store.Notification) { n.App = "wx2" }))
	pause := func(s *store.Settlement) {
		s.PauseTemplate, s.Reason, s.Attempt.Errcode = true, store.ReasonTemplate, 40037
	}

	// In one batch, the pause holds back the claim.
	c := newClaim(waiting)
	r := f.commit(store.Batch{
		Claims:      []store.Claim{c},
		Settlements: []store.Settlement{settlement(l, store.Dead, "template", pause), settlement(second, store.Dead, "template", pause)},
	})
	if r.Claims[0].OK || r.Claims[0].Look.Paused != string(store.ReasonTemplate) {
		f.Errorf("claim beside the pause: OK %v, paused %q", r.Claims[0].OK, r.Claims[0].Look.Paused)
	}
	pauses := must[[]store.TemplatePause](f)(f.PausedTemplates(f.ctx, testApp))
	if len(pauses) != 1 || pauses[0].TemplateID != testTemplate || pauses[0].Errcode != 40037 || pauses[0].Reason != string(store.ReasonTemplate) {
		f.Fatalf("pauses %+v", pauses)
	}
	f.wantIn("since", pauses[0].Since, time.Now(), 0)
	f.mustSettle(settlement(third, store.Dead, "template", pause, func(s *store.Settlement) { s.Attempt.Errcode = 43116 }))
	f.diff("a pause that exists", pauses, must[[]store.TemplatePause](f)(f.PausedTemplates(f.ctx, testApp)))
	if l := f.look(other.ID); l.Paused != "" {
		f.Errorf("the template of another app is paused: %q", l.Paused)
	}
	f.claim(other)

	// What waits for the resume is released by it, in a new delivery.
	if !f.move(store.Move{ID: waiting.ID, Generation: 1, State: store.Waiting, Reason: store.ReasonTemplatePaused}) {
		f.Fatal("move to waiting")
	}
	noConsent := f.accept()
	if !f.move(store.Move{ID: noConsent.ID, Generation: 1, State: store.Waiting, Reason: store.ReasonNoConsent}) {
		f.Fatal("move to waiting")
	}
	if n := must[int](f)(f.ResumeTemplate(f.ctx, testApp, testTemplate)); n != 1 {
		f.Errorf("released %d, want 1", n)
	}
	n := f.get(waiting.ID)
	if n.State != store.Queued || n.Generation != 2 || n.Reason != "" || n.HandoverAt.IsZero() {
		f.Errorf("released row %+v", n)
	}
	f.claim(n)
	if n := f.get(noConsent.ID); n.State != store.Waiting {
		f.Errorf("what waits for consent became %s", n.State)
	}
	if pauses := must[[]store.TemplatePause](f)(f.PausedTemplates(f.ctx, "")); len(pauses) != 0 {
		f.Errorf("pauses after the resume: %+v", pauses)
	}
	if n := must[int](f)(f.ResumeTemplate(f.ctx, testApp, testTemplate)); n != 0 {
		f.Errorf("a second resume released %d", n)
	}
	// Who decided to wait before the resume, and moves after it, must look again.
	late := f.accept()
	if f.move(store.Move{ID: late.ID, Generation: 1, State: store.Waiting, Reason: store.ReasonTemplatePaused}) {
		f.Error("a notification waits for a template that is not paused: nobody would wake it")
	}
}
