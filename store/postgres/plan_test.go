package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// TestReadsWhatItNeeds counts the rows that claims, settlements and moves read
// while statistics are of a time when nothing was queued. Rows must be found by
// id: a plan that goes by state reads every queued row for every item.
func TestReadsWhatItNeeds(t *testing.T) {
	t.Parallel()
	const queued, rounds, size = 2000, 12, 60
	first, address := postgrestest.Open(t)
	ids := make([]uuid.UUID, 0, queued)
	fill := func() {
		batch := make([]store.Acceptance, queued)
		for i := range batch {
			batch[i] = acceptance()
			ids = append(ids, batch[i].Notification.ID)
		}
		if _, err := first.Insert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	fill()
	admin(t, address, `UPDATE notifications SET state = 'sent', handover_at = NULL, finished_at = now()`)
	admin(t, address, `ANALYZE notifications`)
	ids = ids[:0]
	fill()

	s, name := named(t, address)
	before := tuplesRead(t, address)
	for range rounds {
		var claims, rest store.Batch
		for _, id := range ids[:size] {
			claims.Claims = append(claims.Claims, store.Claim{ID: id, Generation: 1, Owner: uuid.New(), Lease: time.Minute})
		}
		r, err := s.Commit(t.Context(), claims)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range r.Claims {
			if i%2 == 0 {
				rest.Settlements = append(rest.Settlements, store.Settlement{
					ID: c.Look.ID, Seq: c.Look.Seq, State: store.Sent, Attempt: store.Attempt{At: c.Look.Now, Outcome: "ok"},
				})
			} else {
				rest.Releases = append(rest.Releases, store.Release{ID: c.Look.ID, Seq: c.Look.Seq, Owner: c.Look.Owner})
			}
		}
		for _, id := range ids[size : 2*size] {
			rest.Moves = append(rest.Moves, store.Move{ID: id, Generation: 1, State: store.Cancelled, Reason: store.ReasonByAdmin})
		}
		if _, err := s.Commit(t.Context(), rest); err != nil {
			t.Fatal(err)
		}
		ids = ids[2*size:]
	}
	s.Close() // a backend that ends reports its statistics
	waitFor(t, address, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`, name)

	// Each of the items is read a handful of times: lock, change, answer.
	const items = rounds * 3 * size
	if read := tuplesRead(t, address) - before; read > 30*items {
		t.Errorf("%d items read %d rows", items, read)
	}
}

// tuplesRead is how many rows of notifications were read so far.
func tuplesRead(t *testing.T, address string) int {
	t.Helper()
	return tuplesReadOf(t, address, "notifications")
}

// tuplesReadOf is how many rows of a table were read so far.
func tuplesReadOf(t *testing.T, address, table string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	err = conn.QueryRow(t.Context(), `
		SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
		FROM pg_stat_user_tables
		WHERE relname = $1 AND schemaname = current_schema()`, table).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
