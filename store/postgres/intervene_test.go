package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// letters inserts dead letters of two reasons.
func letters(t *testing.T, s *postgres.Store, n int) {
	t.Helper()
	for done := 0; done < n; done += 1000 {
		batch := make([]store.Acceptance, min(1000, n-done))
		for i := range batch {
			batch[i] = acceptance()
			row := &batch[i].Notification
			row.State, row.Class, row.Reason, row.Errcode = store.Dead, store.ClassFault, store.ReasonRejected, 47003
			if i%5 == 0 {
				row.Reason, row.Errcode = store.ReasonPage, 41030
			}
		}
		if _, err := s.Insert(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReplaysThatWaited has two processes wait for one dead letter, each with its
// replay under way. When it is free, the second must see what the first did.
func TestReplaysThatWaited(t *testing.T) {
	t.Parallel()
	first, address := postgrestest.Open(t)
	letters(t, first, 1)
	list, err := first.List(t.Context(), store.DeadLetters())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(t.Context(), `BEGIN; SELECT FROM notifications FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	results := make(chan string, 2)
	for range 2 {
		s, name := named(t, address)
		go func() {
			acted, err := s.Replay(t.Context(), []store.Replay{{ID: list[0].ID, Generation: 1, MaxAge: time.Hour, Actor: "ada"}})
			if err != nil {
				results <- err.Error()
				return
			}
			results <- string(acted[0].Result)
		}()
		waitFor(t, address, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock')`, name)
	}
	if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	a, b := <-results, <-results
	if a > b {
		a, b = b, a
	}
	if a != string(store.ActBefore) || b != string(store.ActDone) {
		t.Errorf("got %s and %s, want one done and one before", a, b)
	}
}

// explain returns the plan of what a store's connection would run.
func explain(t *testing.T, address, query string, args ...any) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := postgres.PlanByIndex(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF) `+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestDeadLettersAreFoundByIndex: among as many that users refused, listing and
// counting 25,000 dead letters goes by an index of theirs, and a page in its
// order.
func TestDeadLettersAreFoundByIndex(t *testing.T) {
	t.Parallel()
	const count = 25_000
	s, address := postgrestest.Open(t)
	letters(t, s, count)
	admin(t, address, `
		CREATE TEMP TABLE refused AS TABLE notifications;
		UPDATE refused SET id = gen_random_uuid(), class = 'refused', reason = 'not_subscribed';
		INSERT INTO notifications TABLE refused`)
	admin(t, address, `ANALYZE notifications`)

	for name, statement := range map[string]func() (string, []any){
		"list":  func() (string, []any) { return postgres.ListSQL(store.DeadLetters()) },
		"count": func() (string, []any) { return postgres.CountSQL(store.DeadLetters(), store.GroupReason) },
	} {
		query, args := statement()
		plan := explain(t, address, query, args...)
		// Retention has an index of the same rows; either does for a count.
		byIndex := strings.Contains(plan, "using notifications_letter_idx") || strings.Contains(plan, "using notifications_fault_")
		if !byIndex || name == "list" && strings.Contains(plan, "Sort") {
			t.Errorf("%s does not go by an index of the dead letters", name)
		}
		t.Logf("%s:\n%s", name, plan)
	}

	counts, err := s.Count(t.Context(), store.DeadLetters(), store.GroupReason)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(counts), "[{rejected 20000} {page 5000}]"; got != want {
		t.Errorf("counted %s, want %s", got, want)
	}
}

// TestInterventionsWithoutSchema: an older database is named as such.
func TestInterventionsWithoutSchema(t *testing.T) {
	t.Parallel()
	s, _ := postgrestest.Open(t)
	const without = 2 // the last version that had no actions
	for have := int64(without + 1); have > without; {
		if err := s.MigrateDown(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if have, _, err = s.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, replayErr := s.Replay(t.Context(), []store.Replay{{ID: uuid.New(), Generation: 1, MaxAge: time.Hour, Actor: "ada"}})
	_, actionsErr := s.Actions(t.Context(), uuid.New())
	for _, err := range []error{replayErr, actionsErr} {
		if !errors.Is(err, store.ErrSchema) {
			t.Errorf("%v, want ErrSchema", err)
		}
	}
}
