package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// testPutOff is the way of what came within quiet hours: it is not handed over
// and not claimed before they end, and expires at its own time.
func testPutOff(f *fixture) {
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	quiet := row(func(n *store.Notification) { n.DueAt, n.Reason = end, store.ReasonQuietHours })
	accepted := f.accept(quiet, row(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(-time.Second) }))
	late := f.accept()
	if !f.move(store.Move{
		ID: late.ID, Generation: 1, State: store.Retrying, Reason: store.ReasonQuietHours, Delay: time.Hour, Requeue: true,
	}) {
		f.Fatal("move refused")
	}
	for what, n := range map[string]store.Notification{"accepted": accepted, "moved": f.get(late.ID)} {
		f.wantIn(what+": due_at", n.DueAt, time.Now(), time.Hour)
		if n.Reason != store.ReasonQuietHours || !n.HandoverAt.Equal(n.DueAt) || n.FinishedAt != (time.Time{}) {
			f.Errorf("%s: %+v", what, n)
		}
		if f.tryClaim(newClaim(n)).OK {
			f.Errorf("%s: claimed before it is due", what)
		}
		f.invariants(n)
	}
	if list := must[[]store.Handover](f)(f.Handovers(f.ctx, 10)); len(list) != 0 {
		f.Errorf("handed over before it is due: %v", handoverIDs(list))
	}
	if n := must[int](f)(f.ExpireOverdue(f.ctx, 10)); n != 1 {
		f.Errorf("%d expired, want one", n)
	}
	if n := f.get(accepted.ID); n.State != store.Expired || n.Reason != store.ReasonTooOld {
		f.Errorf("%s, reason %q; want expired, too_old", n.State, n.Reason)
	}

	// When it is due it goes its way, and nothing is left of the reason.
	due := f.accept(quiet, row(func(n *store.Notification) { n.DueAt = time.Now().Add(-time.Second) }))
	if _, l := f.claim(due); l.Reason != store.ReasonNone {
		f.Errorf("reason of what is being sent: %q", l.Reason)
	}
}

// testReasons: the schema knows every reason, and what is put off survives a
// schema that did not know that yet.
func testReasons(f *fixture) {
	ids := map[store.Reason]uuid.UUID{}
	for _, r := range store.Reasons {
		if r == store.ReasonQuietHours {
			continue // nothing ends for it
		}
		ids[r] = f.accept(row(func(n *store.Notification) { n.State, n.Class, n.Reason = store.Dead, store.ClassFault, r })).ID
	}
	putOff := f.accept(row(func(n *store.Notification) { n.Reason = store.ReasonQuietHours }))
	for have, want := f.version(); have >= schemaOfQuietHours; have, _ = f.version() {
		if err := f.MigrateDown(f.ctx); err != nil {
			f.Fatalf("down from %d of %d: %v", have, want, err)
		}
	}
	if err := f.Migrate(f.ctx, nil); err != nil {
		f.Fatalf("up: %v", err)
	}
	for r, id := range ids {
		if n := f.get(id); n.Reason != r {
			f.Errorf("reason %q became %q", r, n.Reason)
		}
	}
	if n := f.get(putOff.ID); n.State != store.Queued || n.Reason != store.ReasonNone {
		f.Errorf("put off: %s, reason %q", n.State, n.Reason)
	}
	f.accept(row(func(n *store.Notification) { n.Reason = store.ReasonQuietHours }))
}

// schemaOfQuietHours is the first version of the schema that knows the reason.
const schemaOfQuietHours = 12
