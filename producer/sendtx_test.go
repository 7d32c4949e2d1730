package producer

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/task"
)

// caller is a back end with a table and a connection of its own, whose
// search_path does not lead to the store's schema.
func caller(t *testing.T) (*Client, *postgres.Store, *pgx.Conn) {
	t.Helper()
	s, _ := postgrestest.Open(t)
	conn, err := pgx.Connect(t.Context(), os.Getenv("TEST_DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "CREATE TEMP TABLE approvals (id int PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	app := newApp()
	return newClient(t, Config{Store: s, App: app, DefaultApp: app, Producer: "approval"}), s, conn
}

func begin(t *testing.T, conn *pgx.Conn) pgx.Tx {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func exists(t *testing.T, s *postgres.Store, id uuid.UUID) bool {
	t.Helper()
	_, _, err := s.Get(t.Context(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// The approval and its notice commit together or not at all.
func TestSendTxSharesTheCallersFate(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		c, s, conn := caller(t)
		tx := begin(t, conn)
		if _, err := tx.Exec(t.Context(), "INSERT INTO approvals VALUES (7)"); err != nil {
			t.Fatal(err)
		}
		accepted, err := c.SendTx(t.Context(), tx, notice(), notice())
		if err != nil {
			t.Fatal(err)
		}
		if exists(t, s, accepted[0].ID) {
			t.Error("the notice is there before the caller's COMMIT")
		}
		end := tx.Rollback
		if commit {
			end = tx.Commit
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, a := range accepted {
			if exists(t, s, a.ID) != commit {
				t.Errorf("after commit %v the notice exists: %v", commit, !commit)
			}
		}
		if !commit {
			continue
		}
		due, err := s.Handovers(t.Context(), 10)
		if err != nil || len(due) != 2 {
			t.Errorf("%d rows are due for Relay, %v; want both at once", len(due), err)
		}
	}
}

// A bad field is told before anything is written, and leaves the caller's
// transaction as it was.
func TestSendTxChecksBeforeItWrites(t *testing.T) {
	t.Parallel()
	c, s, conn := caller(t)
	tx := begin(t, conn)
	bad := notice()
	bad.TemplateID, bad.Data = "", map[string]string{"thing1": "a\x00b"}
	_, err := c.SendTx(t.Context(), tx, notice(), bad)
	if faults, ok := errors.AsType[task.FieldErrors](err); !ok || len(faults) != 2 {
		t.Errorf("err = %v, want both fields", err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO approvals VALUES (7)"); err != nil {
		t.Errorf("the caller's transaction was aborted: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountByState(t.Context(), ""); err != nil || n[store.Queued] != 0 {
		t.Errorf("states %v, %v; want no notification", n, err)
	}
}

func TestSendTxRefs(t *testing.T) {
	t.Parallel()
	c, _, conn := caller(t)
	n := notice()
	n.Ref = "approval-7"
	tx := begin(t, conn)
	first, err := c.SendTx(t.Context(), tx, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx = begin(t, conn)
	again, err := c.SendTx(t.Context(), tx, n)
	if err != nil || !again[0].Duplicate || again[0].ID != first[0].ID {
		t.Errorf("the same ref again: %+v, %v; want the first as a duplicate", again, err)
	}
	n.Data = map[string]string{"thing1": "other content"}
	if _, err := c.SendTx(t.Context(), tx, n); !errors.Is(err, store.ErrConflict) {
		t.Errorf("err = %v, want a conflict", err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO approvals VALUES (8)"); err != nil {
		t.Errorf("the conflict aborted the caller's transaction: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSendTxNeedsPostgreSQL(t *testing.T) {
	t.Parallel()
	app := newApp()
	c := newClient(t, Config{Redis: sharedRedis(t), App: app})
	if _, err := c.SendTx(t.Context(), nil, notice()); !errors.Is(err, ErrNoTx) {
		t.Errorf("err = %v, want ErrNoTx", err)
	}
}
