package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// newReplay is a replay of the notification as it is.
func newReplay(n store.Notification, edits ...func(*store.Replay)) store.Replay {
	r := store.Replay{ID: n.ID, Generation: n.Generation, MaxAge: 2 * time.Hour, Actor: "ada"}
	for _, edit := range edits {
		edit(&r)
	}
	return r
}

func forced(r *store.Replay) { r.Force = true }

func (f *fixture) replay(r store.Replay) store.Acted {
	f.Helper()
	return must[[]store.Acted](f)(f.Replay(f.ctx, []store.Replay{r}))[0]
}

func (f *fixture) discard(n store.Notification) store.Acted {
	f.Helper()
	return must[[]store.Acted](f)(f.Discard(f.ctx, []store.Discard{{ID: n.ID, Generation: n.Generation, Actor: "ada"}}))[0]
}

func (f *fixture) settleDoubt(n store.Notification, as store.State) store.Acted {
	f.Helper()
	return must[[]store.Acted](f)(f.SettleDoubts(f.ctx, []store.DoubtSettlement{{ID: n.ID, Generation: n.Generation, As: as, Actor: "ada"}}))[0]
}

// actions are those of a notification without their times, which are checked.
func (f *fixture) actions(id uuid.UUID) []store.Action {
	f.Helper()
	actions := must[[]store.Action](f)(f.Actions(f.ctx, id))
	for i := range actions {
		f.wantIn("at of an action", actions[i].At, time.Now(), 0)
		actions[i].At = time.Time{}
	}
	return actions
}

// dead returns a notification that WeChat rejected.
func (f *fixture) dead(edits ...func(*store.Acceptance)) store.Notification {
	f.Helper()
	_, l := f.claim(f.accept(edits...))
	return f.mustSettle(settlement(l, store.Dead, "rejected", func(s *store.Settlement) {
		s.Attempt.Errcode, s.Field, s.Spend, s.Unsure = 47003, "thing1", true, true
	}))
}

// deadInDoubt returns one that died because nobody knows.
func (f *fixture) deadInDoubt() store.Notification {
	f.Helper()
	l, _ := f.inDoubt(0, row(func(n *store.Notification) { n.Duplicates = store.DuplicatesAvoid }))
	f.resolveOne(0, 1)
	return f.get(l.ID)
}

func testReplayDead(f *fixture) {
	n := f.dead()
	want := store.Acted{ID: n.ID, Result: store.ActDone, State: store.Queued, Generation: 2, Reason: store.ReasonRejected, Errcode: 47003}
	f.diff("answer", want, f.replay(newReplay(n, func(r *store.Replay) { r.Detail = "again" })))
	got := f.get(n.ID)
	if got.State != store.Queued || got.Generation != 2 || got.Seq != 1 || got.Spent != 0 || got.Unsure != 0 ||
		got.Class != "" || got.Reason != "" || got.Field != "" || !got.DataBlankedAt.IsZero() {
		f.Errorf("row: %+v", got)
	}
	f.diff("content", n.Data, got.Data)
	f.wantIn("expires_at", got.ExpiresAt, time.Now(), 2*time.Hour)
	f.wantIn("handover_at", got.HandoverAt, time.Now(), 0)
	f.invariants(got)

	want.Result, want.Reason = store.ActBefore, ""
	f.diff("repeated", want, f.replay(newReplay(n)))
	f.diff("row after the repeat", got, f.get(n.ID))
	f.diff("actions", []store.Action{{
		Actor: "ada", Verb: store.VerbReplay, Generation: 1, Reason: store.ReasonRejected, Errcode: 47003, Detail: "again",
	}}, f.actions(n.ID))
	if _, l := f.claim(got); l.Seq != 2 {
		f.Errorf("seq after the replay is %d, want 2", l.Seq)
	}

	// What asynqmon's "run" does is on record too.
	n = f.dead()
	f.move(store.Move{ID: n.ID, Generation: 1, State: store.Queued, Replay: true, MaxAge: time.Hour})
	f.diff("actions of a move", []store.Action{{
		Actor: store.ActorAsynqmon, Verb: store.VerbReplay, Generation: 1, Reason: store.ReasonRejected, Errcode: 47003,
	}}, f.actions(n.ID))
}

// testReplayPriority: a replay keeps the priority or gives another.
func testReplayPriority(f *fixture) {
	for given, want := range map[store.Priority]store.Priority{"": store.Critical, store.Low: store.Low} {
		n := f.dead(row(func(n *store.Notification) { n.Priority = store.Critical }))
		f.replay(newReplay(n, func(r *store.Replay) { r.Priority = given }))
		got := f.get(n.ID)
		if got.State != store.Queued || got.Priority != want {
			f.Errorf("replayed with priority %q: %s, priority %s, want %s", given, got.State, got.Priority, want)
		}
		f.diff("content", n.Data, got.Data)
	}
}

func testReplayGuards(f *fixture) {
	for from, n := range f.sources() {
		want := store.ActWrongState
		if from == store.Dead {
			want = store.ActDone
		}
		if got := f.replay(newReplay(n)); got.Result != want {
			f.Errorf("replay of %s: %+v, want %s", from, got, want)
		}
		if from != store.Dead {
			f.diff("row of "+string(from), n, f.get(n.ID))
		}
	}
	n := f.dead()
	if got := f.replay(newReplay(n, func(r *store.Replay) { r.Generation = 2 })); got.Result != store.ActWrongState {
		f.Errorf("replay of a later generation: %+v", got)
	}
	strange := store.Replay{ID: uuid.New(), Generation: 1, MaxAge: time.Hour, Actor: "ada"}
	f.diff("stranger", store.Acted{ID: strange.ID, Result: store.ActNotFound}, f.replay(strange))

	doubt := f.deadInDoubt()
	if got := f.replay(newReplay(doubt)); got.Result != store.ActInDoubt {
		f.Errorf("replay of a doubt without force: %+v", got)
	}
	f.diff("row of the doubt", doubt, f.get(doubt.ID))
	if got := f.replay(newReplay(doubt, forced)); got.Result != store.ActDone {
		f.Errorf("replay of a doubt with force: %+v", got)
	}
	if got := f.get(doubt.ID); got.Doubts != 0 || got.State != store.Queued {
		f.Errorf("forced: %+v", got)
	}
}

// testReplayContent replays what cannot be sent as it is.
func testReplayContent(f *fixture) {
	empty := acceptance(row(func(n *store.Notification) {
		n.TemplateID, n.OpenID, n.Data, n.Payload = "", "", nil, []byte("{")
		n.State, n.Class, n.Reason = store.Dead, store.ClassFault, store.ReasonMalformed
	}))
	l := must[store.Look](f)(f.Adopt(f.ctx, empty))
	if got := f.replay(newReplay(l.Notification)); got.Result != store.ActNoContent {
		f.Errorf("nothing to send: %+v", got)
	}
	if f.move(store.Move{ID: l.ID, Generation: 1, State: store.Queued, Replay: true, MaxAge: time.Hour}) {
		f.Error("nothing to send: the move applied")
	}
	c := store.Content{TemplateID: "t2", Page: "p?q=1", UserID: "u1", Data: map[string]string{"thing1": "<2>"}}
	with := func(r *store.Replay) { r.Content = &c }
	if got := f.replay(newReplay(l.Notification, with)); got.Result != store.ActDone {
		f.Fatalf("with a content: %+v", got)
	}
	got := f.get(l.ID)
	f.diff("content", c, store.Content{TemplateID: got.TemplateID, Page: got.Page, UserID: got.UserID, OpenID: got.OpenID, Data: got.Data})
	if got.Payload != nil {
		f.Error("the payload that could not be read is kept")
	}

	// One that has everything but one thing.
	for name, edit := range map[string]func(*store.Notification){
		"template":  func(n *store.Notification) { n.TemplateID = "" },
		"addressee": func(n *store.Notification) { n.OpenID = "" },
		"data":      func(n *store.Notification) { n.Data = nil },
	} {
		a := acceptance(row(edit), row(func(n *store.Notification) {
			n.State, n.Class, n.Reason = store.Dead, store.ClassFault, store.ReasonRowMissing
		}))
		l := must[store.Look](f)(f.Adopt(f.ctx, a))
		if got := f.replay(newReplay(l.Notification)); got.Result != store.ActNoContent {
			f.Errorf("without %s: %+v", name, got)
		}
	}

	for name, edit := range map[string]func(*store.Replay){
		"no template":  func(r *store.Replay) { r.Content = &store.Content{UserID: "u", Data: c.Data} },
		"no addressee": func(r *store.Replay) { r.Content = &store.Content{TemplateID: "t", Data: c.Data} },
		"two": func(r *store.Replay) {
			r.Content = &store.Content{TemplateID: "t", UserID: "u", OpenID: "o", Data: c.Data}
		},
		"no data":       func(r *store.Replay) { r.Content = &store.Content{TemplateID: "t", UserID: "u"} },
		"NUL":           func(r *store.Replay) { r.Content = &store.Content{TemplateID: "t", UserID: "u\x00", Data: c.Data} },
		"no max age":    func(r *store.Replay) { r.MaxAge = 0 },
		"nobody":        func(r *store.Replay) { r.Actor = "" },
		"invalid actor": func(r *store.Replay) { r.Actor = "\xff" },
	} {
		if _, err := f.Replay(f.ctx, []store.Replay{newReplay(f.dead(), edit)}); err == nil {
			f.Errorf("%s: accepted", name)
		}
	}
	n := f.dead()
	if _, err := f.Replay(f.ctx, []store.Replay{newReplay(n), newReplay(n)}); err == nil {
		f.Error("one notification twice: accepted")
	}
}

func testDiscard(f *fixture) {
	letters := func(d store.Discarded) []uuid.UUID {
		filter := store.DeadLetters()
		filter.Discarded = d
		return idsOf(must[[]store.Notification](f)(f.List(f.ctx, filter)))
	}
	kept, n := f.dead(), f.dead()
	want := store.Acted{ID: n.ID, Result: store.ActDone, State: store.Dead, Generation: 1, Reason: store.ReasonRejected, Errcode: 47003}
	f.diff("answer", want, f.discard(n))
	got := f.get(n.ID)
	f.wantIn("discarded_at", got.DiscardedAt, time.Now(), 0)
	want.Result = store.ActBefore
	f.diff("repeated", want, f.discard(n))
	f.diff("row after the repeat", got, f.get(n.ID))
	f.diff("actions", []store.Action{{Actor: "ada", Verb: store.VerbDiscard, Generation: 1, Reason: store.ReasonRejected, Errcode: 47003}}, f.actions(n.ID))
	f.diff("dead letters", []uuid.UUID{kept.ID}, letters(store.NotDiscarded))
	f.diff("discarded", []uuid.UUID{n.ID}, letters(store.OnlyDiscarded))
	f.diff("all", []uuid.UUID{n.ID, kept.ID}, letters(store.DiscardedOrNot))

	// A replay brings it back into view, should it die again.
	if got := f.replay(newReplay(got)); got.Result != store.ActDone {
		f.Fatalf("replay of a discarded one: %+v", got)
	}
	if got := f.discard(n); got.Result != store.ActWrongState {
		f.Errorf("discard of what was replayed: %+v", got)
	}
	_, l := f.claim(f.get(n.ID))
	f.mustSettle(settlement(l, store.Dead, "rejected"))
	if got := f.discard(n); got.Result != store.ActWrongState {
		f.Errorf("discard of an earlier death: %+v", got)
	}
	f.diff("dead again", []uuid.UUID{n.ID, kept.ID}, letters(store.NotDiscarded))

	for from, n := range f.sources() {
		if got := f.discard(n); (got.Result == store.ActDone) != (from == store.Dead) {
			f.Errorf("discard of %s: %+v", from, got)
		}
	}
	// A late true answer still tells.
	doubt := f.deadInDoubt()
	f.discard(doubt)
	if got := f.settle(store.Settlement{ID: doubt.ID, Seq: doubt.Seq, State: store.Sent, Attempt: store.Attempt{Outcome: "ok"}}); !got.Applied {
		f.Errorf("late answer to a discarded doubt: %+v", got)
	}
}

func testSettleDoubts(f *fixture) {
	_, n := f.inDoubt(time.Hour)
	want := store.Acted{ID: n.ID, Result: store.ActDone, State: store.Dead, Generation: 1}
	f.diff("in doubt as dead", want, f.settleDoubt(n, store.Dead))
	got := f.get(n.ID)
	if got.State != store.Dead || got.Class != store.ClassFault || got.Reason != store.ReasonInDoubt || got.Doubts != 1 {
		f.Errorf("row: %+v", got)
	}
	f.invariants(got)
	want.Result, want.Reason = store.ActBefore, store.ReasonInDoubt
	f.diff("repeated", want, f.settleDoubt(n, store.Dead))

	f.diff("dead in doubt as sent", store.Acted{ID: n.ID, Result: store.ActDone, State: store.Sent, Generation: 1, Reason: store.ReasonInDoubt},
		f.settleDoubt(n, store.Sent))
	got = f.get(n.ID)
	if got.State != store.Sent || !got.Assumed || got.Class != "" || got.Reason != store.ReasonByAdmin {
		f.Errorf("row: %+v", got)
	}
	f.invariants(got)
	if a := f.attempts(n.ID); len(a) != 1 || a[0].Outcome != store.OutcomeInDoubt {
		f.Errorf("attempts: %+v", a)
	}
	f.diff("actions", []store.Action{
		{Actor: "ada", Verb: store.VerbSettleDead, Generation: 1},
		{Actor: "ada", Verb: store.VerbSettleSent, Generation: 1, Reason: store.ReasonInDoubt},
	}, f.actions(n.ID))
	if got := f.settleDoubt(n, store.Dead); got.Result != store.ActWrongState {
		f.Errorf("sent as dead: %+v", got)
	}

	_, n = f.inDoubt(time.Hour)
	if got := f.settleDoubt(n, store.Sent); got.Result != store.ActDone {
		f.Errorf("in doubt as sent: %+v", got)
	}
	for from, n := range f.sources() { // its dead one was rejected
		want := store.ActWrongState
		if from == store.InDoubt {
			want = store.ActDone
		}
		if got := f.settleDoubt(n, store.Sent); got.Result != want {
			f.Errorf("%s as sent: %+v, want %s", from, got, want)
		}
	}
	// The doubt that was seen is over; the one of now is another.
	l, old := f.inDoubt(0)
	f.resolveOne(1, 0)
	_, l = f.claim(f.get(l.ID))
	f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Delay = time.Hour }))
	if got := f.settleDoubt(old, store.Sent); got.Result != store.ActWrongState {
		f.Errorf("an earlier doubt: %+v", got)
	}
	if _, err := f.SettleDoubts(f.ctx, []store.DoubtSettlement{{ID: old.ID, Generation: 2, As: store.Queued, Actor: "ada"}}); err == nil {
		f.Error("settled as queued")
	}
}

func testCount(f *fixture) {
	for i := range 5 {
		f.dead(row(func(n *store.Notification) { n.TemplateID = fmt.Sprint("t", i%2) }))
	}
	f.deadInDoubt()
	f.discard(f.dead())
	f.accept()
	for name, test := range map[string]struct {
		filter store.Filter
		by     store.Group
		want   []store.Counted
	}{
		"all":              {store.Filter{}, store.GroupNone, []store.Counted{{Count: 8}}},
		"letters":          {store.DeadLetters(), store.GroupNone, []store.Counted{{Count: 6}}},
		"by reason":        {store.DeadLetters(), store.GroupReason, []store.Counted{{Value: "rejected", Count: 5}, {Value: "in_doubt", Count: 1}}},
		"by errcode":       {store.DeadLetters(), store.GroupErrcode, []store.Counted{{Value: "47003", Count: 5}, {Value: "0", Count: 1}}},
		"by template":      {store.DeadLetters(), store.GroupTemplate, []store.Counted{{Value: "t0", Count: 3}, {Value: "t1", Count: 2}, {Value: testTemplate, Count: 1}}},
		"by app":           {store.DeadLetters(), store.GroupApp, []store.Counted{{Value: testApp, Count: 6}}},
		"no such group":    {store.DeadLetters(), "id; DROP TABLE actions", []store.Counted{{Count: 6}}},
		"with a filter":    {store.Filter{TemplateID: "t1"}, store.GroupReason, []store.Counted{{Value: "rejected", Count: 2}}},
		"without its page": {store.Filter{Limit: 1, Before: store.Cursor{CreatedAt: time.Unix(1, 0)}}, store.GroupNone, []store.Counted{{Count: 8}}},
		"nothing":          {store.Filter{App: "other"}, store.GroupReason, nil},
	} {
		f.diff(name, test.want, must[[]store.Counted](f)(f.Count(f.ctx, test.filter, test.by)), cmpopts.EquateEmpty())
	}
}

// replayRace lets two replay the same letters at once, in opposite orders: each
// letter is replayed once.
func replayRace(a, b *fixture) {
	const rows = 40
	replays := make([]store.Replay, rows)
	for i := range replays {
		replays[i] = newReplay(a.dead())
	}
	var (
		mu   sync.Mutex
		done = map[uuid.UUID]int{}
	)
	both(a, b, 5, func(f *fixture, round int) error {
		batch := make([]store.Replay, rows)
		for i, r := range replays {
			if f == b {
				i = rows - 1 - i
			}
			batch[i] = r
		}
		acted, err := f.Replay(f.ctx, batch)
		mu.Lock()
		defer mu.Unlock()
		for _, got := range acted {
			switch got.Result {
			case store.ActDone:
				done[got.ID]++
			case store.ActBefore:
			case store.ActNotFound, store.ActWrongState, store.ActInDoubt, store.ActNoContent:
				return fmt.Errorf("round %d: %+v", round, got)
			}
		}
		return err
	})
	for _, r := range replays {
		if done[r.ID] != 1 {
			a.Errorf("a letter was replayed %d times", done[r.ID])
		}
		if n := a.get(r.ID); n.Generation != 2 {
			a.Errorf("generation %d, want 2", n.Generation)
		}
	}
}

func testReplayRace(f *fixture) { replayRace(f, f) }

func testPairReplayRace(a, b *fixture) { replayRace(a, b) }
