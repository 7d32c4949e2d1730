package postgres_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
	// Insert; lock and claim; hold, lock, settle and receipts.
	if seen < 6 {
		t.Errorf("%d statements were seen in every round, want at least 6", seen)
	}
}

// TestInsertTxReadsNothing: on a connection of the caller's, whose plans are from
// when the table was small, accepting reads none of what was accepted since, and
// a repeat reads its own row.
func TestInsertTxReadsNothing(t *testing.T) {
	t.Parallel()
	const others, rounds = 3000, 8
	s, address := postgrestest.Open(t)
	name := "caller " + uuid.NewString()
	conn, err := pgx.Connect(t.Context(), address+"&application_name="+url.QueryEscape(name))
	if err != nil {
		t.Fatal(err)
	}
	accept := func(a store.Acceptance) {
		t.Helper()
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r, err := s.InsertTx(t.Context(), tx, []store.Acceptance{a}); err != nil || r[0].ID != a.Notification.ID || r[0].State != store.Queued {
			t.Fatalf("accept: %+v, %v", r, err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a := acceptance()
	for range rounds {
		accept(a) // all but the first are repeats
		accept(acceptance())
	}
	var batch []store.Acceptance
	for range others {
		batch = append(batch, acceptance())
	}
	if _, err := s.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		accept(a)
		accept(acceptance())
	}
	if err := conn.Close(t.Context()); err != nil { // a backend that ends reports its statistics
		t.Fatal(err)
	}
	s.Close()
	waitFor(t, address, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`, name)
	if read := tuplesRead(t, address); read > others/2 {
		t.Errorf("%d rows were read", read)
	}
}
