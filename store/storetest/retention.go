package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// full gives a notification everything that blanking removes.
var full = row(func(n *store.Notification) { n.Page, n.Payload = "pages/report?id=9&of=me?", []byte("payload") })

// ended returns a notification in a final state, with an attempt.
func (f *fixture) ended(state store.State, class store.Class) store.Notification {
	f.Helper()
	switch state {
	case store.Sent:
		_, l := f.claim(f.accept(full))
		return f.mustSettle(settlement(l, store.Sent, "ok"))
	case store.Dead:
		_, l := f.claim(f.accept(full))
		return f.mustSettle(settlement(l, store.Dead, "rejected", func(s *store.Settlement) { s.Class = class }))
	case store.Expired, store.Cancelled:
		// With an attempt, so that each has one.
		_, l := f.claim(f.accept(full))
		n := f.mustSettle(settlement(l, store.Retrying, "busy"))
		if !f.move(store.Move{ID: n.ID, Generation: n.Generation, State: state, Reason: store.ReasonTooOld}) {
			f.Fatalf("move to %s refused", state)
		}
		return f.get(n.ID)
	case store.Queued, store.Sending, store.Retrying, store.InDoubt, store.Waiting:
	}
	f.Fatalf("%s is not final", state)
	return store.Notification{}
}

// everyEnding returns a notification for each way to end that is not a dead
// letter.
func (f *fixture) everyEnding() []store.Notification {
	f.Helper()
	return []store.Notification{
		f.ended(store.Sent, store.ClassNone), f.ended(store.Dead, store.ClassRefused),
		f.ended(store.Expired, store.ClassNone), f.ended(store.Cancelled, store.ClassNone),
	}
}

// retain runs the three statements of retention once each, on whatever is older
// than age, and returns how many rows they touched.
func (f *fixture) retain(age time.Duration) (blanked, deleted, dead int) {
	f.Helper()
	blanked = must[int](f)(f.BlankData(f.ctx, age, 100))
	deleted = must[int](f)(f.DeleteFinished(f.ctx, age, 100))
	dead = must[int](f)(f.DeleteDead(f.ctx, age, 100))
	return blanked, deleted, dead
}

func testBlank(f *fixture) {
	rows := f.everyEnding()
	if n := must[int](f)(f.BlankData(f.ctx, time.Hour, 100)); n != 0 {
		f.Errorf("blanked %d that ended just now", n)
	}
	if n := must[int](f)(f.BlankData(f.ctx, 0, 3)); n != 3 {
		f.Errorf("blanked %d, want the limit", n)
	}
	if n := must[int](f)(f.BlankData(f.ctx, 0, 3)); n != 1 {
		f.Errorf("blanked %d, want the one that was left", n)
	}
	for _, before := range rows {
		after := f.get(before.ID)
		f.invariants(after)
		if after.DataBlankedAt.IsZero() {
			f.Errorf("%s: not marked as blanked", before.State)
		}
		want := before
		want.Data, want.Payload, want.Page, want.DataBlankedAt = nil, nil, "pages/report", after.DataBlankedAt
		f.diff(string(before.State), want, after)
		if len(f.attempts(before.ID)) != 1 {
			f.Errorf("%s: lost its attempt", before.State)
		}
	}
	if n := must[int](f)(f.BlankData(f.ctx, 0, 100)); n != 0 {
		f.Errorf("blanked %d again", n)
	}
}

func testDeleteFinished(f *fixture) {
	rows := f.everyEnding()
	if n := must[int](f)(f.DeleteFinished(f.ctx, 0, 100)); n != 0 {
		f.Errorf("deleted %d before they were blanked", n)
	}
	must[int](f)(f.BlankData(f.ctx, 0, 100))
	if n := must[int](f)(f.DeleteFinished(f.ctx, time.Hour, 100)); n != 0 {
		f.Errorf("deleted %d that ended just now", n)
	}
	if n := must[int](f)(f.DeleteFinished(f.ctx, 0, 3)); n != 3 {
		f.Errorf("deleted %d, want the limit", n)
	}
	if n := must[int](f)(f.DeleteFinished(f.ctx, 0, 3)); n != 1 {
		f.Errorf("deleted %d, want the one that was left", n)
	}
	for _, n := range rows {
		if _, attempts, err := f.Get(f.ctx, n.ID); !errors.Is(err, store.ErrNotFound) || len(attempts) > 0 {
			f.Errorf("%s: %d attempts, %v, want ErrNotFound", n.State, len(attempts), err)
		}
	}
	// Its attempts are gone too: the same id begins anew.
	a := acceptance(func(a *store.Acceptance) { a.Notification.ID = rows[0].ID })
	if _, err := f.Insert(f.ctx, []store.Acceptance{a}); err != nil {
		f.Fatal(err)
	}
	if got := f.attempts(rows[0].ID); len(got) > 0 {
		f.Errorf("%d attempts outlived their notification", len(got))
	}
}

// testDeleteDead: a dead letter keeps its data, and so can be replayed, until it
// is deleted.
func testDeleteDead(f *fixture) {
	f.everyEnding()
	letter, other := f.ended(store.Dead, store.ClassFault), f.ended(store.Dead, store.ClassFault)
	if blanked, deleted, dead := f.retain(time.Hour); blanked+deleted+dead > 0 {
		f.Errorf("blanked %d, deleted %d and %d that ended just now", blanked, deleted, dead)
	}
	must[int](f)(f.BlankData(f.ctx, 0, 100))
	must[int](f)(f.DeleteFinished(f.ctx, 0, 100))
	f.diff("a dead letter", letter, f.get(letter.ID))
	if !f.move(store.Move{ID: letter.ID, Generation: letter.Generation, State: store.Queued, Replay: true, MaxAge: time.Hour}) {
		f.Error("a dead letter cannot be replayed")
	}
	if n := must[int](f)(f.DeleteDead(f.ctx, 0, 100)); n != 1 {
		f.Errorf("deleted %d dead letters, want the one that was not replayed", n)
	}
	if _, _, err := f.Get(f.ctx, other.ID); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("a dead letter: %v, want ErrNotFound", err)
	}
	f.get(letter.ID)
}

// testRetentionLeaves runs retention over one notification in each state of the
// table of states; what is not final stays as it is.
func testRetentionLeaves(f *fixture) {
	resolve := mover{"resolved doubts", func(store.Notification) {
		if _, _, err := f.ResolveDoubts(f.ctx, 100); err != nil {
			f.Fatal(err)
		}
	}}
	for _, line := range f.lines(resolve) {
		line.make()
	}
	// One that is in doubt again: the line before it may have been resolved.
	f.inDoubt(0)
	open := map[store.State]int{}
	var before []store.Notification
	for _, n := range must[[]store.Notification](f)(f.List(f.ctx, store.Filter{Limit: 500})) {
		if !n.State.Final() {
			open[n.State]++
			before = append(before, n)
		}
	}
	if len(open) != 5 {
		f.Fatalf("open notifications %v, want some in each of the five states", open)
	}
	f.retain(0)
	f.retain(0)
	f.diff("open notifications", before, must[[]store.Notification](f)(f.List(f.ctx, store.Filter{Limit: 500})))
}

// testReplayBlanked: what has no data left is not sent again.
func testReplayBlanked(f *fixture) {
	n := f.ended(store.Dead, store.ClassRefused)
	must[int](f)(f.BlankData(f.ctx, 0, 100))
	if f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Queued, Replay: true, MaxAge: time.Hour}) {
		f.Error("a blanked notification was replayed")
	}
	if after := f.get(n.ID); after.State != store.Dead || after.Generation != n.Generation {
		f.Errorf("became %s in generation %d", after.State, after.Generation)
	}
}

// testRefAfterDelete: a ref is taken as long as its notification is there.
func testRefAfterDelete(f *fixture) {
	ref := row(func(n *store.Notification) { n.Ref, n.ContentHash = "ref-1", []byte("hash") })
	n := f.accept(ref)
	f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Cancelled, Reason: store.ReasonByAdmin})
	again := func() store.Inserted {
		return must[[]store.Inserted](f)(f.Insert(f.ctx, []store.Acceptance{acceptance(ref)}))[0]
	}
	must[int](f)(f.BlankData(f.ctx, 0, 100))
	if got := again(); !got.Duplicate || got.ID != n.ID {
		f.Errorf("with its data blanked: %+v, want a duplicate", got)
	}
	must[int](f)(f.DeleteFinished(f.ctx, 0, 100))
	if got := again(); got.Duplicate || got.ID == n.ID || got.ID == uuid.Nil {
		f.Errorf("deleted: %+v, want a new one", got)
	}
}
