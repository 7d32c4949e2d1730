package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// testLife walks through the table "states and who moves them": for every state,
// each thing that may move a notification on is done to one in that state, and
// everything else of the list is seen to leave it alone.
func testLife(f *fixture) {
	claim := mover{"claim", func(n store.Notification) { f.tryClaim(newClaim(n)) }}
	settle := mover{"settlement", func(n store.Notification) {
		if n.Seq > 0 {
			f.settle(store.Settlement{ID: n.ID, Seq: n.Seq, State: store.Sent, Attempt: store.Attempt{Outcome: "ok"}})
		}
	}}
	leases := mover{"expired leases", func(store.Notification) { must[int](f)(f.ExpireLeases(f.ctx, 0, 100)) }}
	doubts := mover{"resolved doubts", func(store.Notification) {
		if _, _, err := f.ResolveDoubts(f.ctx, 100); err != nil {
			f.Fatal(err)
		}
	}}
	resume := mover{"resume", func(n store.Notification) { must[int](f)(f.ResumeTemplate(f.ctx, n.App, n.TemplateID)) }}
	bind := mover{"binding", func(n store.Notification) { f.bind(binding(n.UserID, uuid.NewString())) }}
	overdue := mover{"expiry", func(store.Notification) { must[int](f)(f.ExpireOverdue(f.ctx, 100)) }}
	replay := mover{"replay", func(n store.Notification) {
		f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Queued, Replay: true, MaxAge: time.Hour})
	}}
	cancel := mover{"cancel", func(n store.Notification) {
		f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Cancelled, Reason: store.ReasonByAdmin})
	}}
	consent := mover{"consent", func(n store.Notification) {
		if b, err := f.Resolve(f.ctx, n.App, n.UserID); err == nil {
			f.answered(accepted(b.OpenID, n.TemplateID))
		}
	}}
	all := []mover{claim, settle, leases, doubts, resume, bind, consent, overdue, replay, cancel}

	f.expectPushes()
	for _, line := range f.lines(doubts) {
		for _, m := range all {
			n := line.make()
			m.do(n)
			want, moves := line.moves[m.name]
			if !moves {
				want = n.State
			}
			after := f.get(n.ID)
			if after.State != want {
				f.Errorf("%s, %s: became %s, want %s", line.name, m.name, after.State, want)
			}
			entered := after.State == store.Queued && n.State != store.Queued
			if entered && after.Generation != n.Generation+1 {
				f.Errorf("%s, %s: queued again in generation %d after %d", line.name, m.name, after.Generation, n.Generation)
			}
			if want := n.Seq + map[bool]int{true: 1}[after.State == store.Sending && n.State != store.Sending]; after.Seq != want {
				f.Errorf("%s, %s: seq %d, want %d", line.name, m.name, after.Seq, want)
			}
			f.invariants(after)
		}
	}
}

// mover is something that may move a notification.
type mover struct {
	name string
	do   func(n store.Notification)
}

// line is a row of the table: how to get a notification there, and what each
// mover makes of it. A mover that is not named leaves it alone.
type line struct {
	name  string
	make  func() store.Notification
	moves map[string]store.State
}

func (f *fixture) lines(doubts mover) []line {
	user := row(func(n *store.Notification) { n.OpenID, n.UserID = "", "user-"+n.ID.String() })
	bound := func(a *store.Acceptance) {
		user(a)
		f.bind(binding(a.Notification.UserID, "openid-of-"+a.Notification.UserID))
	}
	avoid := row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid })
	past := row(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(-time.Minute) })
	waitFor := func(id uuid.UUID, what string, done func(store.Look) bool) store.Notification {
		f.eventually(what, func() bool { return done(f.look(id)) })
		return f.get(id)
	}
	sending := func(lease time.Duration) store.Notification {
		c := newClaim(f.accept(bound))
		c.Lease = lease
		return f.tryClaim(c).Look.Notification
	}
	waiting := func(reason store.Reason, edits ...func(*store.Acceptance)) store.Notification {
		n := f.accept(edits...)
		if !f.move(store.Move{ID: n.ID, Generation: 1, State: store.Waiting, Reason: reason}) {
			f.Fatalf("move to waiting for %s", reason)
		}
		return f.get(n.ID)
	}
	faulty := func(a *store.Acceptance) {
		bound(a)
		a.Notification.TemplateID = "template-of-" + a.Notification.ID.String()
		_, l := f.claim(f.accept(row(func(n *store.Notification) { n.TemplateID = a.Notification.TemplateID })))
		f.mustSettle(settlement(l, store.Dead, "template", func(s *store.Settlement) { s.PauseTemplate = true }))
	}
	inDoubt := func(delay time.Duration, edits ...func(*store.Acceptance)) store.Notification {
		l, _ := f.inDoubt(delay, append([]func(*store.Acceptance){bound}, edits...)...)
		if delay > 0 {
			return f.get(l.ID)
		}
		return waitFor(l.ID, "the doubt to be due", store.Look.Due)
	}
	return []line{
		{
			"queued, due", func() store.Notification { return f.accept(bound) },
			map[string]store.State{"claim": store.Sending, "cancel": store.Cancelled},
		},
		{
			"queued, due later", func() store.Notification { return f.accept(bound, func(a *store.Acceptance) { a.Delay = time.Hour }) },
			map[string]store.State{"cancel": store.Cancelled},
		},
		{
			"queued, overdue", func() store.Notification { return f.accept(bound, past) },
			map[string]store.State{"expiry": store.Expired, "cancel": store.Cancelled},
		},
		{"retrying, due", func() store.Notification {
			_, l := f.claim(f.accept(bound))
			return f.mustSettle(settlement(l, store.Retrying, "busy"))
		}, map[string]store.State{"claim": store.Sending, "cancel": store.Cancelled}},
		{
			"sending, lease alive", func() store.Notification { return sending(lease) },
			map[string]store.State{"settlement": store.Sent},
		},
		{"sending, lease over", func() store.Notification {
			return waitFor(sending(time.Millisecond).ID, "the lease to be over", func(l store.Look) bool { return l.LeaseLeft() <= 0 })
		}, map[string]store.State{"settlement": store.Sent, "expired leases": store.InDoubt}},
		{
			"in doubt", func() store.Notification { return inDoubt(time.Hour) },
			map[string]store.State{"settlement": store.Sent},
		},
		{
			"in doubt, due, allow", func() store.Notification { return inDoubt(0) },
			map[string]store.State{"settlement": store.Sent, "resolved doubts": store.Queued},
		},
		{
			"in doubt, due, avoid", func() store.Notification { return inDoubt(0, avoid) },
			map[string]store.State{"settlement": store.Sent, "resolved doubts": store.Dead},
		},
		{
			"waiting, unbound", func() store.Notification { return waiting(store.ReasonUnbound, user) },
			map[string]store.State{"binding": store.Queued, "cancel": store.Cancelled},
		},
		{
			"waiting, no consent", func() store.Notification { return waiting(store.ReasonNoConsent, bound) },
			map[string]store.State{"binding": store.Queued, "consent": store.Queued, "cancel": store.Cancelled},
		},
		{
			"waiting, template paused", func() store.Notification { return waiting(store.ReasonTemplatePaused, faulty) },
			map[string]store.State{"resume": store.Queued, "cancel": store.Cancelled},
		},
		{"waiting, at its deadline", func() store.Notification {
			return f.accept(bound, past, row(func(n *store.Notification) { n.State, n.Reason = store.Waiting, store.ReasonUnbound }))
		}, map[string]store.State{"expiry": store.Expired, "cancel": store.Cancelled}},
		{"sent", func() store.Notification {
			_, l := f.claim(f.accept(bound))
			return f.mustSettle(settlement(l, store.Sent, "ok"))
		}, nil},
		{"dead", func() store.Notification {
			_, l := f.claim(f.accept(bound))
			return f.mustSettle(settlement(l, store.Dead, "rejected"))
		}, map[string]store.State{"replay": store.Queued}},
		{"dead, in doubt", func() store.Notification {
			n := inDoubt(0, avoid)
			doubts.do(n)
			return f.get(n.ID)
		}, map[string]store.State{"replay": store.Queued, "settlement": store.Sent}},
		{"expired", func() store.Notification {
			return f.accept(bound, row(func(n *store.Notification) { n.State, n.Reason = store.Expired, store.ReasonTooOld }))
		}, nil},
		{"cancelled", func() store.Notification {
			n := f.accept(bound)
			f.move(store.Move{ID: n.ID, Generation: 1, State: store.Cancelled, Reason: store.ReasonOnlyTo})
			return f.get(n.ID)
		}, nil},
	}
}
