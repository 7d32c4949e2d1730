package storetest

import (
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func (f *fixture) cancel(id uuid.UUID) store.Acted {
	f.Helper()
	return must[[]store.Acted](f)(f.Cancel(f.ctx, []store.Cancel{{ID: id, Actor: "billing"}}))[0]
}

// testCancel: what is not being sent can be cancelled, once, and nothing else.
func testCancel(f *fixture) {
	queued := f.accept()
	_, l := f.claim(f.accept())
	retrying := f.mustSettle(settlement(l, store.Retrying, "busy"))
	waiting := f.accept()
	if !f.move(store.Move{ID: waiting.ID, Generation: waiting.Generation, State: store.Waiting, Reason: store.ReasonNoConsent}) {
		f.Fatal("move to waiting refused")
	}
	for _, n := range []store.Notification{queued, retrying, waiting} {
		before := f.get(n.ID)
		want := store.Acted{ID: n.ID, Result: store.ActDone, State: store.Cancelled, Generation: before.Generation, Reason: before.Reason, Errcode: before.Errcode}
		f.diff("answer", want, f.cancel(n.ID))
		got := f.get(n.ID)
		if got.State != store.Cancelled || got.Reason != store.ReasonByAdmin || got.FinishedAt.IsZero() || !got.HandoverAt.IsZero() {
			f.Errorf("row of one that was %s: %+v", before.State, got)
		}
		f.invariants(got)
		f.diff("actions", []store.Action{{
			Actor: "billing", Verb: store.VerbCancel, Generation: before.Generation, Reason: before.Reason, Errcode: before.Errcode,
		}}, f.actions(n.ID))
		if again := f.cancel(n.ID); again.Result != store.ActBefore || again.State != store.Cancelled {
			f.Errorf("cancelled twice: %+v", again)
		}
		if actions := f.actions(n.ID); len(actions) != 1 {
			f.Errorf("%d actions of one cancel", len(actions))
		}
	}

	_, sending := f.claim(f.accept())
	dead := f.dead()
	doubt, _ := f.inDoubt(0)
	for _, id := range []uuid.UUID{sending.ID, dead.ID, doubt.ID} {
		before := f.get(id)
		if got := f.cancel(id); got.Result != store.ActWrongState || got.State != before.State {
			f.Errorf("cancel of one that is %s: %+v", before.State, got)
		}
		f.diff("row", before, f.get(id))
	}
	if got := f.cancel(uuid.New()); got.Result != store.ActNotFound {
		f.Errorf("cancel of nothing: %+v", got)
	}
}
