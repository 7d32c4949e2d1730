package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func testPairClaimRace(a, b *fixture) { claimRace(a, b) }

// both runs do for each store at once, rounds times, and fails on any error.
func both(a, b *fixture, rounds int, do func(f *fixture, round int) error) {
	a.Helper()
	var (
		wg   sync.WaitGroup
		errs [2]error
	)
	for i, f := range []*fixture{a, b} {
		wg.Go(func() {
			for round := range rounds {
				if err := do(f, round); err != nil {
					errs[i] = fmt.Errorf("round %d: %w", round, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		a.Fatal(err)
	}
}

// testPairNoDeadlock lets two processes change the same rows in opposite orders
// and by every kind of statement.
func testPairNoDeadlock(a, b *fixture) {
	const rows = 40
	ids := make([]uuid.UUID, rows)
	for i := range ids {
		ids[i] = a.accept().ID
	}
	reversed := slices.Clone(ids)
	slices.Reverse(reversed)
	both(a, b, 40, func(f *fixture, round int) error {
		order := ids
		if f == b {
			order = reversed
		}
		looks, err := f.Look(f.ctx, order)
		if err != nil {
			return err
		}
		var (
			batch     store.Batch
			handovers []store.Handover
		)
		for _, l := range looks {
			batch.Moves = append(batch.Moves, store.Move{ID: l.ID, Generation: l.Generation, State: store.Retrying})
			handovers = append(handovers, store.Handover{Notification: l.Notification})
		}
		if _, err = f.Commit(f.ctx, batch); err != nil {
			return err
		}
		if round%4 == 0 {
			if _, _, err = f.RequeueOpen(f.ctx, uuid.Nil, rows); err != nil {
				return err
			}
		}
		return f.HandedOver(f.ctx, handovers)
	})
}

func testPairLeader(a, b *fixture) {
	ok, release, err := a.Lead(a.ctx)
	if err != nil || !ok {
		a.Fatalf("lead: %v, %v", ok, err)
	}
	if ok, _, err := b.Lead(b.ctx); ok || err != nil {
		a.Fatalf("a second leader: %v, %v", ok, err)
	}
	release()
	if ok, _, err := b.Lead(b.ctx); !ok || err != nil {
		a.Fatalf("nobody leads after the release: %v, %v", ok, err)
	}
	b.Close() // its process ends
	a.eventually("the lead of a process that ended", func() bool {
		ok, _, err := a.Lead(a.ctx)
		if err != nil {
			a.Fatal(err)
		}
		return ok
	})
}

// testPairBindRace binds the same openids to different users at once.
func testPairBindRace(a, b *fixture) {
	const users = 50
	both(a, b, 10, func(f *fixture, round int) error {
		name := "a"
		if f == b {
			name = "b"
		}
		bindings := make([]store.Binding, users)
		for i := range bindings {
			place := i
			if f == b {
				place = users - 1 - i
			}
			bindings[i] = binding(fmt.Sprintf("user-%s-%d", name, place), fmt.Sprintf("openid-%d", place))
		}
		_, err := f.Bind(f.ctx, bindings)
		return err
	})
	for i := range users {
		owners := 0
		for _, name := range []string{"a", "b"} {
			if _, err := a.Resolve(a.ctx, testApp, fmt.Sprintf("user-%s-%d", name, i)); err == nil {
				owners++
			}
		}
		if owners != 1 {
			a.Errorf("an openid has %d users", owners)
		}
	}
}

// testPairLeases lets two relays look for leases at once: each lease is over
// once.
func testPairLeases(a, b *fixture) {
	const rows = 60
	for range rows {
		c := newClaim(a.accept())
		c.Lease = time.Millisecond
		a.tryClaim(c)
	}
	var (
		mu    sync.Mutex
		total int
	)
	both(a, b, 20, func(f *fixture, _ int) error {
		n, err := f.ExpireLeases(f.ctx, 0, 10)
		mu.Lock()
		defer mu.Unlock()
		total += n
		return err
	})
	if total != rows {
		a.Errorf("%d leases were over, want %d", total, rows)
	}
}

func testPairMigrate(a, b *fixture) {
	_, want := a.version()
	for range want {
		if err := a.MigrateDown(a.ctx); err != nil {
			a.Fatal(err)
		}
	}
	both(a, b, 1, func(f *fixture, _ int) error { return f.Migrate(f.ctx, nil) })
	if have, want := b.version(); have != want {
		a.Errorf("version %d, want %d", have, want)
	}
}

// testPairInsertRef hands in the same refs through both, in opposite orders.
func testPairInsertRef(a, b *fixture) {
	const refs = 100
	var (
		mu   sync.Mutex
		news = map[string]int{}
	)
	both(a, b, 5, func(f *fixture, round int) error {
		batch := make([]store.Acceptance, refs)
		for i := range batch {
			place := i
			if f == b {
				place = refs - 1 - i
			}
			batch[i] = acceptance(row(func(n *store.Notification) {
				n.Producer, n.Ref, n.ContentHash = "p", fmt.Sprintf("%d-%d", round, place), []byte{1}
			}))
		}
		inserted, err := f.Insert(f.ctx, batch)
		mu.Lock()
		defer mu.Unlock()
		for i, in := range inserted {
			if in.Err != nil {
				return in.Err
			}
			if !in.Duplicate {
				news[batch[i].Notification.Ref]++
			}
		}
		return err
	})
	if len(news) != 5*refs {
		a.Errorf("%d refs were inserted, want %d", len(news), 5*refs)
	}
	for _, n := range news {
		if n != 1 {
			a.Errorf("one ref was inserted %d times", n)
		}
	}
}
