package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// patience is how long a test waits for something that must happen.
const patience = 20 * time.Second

// lease is long enough never to be over within a test.
const lease = time.Minute

const (
	testApp      = "wx0000000000000001"
	testTemplate = "template-1"
)

// fixture is a store under test with the shorthands that the tests share.
type fixture struct {
	*testing.T
	Store
	ctx context.Context //nolint:containedctx // the test's own
}

func newFixture(t *testing.T, s Store) *fixture {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	t.Cleanup(cancel)
	return &fixture{T: t, Store: s, ctx: ctx}
}

// acceptance is one that can be sent at once: to an openid, due now.
func acceptance(edits ...func(*store.Acceptance)) store.Acceptance {
	a := store.Acceptance{
		Notification: store.Notification{
			ID: uuid.Must(uuid.NewV7()), App: testApp, TemplateID: testTemplate, OpenID: "openid-1",
			Data: map[string]string{"thing1": "text"}, State: store.Queued, Priority: store.Default,
			Duplicates: store.DuplicatesAllow, Receipt: store.ReceiptNone, Generation: 1,
		},
		MaxAge: time.Hour,
	}
	for _, edit := range edits {
		edit(&a)
	}
	return a
}

// row edits the notification of an acceptance.
func row(edit func(*store.Notification)) func(*store.Acceptance) {
	return func(a *store.Acceptance) { edit(&a.Notification) }
}

// accept inserts one notification and returns it as it is stored.
func (f *fixture) accept(edits ...func(*store.Acceptance)) store.Notification {
	f.Helper()
	a := acceptance(edits...)
	inserted, err := f.Insert(f.ctx, []store.Acceptance{a})
	if err != nil || inserted[0].Err != nil {
		f.Fatalf("insert: %v, %+v", err, inserted)
	}
	return f.get(a.Notification.ID)
}

func (f *fixture) get(id uuid.UUID) store.Notification {
	f.Helper()
	n, _, err := f.Get(f.ctx, id)
	if err != nil {
		f.Fatalf("get: %v", err)
	}
	return n
}

func (f *fixture) attempts(id uuid.UUID) []store.Attempt {
	f.Helper()
	_, attempts, err := f.Get(f.ctx, id)
	if err != nil {
		f.Fatalf("get: %v", err)
	}
	return attempts
}

func (f *fixture) look(id uuid.UUID) store.Look {
	f.Helper()
	looks, err := f.Look(f.ctx, []uuid.UUID{id})
	if err != nil || len(looks) != 1 {
		f.Fatalf("look: %d rows, %v", len(looks), err)
	}
	return looks[0]
}

func (f *fixture) commit(b store.Batch) store.Results {
	f.Helper()
	r, err := f.Commit(f.ctx, b)
	if err != nil {
		f.Fatalf("commit: %v", err)
	}
	return r
}

// newClaim is a claim on the notification as it is.
func newClaim(n store.Notification) store.Claim {
	return store.Claim{ID: n.ID, Generation: n.Generation, Owner: uuid.New(), Lease: lease}
}

// tryClaim commits one claim.
func (f *fixture) tryClaim(c store.Claim) store.Claimed {
	f.Helper()
	return f.commit(store.Batch{Claims: []store.Claim{c}}).Claims[0]
}

// claim claims the notification, which must work, and returns the claim with
// the row as it is then.
func (f *fixture) claim(n store.Notification) (store.Claim, store.Look) {
	f.Helper()
	c := newClaim(n)
	claimed := f.tryClaim(c)
	if !claimed.OK {
		f.Fatalf("claim refused: %s, due in %s", claimed.Look.State, claimed.Look.DueAt.Sub(claimed.Look.Now))
	}
	return c, claimed.Look
}

// settlement is one of the attempt that l stands for.
func settlement(l store.Look, state store.State, outcome string, edits ...func(*store.Settlement)) store.Settlement {
	s := store.Settlement{
		ID: l.ID, Seq: l.Seq, State: state,
		Attempt: store.Attempt{At: l.Now, Latency: 87 * time.Millisecond, Outcome: outcome},
	}
	if state == store.Dead {
		s.Class, s.Reason = store.ClassFault, store.ReasonRejected
	}
	for _, edit := range edits {
		edit(&s)
	}
	return s
}

func (f *fixture) settle(s store.Settlement) store.Settled {
	f.Helper()
	return f.commit(store.Batch{Settlements: []store.Settlement{s}}).Settlements[0]
}

// mustSettle commits a settlement that must apply.
func (f *fixture) mustSettle(s store.Settlement) store.Notification {
	f.Helper()
	if got := f.settle(s); !got.Applied || got.State != s.State {
		f.Fatalf("settlement to %s: %+v", s.State, got)
	}
	return f.get(s.ID)
}

func (f *fixture) release(r store.Release) bool {
	f.Helper()
	return f.commit(store.Batch{Releases: []store.Release{r}}).Releases[0]
}

func (f *fixture) move(m store.Move) bool {
	f.Helper()
	return f.commit(store.Batch{Moves: []store.Move{m}}).Moves[0]
}

func (f *fixture) bind(bindings ...store.Binding) store.Bound {
	f.Helper()
	bound, err := f.Bind(f.ctx, bindings)
	if err != nil {
		f.Fatalf("bind: %v", err)
	}
	return bound
}

// inDoubt returns a notification whose first attempt is in doubt, due after
// delay.
func (f *fixture) inDoubt(delay time.Duration, edits ...func(*store.Acceptance)) (store.Look, store.Notification) {
	f.Helper()
	_, l := f.claim(f.accept(edits...))
	n := f.mustSettle(settlement(l, store.InDoubt, store.OutcomeInDoubt, func(s *store.Settlement) { s.Delay = delay }))
	return l, n
}

// expectPushes makes a doubt wait as long as it was told to: without pushes it is
// due after seconds, which a slow machine may need for the rest of a test.
func (f *fixture) expectPushes() {
	f.Helper()
	if err := f.Pushed(f.ctx, testApp); err != nil {
		f.Fatal(err)
	}
}

// eventually calls done every few milliseconds until it says so.
func (f *fixture) eventually(what string, done func() bool) {
	f.Helper()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			f.Fatalf("waited in vain: %s", what)
		}
	}
}

// wantIn checks that a time lies d after base, give or take the time a slow
// machine needs.
func (f *fixture) wantIn(what string, got, base time.Time, d time.Duration) {
	f.Helper()
	const slack = 15 * time.Second
	if diff := got.Sub(base) - d; diff < -slack || diff > slack {
		f.Errorf("%s is %s after the start, want %s", what, got.Sub(base), d)
	}
}

// diff fails the test when got is not want.
func (f *fixture) diff(what string, want, got any, opts ...cmp.Option) {
	f.Helper()
	if d := cmp.Diff(want, got, opts...); d != "" {
		f.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// must fails the test on an error; it takes the two results of a call.
func must[T any](f *fixture) func(T, error) T {
	f.Helper()
	return func(v T, err error) T {
		f.Helper()
		if err != nil {
			f.Fatal(err)
		}
		return v
	}
}

// invariants checks what must hold of a row in any state.
func (f *fixture) invariants(n store.Notification) {
	f.Helper()
	sending := n.State == store.Sending
	if sending != (n.Owner != uuid.Nil) || sending != !n.LeaseUntil.IsZero() {
		f.Errorf("%s with owner %v and lease %v", n.State, n.Owner != uuid.Nil, n.LeaseUntil)
	}
	if n.State.Final() != !n.FinishedAt.IsZero() {
		f.Errorf("%s with finished_at %v", n.State, n.FinishedAt)
	}
	if open := n.State == store.Queued || n.State == store.Retrying; !open && !n.HandoverAt.IsZero() {
		f.Errorf("%s with handover_at", n.State)
	}
	if (n.State == store.Dead) != (n.Class != store.ClassNone) {
		f.Errorf("%s with class %q", n.State, n.Class)
	}
}
