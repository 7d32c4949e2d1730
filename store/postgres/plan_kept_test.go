package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// TestPlansAreKept: batches of one, which is what a quiet system writes, go by
// the plans that were made for the first of them. The server makes five for just
// the arguments before it compares them with the one for any.
func TestPlansAreKept(t *testing.T) {
	t.Parallel()
	const rounds = 9
	_, address := postgrestest.Open(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: address, MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for range rounds {
		a := acceptance()
		if _, err := s.Insert(t.Context(), []store.Acceptance{a}); err != nil {
			t.Fatal(err)
		}
		claim := store.Batch{Claims: []store.Claim{{ID: a.Notification.ID, Generation: 1, Owner: uuid.New(), Lease: time.Minute}}}
		r, err := s.Commit(t.Context(), claim)
		if err != nil || !r.Claims[0].OK {
			t.Fatalf("claim: %+v, %v", r, err)
		}
		l := r.Claims[0].Look
		settled, err := s.Commit(t.Context(), store.Batch{Settlements: []store.Settlement{{
			ID: l.ID, Seq: l.Seq, State: store.Sent, Attempt: store.Attempt{At: l.Now, Outcome: "ok", MsgID: 1},
		}}})
		if err != nil || !settled.Settlements[0].Applied {
			t.Fatalf("settle: %+v, %v", settled, err)
		}
	}
	plans, err := s.Plans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, p := range plans {
		if p.Custom+p.Generic < rounds {
			continue // not of every round
		}
		seen++
		if p.Custom > 5 {
			t.Errorf("planned %d times of %d:\n%s", p.Custom, p.Custom+p.Generic, p.Statement)
		}
	}
	// Insert and its answer; lock and claim; hold, lock, settle and receipts.
	if seen < 6 {
		t.Errorf("%d statements were seen in every round, want at least 6", seen)
	}
}
