package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// park lets a notification wait.
func (f *fixture) park(reason store.Reason, edits ...func(*store.Acceptance)) store.Notification {
	f.Helper()
	n := f.accept(append([]func(*store.Acceptance){row(func(n *store.Notification) { n.Wait = time.Hour })}, edits...)...)
	if !f.move(store.Move{ID: n.ID, Generation: 1, State: store.Waiting, Reason: reason}) {
		f.Fatalf("move to waiting for %s", reason)
	}
	return f.get(n.ID)
}

// wantReleased checks which of several notifications are queued by now, each in a
// new delivery that is due, and that the others wait.
func (f *fixture) wantReleased(what string, all []store.Notification, released ...int) {
	f.Helper()
	want := map[int]bool{}
	for _, i := range released {
		want[i] = true
	}
	for i, n := range all {
		got := f.get(n.ID)
		f.invariants(got)
		switch {
		case !want[i] && got.State != store.Waiting:
			f.Errorf("%s: number %d became %s", what, i, got.State)
		case want[i] && (got.State != store.Queued || got.Generation != 2 || got.Reason != "" || got.HandoverAt.IsZero()):
			f.Errorf("%s: number %d: %s, generation %d, handover at %v", what, i, got.State, got.Generation, got.HandoverAt)
		}
	}
}

// testConsentReleases: one acceptance lets one go, the newest of the highest
// priority or the oldest where the template says so; a long-term one all.
func testConsentReleases(f *fixture) {
	priority := func(p store.Priority) func(*store.Acceptance) {
		return row(func(n *store.Notification) { n.Priority = p })
	}
	wait := func(edits ...func(*store.Acceptance)) store.Notification {
		return f.park(store.ReasonNoConsent, edits...)
	}
	oldest := row(func(n *store.Notification) { n.ReleaseOrder = store.ReleaseOldest })
	to := func(openID string) func(*store.Acceptance) {
		return row(func(n *store.Notification) { n.OpenID = openID })
	}
	of := func(template string) func(*store.Acceptance) {
		return row(func(n *store.Notification) { n.TemplateID = template })
	}
	all := []store.Notification{
		wait(), wait(), wait(priority(store.Low)), wait(priority(store.Critical)),
		wait(to("openid-2")), wait(of("template-2")),
		wait(oldest, to("openid-3")), wait(oldest, to("openid-3")),
	}
	one := accepted("openid-1", testTemplate)
	for i, want := range [][]int{{3}, {3, 1}, {3, 1, 0}, {3, 1, 0, 2}, {3, 1, 0, 2}} {
		one.Key = uuid.NewString()
		if got := f.answered(one); got.Released != min(1, 4-i) {
			f.Errorf("acceptance %d released %d", i, got.Released)
		}
		f.wantReleased("one-time", all, want...)
	}
	if got := f.answered(one); got.Released != 0 || got.Result != store.ConsentRepeated {
		f.Errorf("the last one again: %+v", got)
	}
	f.answered(accepted("openid-3", testTemplate))
	f.wantReleased("the oldest", all, 3, 1, 0, 2, 6)
	f.answered(accepted("openid-2", testTemplate, from(store.ConsentPopup, 0)))
	f.answered(accepted("openid-2", testTemplate)) // the report of the same
	f.wantReleased("another openid", all, 3, 1, 0, 2, 6, 4)

	const many = store.ReleasePage + 10
	batch := make([]store.Acceptance, many)
	moves := make([]store.Move, many)
	for i := range batch {
		batch[i] = acceptance(to("openid-4"))
		moves[i] = store.Move{ID: batch[i].Notification.ID, Generation: 1, State: store.Waiting, Reason: store.ReasonNoConsent}
	}
	must[[]store.Inserted](f)(f.Insert(f.ctx, batch))
	f.commit(store.Batch{Moves: moves})
	if got := f.answered(accepted("openid-4", testTemplate, longTerm)); got.Released != many {
		f.Errorf("a long-term consent released %d of %d", got.Released, many)
	}

	past := func(a *store.Acceptance) {
		a.Notification.DueAt, a.Notification.Wait = time.Now().Add(-time.Hour), time.Minute
	}
	late := f.park(store.ReasonNoConsent, to("openid-5"), past)
	if got := f.answered(accepted("openid-5", testTemplate)); got.Released != 0 || f.get(late.ID).State != store.Waiting {
		f.Errorf("released %d that had waited too long", got.Released)
	}
}

// testWaitGuards: nothing begins to wait for what is there, because nobody would
// wake it.
func testWaitGuards(f *fixture) {
	move := func(n store.Notification, reason store.Reason) bool {
		return f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Waiting, Reason: reason})
	}
	user := row(func(n *store.Notification) { n.OpenID, n.UserID = "", "user-1" })
	if n := f.accept(user); move(n, store.ReasonNoConsent) {
		f.Error("waits for the consent of nobody")
	}
	f.bind(binding("user-1", "openid-9"))
	if n := f.accept(user); move(n, store.ReasonUnbound) {
		f.Error("a bound one waits for a binding")
	}
	f.answered(accepted("openid-9", testTemplate))
	if n := f.accept(user); move(n, store.ReasonNoConsent) {
		f.Error("waits for a consent that is there")
	}
	f.answered(accepted("openid-8", testTemplate, longTerm))
	if n := f.accept(row(func(n *store.Notification) { n.OpenID = "openid-8" })); move(n, store.ReasonNoConsent) {
		f.Error("waits beside a long-term consent")
	}

	for name, test := range map[string]struct {
		before func(l store.Look) // between the claim and the answer
		edit   func(*store.Settlement)
		state  store.State
	}{
		"refused":                     {func(store.Look) {}, parked, store.Waiting},
		"refused, accepted meanwhile": {func(l store.Look) { f.answered(accepted(l.Address, testTemplate)) }, parked, store.Retrying},
		"refused, long-term meanwhile": {
			func(l store.Look) { f.answered(accepted(l.Address, testTemplate, longTerm)) }, parked, store.Retrying,
		},
		"template not paused": {
			func(store.Look) {}, func(s *store.Settlement) { s.Reason = store.ReasonTemplatePaused }, store.Retrying,
		},
	} {
		_, l := f.claim(f.accept(row(func(n *store.Notification) { n.OpenID = "openid-of-" + name })))
		test.before(l)
		s := settlement(l, store.Waiting, "refused", test.edit)
		for range 2 { // the reply of the first is lost
			got := f.settle(s)
			if !got.Applied || got.State != test.state {
				f.Errorf("%s: %+v, want %s", name, got, test.state)
			}
		}
		n := f.get(l.ID)
		f.invariants(n)
		if again := n.State == store.Retrying; again && (n.Generation != 2 || n.HandoverAt.IsZero() || n.DueAt.After(f.look(l.ID).Now)) {
			f.Errorf("%s: generation %d, due at %v, handover at %v", name, n.Generation, n.DueAt, n.HandoverAt)
		}
	}
	// What was refused took nothing of what came meanwhile.
	list := must[[]store.Consent](f)(f.Consents(f.ctx, testApp, "openid-of-refused, accepted meanwhile"))
	if len(list) != 1 || list[0].Balance != 1 {
		f.Errorf("entries %+v, want the acceptance that came meanwhile", list)
	}
	list = must[[]store.Consent](f)(f.Consents(f.ctx, testApp, "openid-of-refused"))
	if len(list) != 1 || !list[0].Empty() {
		f.Errorf("entries %+v, want an empty one", list)
	}
}

// testWaitDeadline: what waits for a binding or a consent does so until Wait after
// it was due, or its end; what waits for a template, until its end.
func testWaitDeadline(f *fixture) {
	due := time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	wait := func(d time.Duration) func(*store.Acceptance) {
		return row(func(n *store.Notification) { n.DueAt, n.Wait, n.ExpiresAt = due, d, due.Add(2*time.Hour) })
	}
	for d, want := range map[time.Duration]time.Time{
		0: {}, time.Minute: due.Add(time.Minute), 3 * time.Hour: due.Add(2 * time.Hour),
	} {
		n := f.accept(wait(d))
		if !n.WaitUntil.Equal(want) || n.Wait != d {
			f.Errorf("wait %s: until %s, want %s", d, n.WaitUntil, want)
		}
		if got := f.look(n.ID).MayWait(); got != (d > time.Hour) {
			f.Errorf("wait %s, an hour after it was due: may wait %v", d, got)
		}
	}
	over, left := f.park(store.ReasonNoConsent, wait(time.Minute)), f.park(store.ReasonNoConsent, wait(3*time.Hour))
	none := f.park(store.ReasonNoConsent, wait(0))
	unbound := f.park(store.ReasonUnbound, wait(time.Minute), row(func(n *store.Notification) { n.OpenID, n.UserID = "", "user-1" }))
	_, l := f.claim(f.accept(row(func(n *store.Notification) { n.TemplateID = "template-2" })))
	f.mustSettle(settlement(l, store.Dead, "template", func(s *store.Settlement) { s.PauseTemplate = true }))
	paused := f.park(store.ReasonTemplatePaused, wait(time.Minute), row(func(n *store.Notification) { n.TemplateID = "template-2" }))
	if n := must[int](f)(f.ExpireOverdue(f.ctx, 100)); n != 2 {
		f.Errorf("%d expired, want 2", n)
	}
	for _, n := range []store.Notification{over, unbound} {
		if got := f.get(n.ID); got.State != store.Expired || got.Reason != n.Reason {
			f.Errorf("over: %s, reason %s; want expired, %s", got.State, got.Reason, n.Reason)
		}
	}
	for _, n := range []store.Notification{left, none, paused} {
		if got := f.get(n.ID); got.State != store.Waiting {
			f.Errorf("%s: became %s", n.Reason, got.State)
		}
	}

	// A replay begins to count anew.
	_, l = f.claim(f.accept(row(func(n *store.Notification) { n.Wait = time.Hour })))
	dead := f.mustSettle(settlement(l, store.Dead, "rejected"))
	f.move(store.Move{ID: dead.ID, Generation: 1, State: store.Queued, Replay: true, MaxAge: time.Minute})
	if n := f.get(dead.ID); !n.WaitUntil.Equal(n.ExpiresAt) {
		f.Errorf("replayed for a minute: waits until %s, ends %s", n.WaitUntil, n.ExpiresAt)
	}
}

// testBindConsents: what waits for the consent of an openid follows the user.
func testBindConsents(f *fixture) {
	to := func(user string) func(*store.Acceptance) {
		return row(func(n *store.Notification) { n.OpenID, n.UserID = "", user })
	}
	f.bind(binding("u1", "o1"), binding("u2", "o2"))
	all := []store.Notification{f.park(store.ReasonNoConsent, to("u1")), f.park(store.ReasonNoConsent, to("u2"))}
	f.bind(binding("u1", "o1"), binding("u3", "o2"))
	f.wantReleased("another user has the openid", all)
	if n := f.get(all[1].ID); n.Reason != store.ReasonUnbound {
		f.Errorf("its user has none: waits for %s", n.Reason)
	}
	if got := f.answered(accepted("o2", testTemplate)); got.Released != 0 {
		f.Errorf("the consent of an openid that has another user released %d", got.Released)
	}
	f.bind(binding("u1", "o4"))
	f.wantReleased("a new openid", all, 0)
	f.bind(binding("u2", "o5"))
	f.wantReleased("a new openid for both", all, 0, 1)
}

// testWaitingFor counts what waits, by template.
func testWaitingFor(f *fixture) {
	user := row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u1" })
	template := row(func(n *store.Notification) { n.TemplateID = "template-2" })
	f.park(store.ReasonUnbound, user)
	f.park(store.ReasonUnbound, user, template)
	f.park(store.ReasonNoConsent, template)
	f.park(store.ReasonNoConsent, template, row(func(n *store.Notification) { n.App = "wx2" }))
	f.park(store.ReasonNoConsent, row(func(n *store.Notification) { n.OpenID = "openid-2" }))
	f.accept(user)
	for _, test := range []struct {
		user, openID string
		want         map[string]int
	}{
		{"u1", "openid-1", map[string]int{testTemplate: 1, "template-2": 2}},
		{"u1", "", map[string]int{testTemplate: 1, "template-2": 1}},
		{"", "openid-1", map[string]int{"template-2": 1}},
		{"", "", map[string]int{}},
	} {
		f.diff("waiting", test.want, must[map[string]int](f)(f.WaitingFor(f.ctx, testApp, test.user, test.openID)))
	}
	// One that is found by both counts once.
	f.bind(binding("u3", "o3"))
	f.park(store.ReasonNoConsent, row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u3" }))
	f.diff("found twice", map[string]int{testTemplate: 1}, must[map[string]int](f)(f.WaitingFor(f.ctx, testApp, "u3", "o3")))
}

// testWakeWaiting: the net finds what waits for nothing any more.
func testWakeWaiting(f *fixture) {
	lost := func(reason store.Reason, edit func(*store.Notification)) store.Notification {
		return f.accept(row(func(n *store.Notification) {
			n.State, n.Reason, n.Wait = store.Waiting, reason, time.Hour
			edit(n)
		}))
	}
	user := func(u string) func(*store.Notification) {
		return func(n *store.Notification) { n.OpenID, n.UserID = "", u }
	}
	f.bind(binding("u1", "o1"))
	all := []store.Notification{
		lost(store.ReasonUnbound, user("u1")),
		lost(store.ReasonUnbound, user("u2")),
		lost(store.ReasonTemplatePaused, func(*store.Notification) {}),
		f.park(store.ReasonNoConsent),
		f.park(store.ReasonNoConsent),
		f.park(store.ReasonNoConsent, row(func(n *store.Notification) { n.OpenID = "openid-2" })),
	}
	// One is let go and never sent: the next may have what it leaves.
	f.answered(accepted("openid-1", testTemplate))
	f.wantReleased("before", all, 4)
	f.move(store.Move{ID: all[4].ID, Generation: 2, State: store.Cancelled, Reason: store.ReasonByAdmin})
	all = all[:4:4]

	round := func(grace time.Duration) (woken int) {
		var after uuid.UUID
		for {
			next, seen, n, err := f.WakeWaiting(f.ctx, after, grace, 2)
			if err != nil {
				f.Fatal(err)
			}
			woken += n
			if seen < 2 {
				return woken
			}
			after = next
		}
	}
	if n := round(time.Hour); n != 2 {
		f.Errorf("woke %d, want 2", n)
	}
	f.wantReleased("what was let go may be about to use the consent", all, 0, 2)
	if n := round(0); n != 1 {
		f.Errorf("woke %d, want 1", n)
	}
	f.wantReleased("all", all, 0, 2, 3)
	if n := round(0); n != 0 {
		f.Errorf("woke %d once more", n)
	}
	if n := must[int](f)(f.DeleteConsentEvents(f.ctx, time.Hour, 100)); n != 0 {
		f.Errorf("forgot %d events of just now", n)
	}
}
