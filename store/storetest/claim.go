package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func testClaim(f *fixture) {
	f.bind(store.Binding{App: testApp, UserID: "u1", OpenID: "o1"})
	n := f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u1" }))
	c, l := f.claim(n)
	if l.State != store.Sending || l.Seq != 1 || l.Owner != c.Owner || l.Address != "o1" || l.Generation != n.Generation {
		f.Errorf("claimed: %+v", l)
	}
	if left := l.LeaseLeft(); left != lease {
		f.Errorf("lease left %s, want all of it: %s", left, lease)
	}
	f.invariants(l.Notification)

	retrying := f.mustSettle(settlement(l, store.Retrying, "busy"))
	if _, l := f.claim(retrying); l.Seq != 2 {
		f.Errorf("seq of the second claim is %d, want 2", l.Seq)
	}
}

func testClaimRefused(f *fixture) {
	final := acceptance(row(func(n *store.Notification) { n.State, n.Reason = store.Cancelled, store.ReasonOnlyTo }))
	must[store.Look](f)(f.Adopt(f.ctx, final))
	doubt, _ := f.inDoubt(time.Hour)
	_, sending := f.claim(f.accept())
	waiting := f.accept()
	if !f.move(store.Move{ID: waiting.ID, Generation: 1, State: store.Waiting, Reason: store.ReasonNoConsent}) {
		f.Fatal("move to waiting")
	}

	for name, test := range map[string]struct {
		id         uuid.UUID
		generation int
	}{
		"final":            {final.Notification.ID, 1},
		"in doubt":         {doubt.ID, 1},
		"waiting":          {waiting.ID, 1},
		"being sent":       {sending.ID, 1},
		"older generation": {f.accept(row(func(n *store.Notification) { n.Generation = 3 })).ID, 2},
		"newer generation": {f.accept().ID, 2},
		"not due":          {f.accept(func(a *store.Acceptance) { a.Delay = time.Hour }).ID, 1},
		"overdue":          {f.accept(row(func(n *store.Notification) { n.ExpiresAt = time.Now().Add(-time.Second) })).ID, 1},
		"unbound":          {f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", "nobody" })).ID, 1},
		"bound elsewhere":  {f.boundElsewhere().ID, 1},
	} {
		before := f.get(test.id)
		got := f.tryClaim(store.Claim{ID: test.id, Generation: test.generation, Owner: uuid.New(), Lease: lease})
		if got.OK || !got.Found {
			f.Errorf("%s: OK %v, Found %v; want a refusal with its look", name, got.OK, got.Found)
		}
		f.diff(name+": row", before, f.get(test.id))
		f.diff(name+": look", before, got.Look.Notification)
	}
	if got := f.tryClaim(store.Claim{ID: uuid.New(), Generation: 1, Owner: uuid.New(), Lease: lease}); got.OK || got.Found {
		f.Errorf("a stranger: %+v, want not found", got)
	}
}

// boundElsewhere is a notification to a user who is bound in another app.
func (f *fixture) boundElsewhere() store.Notification {
	f.Helper()
	f.bind(store.Binding{App: "wx2", UserID: "elsewhere", OpenID: "o2"})
	return f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", "elsewhere" }))
}

func testClaimRepeated(f *fixture) {
	f.bind(store.Binding{App: testApp, UserID: "u1", OpenID: "o1"})
	n := f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", "u1" }))
	c, first := f.claim(n)
	f.bind(store.Binding{App: testApp, UserID: "u1", OpenID: "o2"})

	again := f.tryClaim(c)
	if !again.OK || again.Look.Address != "o1" {
		f.Errorf("repeated: OK %v to %q, want the same claim to the same openid", again.OK, again.Look.Address)
	}
	f.diff("row of the repeated claim", first.Notification, again.Look.Notification)

	other := c
	other.Owner = uuid.New()
	if got := f.tryClaim(other); got.OK || got.Look.Owner != c.Owner {
		f.Errorf("another owner: %+v, want a refusal that shows the owner", got)
	}
}

// testClaimRace lets many claim each of a few rows at once.
func testClaimRace(f *fixture) {
	claimRace(f, f)
}

// claimRace has claimers of both stores after each of a few notifications:
// exactly one may win each.
func claimRace(a, b *fixture) {
	const rows, claimers = 5, 8
	notifications := make([]store.Notification, rows)
	for i := range notifications {
		notifications[i] = a.accept()
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		wins = map[uuid.UUID]int{}
		errs []error
	)
	for i := range claimers {
		f := a
		if i%2 == 1 {
			f = b
		}
		wg.Go(func() {
			var batch store.Batch
			for j := range notifications { // each starts elsewhere: orders that would deadlock
				batch.Claims = append(batch.Claims, newClaim(notifications[(i+j)%rows]))
			}
			r, err := f.Commit(f.ctx, batch)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			for _, c := range r.Claims {
				if c.OK {
					wins[c.Look.ID]++
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		a.Fatal(err)
	}
	for _, n := range notifications {
		if wins[n.ID] != 1 {
			a.Errorf("notification was claimed %d times, want 1", wins[n.ID])
		}
		if got := a.get(n.ID); got.Seq != 1 {
			a.Errorf("seq %d after one claim", got.Seq)
		}
	}
}

func testBatchChecked(f *fixture) {
	n := f.accept()
	c := newClaim(n)
	for name, b := range map[string]store.Batch{
		"two items for one row": {Claims: []store.Claim{c}, Moves: []store.Move{{ID: n.ID, Generation: 1, State: store.Cancelled, Reason: store.ReasonByAdmin}}},
		"no owner":              {Claims: []store.Claim{{ID: n.ID, Generation: 1, Lease: lease}}},
		"no lease":              {Claims: []store.Claim{{ID: n.ID, Generation: 1, Owner: uuid.New()}}},
		"settled as queued":     {Settlements: []store.Settlement{{ID: n.ID, Seq: 1, State: store.Queued, Attempt: store.Attempt{Outcome: "ok"}}}},
		"no outcome":            {Settlements: []store.Settlement{{ID: n.ID, Seq: 1, State: store.Sent}}},
		"moved to sent":         {Moves: []store.Move{{ID: n.ID, Generation: 1, State: store.Sent}}},
		"endless replay":        {Moves: []store.Move{{ID: n.ID, Generation: 1, State: store.Queued, Replay: true}}},
	} {
		if _, err := f.Commit(f.ctx, b); err == nil || errors.Is(err, store.ErrUnavailable) {
			f.Errorf("%s: %v, want an ordinary error", name, err)
		}
	}
	f.diff("row", n, f.get(n.ID))
	if r := f.commit(store.Batch{}); len(r.Claims)+len(r.Settlements)+len(r.Releases)+len(r.Moves) != 0 {
		f.Errorf("an empty batch is answered %+v", r)
	}
}

// testBatchOfEverything has items that apply and items that do not of every
// kind in one batch, and repeats it: the answers are the same.
func testBatchOfEverything(f *fixture) {
	_, toSettle := f.claim(f.accept())
	releaseClaim, toRelease := f.claim(f.accept())
	toClaim, toMove, strange := f.accept(), f.accept(), uuid.New()
	b := store.Batch{
		Claims: []store.Claim{{ID: strange, Generation: 1, Owner: uuid.New(), Lease: lease}, newClaim(toClaim)},
		Settlements: []store.Settlement{
			{ID: uuid.New(), Seq: 1, State: store.Sent, Attempt: store.Attempt{Outcome: "ok"}},
			settlement(toSettle, store.Sent, "ok"),
		},
		Releases: []store.Release{{ID: uuid.New(), Seq: 1, Owner: uuid.New()}, {ID: toRelease.ID, Seq: 1, Owner: releaseClaim.Owner}},
		Moves: []store.Move{
			{ID: uuid.New(), Generation: 1, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonPage},
			{ID: toMove.ID, Generation: 1, State: store.Dead, Class: store.ClassRefused, Reason: store.ReasonUnbound},
		},
	}
	for _, try := range []string{"first", "repeated"} {
		r := f.commit(b)
		if r.Claims[0].Found || !r.Claims[1].OK {
			f.Errorf("%s: claims %+v", try, r.Claims)
		}
		f.diff(try+": settlements", []store.Settled{{}, {Applied: true, State: store.Sent, Generation: 1}}, r.Settlements)
		f.diff(try+": releases", []bool{false, true}, r.Releases)
		f.diff(try+": moves", []bool{false, true}, r.Moves)
	}
	for _, n := range []uuid.UUID{toClaim.ID, toSettle.ID, toRelease.ID, toMove.ID} {
		f.invariants(f.get(n))
	}
}
