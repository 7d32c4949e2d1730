package postgres_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// TestRetentionPassesOver: what somebody holds is left for later, without
// waiting for it.
func TestRetentionPassesOver(t *testing.T) {
	t.Parallel()
	s, address := postgrestest.Open(t)
	batch := make([]store.Acceptance, 3)
	for i := range batch {
		batch[i] = acceptance()
		batch[i].Notification.State, batch[i].Notification.Reason = store.Cancelled, store.ReasonByAdmin
	}
	dead := acceptance()
	dead.Notification.State, dead.Notification.Class, dead.Notification.Reason = store.Dead, store.ClassFault, store.ReasonPage
	if _, err := s.Insert(t.Context(), append(batch, dead)); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	held := func(id uuid.UUID) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `BEGIN`); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), `SELECT FROM notifications WHERE id = $1 FOR NO KEY UPDATE`, [16]byte(id)); err != nil {
			t.Fatal(err)
		}
	}
	free := func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, n int, err error, want int) {
		t.Helper()
		if n != want || err != nil {
			t.Errorf("%s: %d, %v, want %d", what, n, err, want)
		}
	}
	held(batch[0].Notification.ID)
	n, err := s.BlankData(t.Context(), 0, 10)
	check("blanked while one is held", n, err, 2)
	n, err = s.DeleteFinished(t.Context(), 0, 10)
	check("deleted while one is held", n, err, 2)
	free()
	n, err = s.BlankData(t.Context(), 0, 10)
	check("blanked afterwards", n, err, 1)
	held(batch[0].Notification.ID)
	n, err = s.DeleteFinished(t.Context(), 0, 10)
	check("deleted while it is held again", n, err, 0)
	free()
	held(dead.Notification.ID)
	n, err = s.DeleteDead(t.Context(), 0, 10)
	check("dead letters deleted while it is held", n, err, 0)
	free()
	n, err = s.DeleteDead(t.Context(), 0, 10)
	check("dead letters deleted", n, err, 1)
}

// TestRetentionReadsWhatItNeeds: a page of retention reads that page, however
// many rows are not old yet.
func TestRetentionReadsWhatItNeeds(t *testing.T) {
	t.Parallel()
	const rows, pages, size = 2000, 10, 10
	first, address := postgrestest.Open(t)
	batch := make([]store.Acceptance, rows)
	for i := range batch {
		batch[i] = acceptance()
		batch[i].Notification.State, batch[i].Notification.Reason = store.Cancelled, store.ReasonByAdmin
		if i%2 == 0 {
			batch[i].Notification.State, batch[i].Notification.Class = store.Dead, store.ClassFault
		}
	}
	if _, err := first.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	admin(t, address, `ANALYZE notifications`)
	s, name := named(t, address)
	before := tuplesRead(t, address)
	for range pages {
		if n, err := s.BlankData(t.Context(), 0, size); n != size || err != nil {
			t.Fatalf("blanked %d, %v", n, err)
		}
		if n, err := s.DeleteFinished(t.Context(), 0, size); n != size || err != nil {
			t.Fatalf("deleted %d, %v", n, err)
		}
		if n, err := s.DeleteDead(t.Context(), 0, size); n != size || err != nil {
			t.Fatalf("deleted %d dead letters, %v", n, err)
		}
	}
	s.Close() // a backend that ends reports its statistics
	waitFor(t, address, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1)`, name)
	const touched = pages * size * 3
	if read := tuplesRead(t, address) - before; read > 10*touched {
		t.Errorf("%d rows changed, %d read", touched, read)
	}
}
