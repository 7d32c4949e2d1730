package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func testRelease(f *fixture) {
	c, l := f.claim(f.accept())
	for name, r := range map[string]store.Release{
		"another owner": {ID: l.ID, Seq: 1, Owner: uuid.New()},
		"another seq":   {ID: l.ID, Seq: 2, Owner: c.Owner},
	} {
		if f.release(r) {
			f.Errorf("%s gave the claim back", name)
		}
	}
	f.diff("row", l.Notification, f.get(l.ID))

	first := store.Release{ID: l.ID, Seq: 1, Owner: c.Owner, Delay: time.Hour}
	for _, try := range []string{"first", "repeated"} {
		if !f.release(first) {
			f.Errorf("%s release refused", try)
		}
		n := f.get(l.ID)
		if n.State != store.Queued || n.Seq != 1 || n.Generation != 1 || n.HandoverAt.Sub(n.DueAt) != store.HandoverGrace {
			f.Errorf("%s: %+v", try, n)
		}
		f.wantIn("due_at", n.DueAt, l.Now, time.Hour)
		f.invariants(n)
	}

	// Not the first claim, with a new delivery.
	_, l = f.claim(f.accept())
	n := f.mustSettle(settlement(l, store.Retrying, "busy"))
	c, l = f.claim(n)
	r := store.Release{ID: l.ID, Seq: 2, Owner: c.Owner, Requeue: true}
	if !f.release(r) {
		f.Fatal("release refused")
	}
	n = f.get(l.ID)
	if n.State != store.Retrying || n.Seq != 2 || n.Generation != 2 || !n.HandoverAt.Equal(n.DueAt) {
		f.Errorf("second claim given back: %+v", n)
	}
	_, l = f.claim(n)
	before := f.get(l.ID)
	if l.Seq != 3 || !f.release(r) {
		f.Errorf("seq %d; a repeat that comes after the next claim must be answered as done", l.Seq)
	}
	f.diff("row with a later claim", before, f.get(l.ID))

	// An attempt was made: nothing was given back.
	f.mustSettle(settlement(l, store.Sent, "ok"))
	if f.release(store.Release{ID: l.ID, Seq: 3, Owner: before.Owner}) {
		f.Error("an attempt was given back")
	}
	if f.release(store.Release{ID: l.ID, Seq: 4, Owner: before.Owner}) {
		f.Error("a claim that was never made was given back")
	}
}

// sources makes a notification in each state, of generation 1 or 2 as they come.
func (f *fixture) sources() map[store.State]store.Notification {
	f.Helper()
	f.expectPushes()
	avoid := row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid })
	_, sending := f.claim(f.accept())
	_, doubt := f.inDoubt(time.Hour, avoid)
	settled := func(state store.State) store.Notification {
		_, l := f.claim(f.accept())
		return f.mustSettle(settlement(l, state, "x", func(s *store.Settlement) {
			if state == store.Waiting {
				s.Reason = store.ReasonNoConsent
			}
		}))
	}
	moved := func(state store.State) store.Notification {
		n := f.accept()
		if !f.move(store.Move{ID: n.ID, Generation: 1, State: state, Reason: store.ReasonByAdmin}) {
			f.Fatalf("move to %s", state)
		}
		return f.get(n.ID)
	}
	return map[store.State]store.Notification{
		store.Queued: f.accept(), store.Sending: sending.Notification, store.Retrying: settled(store.Retrying),
		store.InDoubt: doubt, store.Waiting: settled(store.Waiting), store.Sent: settled(store.Sent),
		store.Dead: settled(store.Dead), store.Expired: moved(store.Expired), store.Cancelled: moved(store.Cancelled),
	}
}

// allowedMoves says which moves each state allows; replay is its own.
var allowedMoves = map[store.State][]store.State{
	store.Queued:   {store.Retrying, store.Waiting, store.Dead, store.Expired, store.Cancelled},
	store.Retrying: {store.Retrying, store.Waiting, store.Dead, store.Expired, store.Cancelled},
	store.Waiting:  {store.Cancelled},
}

// testMove tries every move from every state.
func testMove(f *fixture) {
	for _, to := range []store.State{store.Retrying, store.Waiting, store.Dead, store.Expired, store.Cancelled} {
		m := store.Move{State: to, Reason: store.ReasonErased, Delay: time.Hour}
		if to == store.Dead {
			m.Class = store.ClassRefused
		}
		for from, n := range f.sources() {
			allowed := false
			for _, s := range allowedMoves[from] {
				allowed = allowed || s == to
			}
			m.ID, m.Generation = n.ID, n.Generation
			got, after := f.move(m), f.get(n.ID)
			if got != allowed {
				f.Errorf("%s -> %s: applied %v, want %v", from, to, got, allowed)
			}
			if !allowed {
				f.diff(string(from+" -> "+to+": row"), n, after)
				continue
			}
			if after.State != to || after.Reason != store.ReasonErased || after.Generation != n.Generation {
				f.Errorf("%s -> %s: %+v", from, to, after)
			}
			if to == store.Retrying {
				f.wantIn("due_at", after.DueAt, time.Now(), time.Hour)
				if after.HandoverAt.Sub(after.DueAt) != store.HandoverGrace {
					f.Errorf("handover_at %s after due_at", after.HandoverAt.Sub(after.DueAt))
				}
			}
			f.invariants(after)
		}
	}
}

func testMoveRefused(f *fixture) {
	n := f.accept(row(func(n *store.Notification) { n.Generation = 2 }))
	for _, generation := range []int{1, 3} {
		if f.move(store.Move{ID: n.ID, Generation: generation, State: store.Cancelled, Reason: store.ReasonByAdmin}) {
			f.Errorf("a move of generation %d applied to 2", generation)
		}
	}
	if f.move(store.Move{ID: uuid.New(), Generation: 1, State: store.Cancelled, Reason: store.ReasonByAdmin}) {
		f.Error("a move of a stranger applied")
	}
	f.diff("row", n, f.get(n.ID))
}

func testMoveRepeated(f *fixture) {
	for name, m := range map[string]store.Move{
		"dead":     {State: store.Dead, Class: store.ClassRefused, Reason: store.ReasonUnbound},
		"expired":  {State: store.Expired, Reason: store.ReasonTooOld},
		"waiting":  {State: store.Waiting, Reason: store.ReasonUnbound},
		"retrying": {State: store.Retrying, Delay: time.Hour, Requeue: true},
	} {
		m.ID, m.Generation = f.accept().ID, 1
		if !f.move(m) {
			f.Fatalf("%s: refused", name)
		}
		before := f.get(m.ID)
		if !f.move(m) {
			f.Errorf("%s: repeat refused", name)
		}
		f.diff(name+": row", before, f.get(m.ID))
		if m.Requeue && (before.Generation != 2 || !before.HandoverAt.Equal(before.DueAt)) {
			f.Errorf("%s: generation %d, handover_at %s after due_at", name, before.Generation, before.HandoverAt.Sub(before.DueAt))
		}
	}
}

func testReplay(f *fixture) {
	replay := func(n store.Notification) store.Move {
		return store.Move{ID: n.ID, Generation: n.Generation, State: store.Queued, Replay: true, MaxAge: 2 * time.Hour}
	}
	for from, n := range f.sources() {
		before := f.get(n.ID)
		if got := f.move(replay(n)); got != (from == store.Dead) {
			f.Errorf("replay of %s: %v", from, got)
		} else if !got {
			f.diff("row", before, f.get(n.ID))
		}
	}

	// A second doubt ends as dead; the replay starts its counts anew, not seq.
	l, _ := f.inDoubt(0)
	f.resolveOne(1, 0)
	_, l = f.claim(f.get(l.ID))
	f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Spend, s.Unsure = true, true }))
	f.resolveOne(0, 1)
	dead := f.get(l.ID)
	if dead.Doubts != 2 || dead.Spent != 1 || dead.Unsure != 1 {
		f.Fatalf("before the replay: %+v", dead)
	}
	m := replay(dead)
	for _, try := range []string{"first", "repeated"} {
		if !f.move(m) {
			f.Errorf("%s replay refused", try)
		}
		n := f.get(l.ID)
		if n.State != store.Queued || n.Generation != dead.Generation+1 || n.Seq != 2 ||
			n.Doubts != 0 || n.Spent != 0 || n.Unsure != 0 || n.Class != "" || n.Reason != "" {
			f.Errorf("%s: %+v", try, n)
		}
		f.wantIn("expires_at", n.ExpiresAt, time.Now(), 2*time.Hour)
		f.wantIn("due_at", n.DueAt, time.Now(), 0)
		f.wantIn("handover_at", n.HandoverAt, time.Now(), 0)
		f.invariants(n)
	}
	n := f.get(l.ID)
	if _, l := f.claim(n); l.Seq != 3 {
		f.Errorf("seq after the replay is %d, want 3", l.Seq)
	}
	if !f.move(m) {
		f.Error("the repeat of a replay that is being sent is refused")
	}
}
