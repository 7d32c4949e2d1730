package app_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// restoreStatement is what the page of operations says to run after a restore.
func restoreStatement(t *testing.T) string {
	t.Helper()
	_, rest, found := strings.Cut(deployFile(t, "deploy/docs/operations.md"), "<<'SQL'\n")
	statement, _, closed := strings.Cut(rest, "\nSQL\n")
	if !found || !closed {
		t.Fatal("the page has no statement")
	}
	return statement
}

// A database that is restored to an earlier time does not know what was sent
// since. With the statement of the page nothing is sent a second time that may
// have been sent, what cannot have been is sent, and tasks without a row are kept
// as dead letters.
func TestDatabaseSetBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRig(t, simulator.Config{}, nil)
	conn, err := pgx.Connect(ctx, r.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	run := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := conn.Exec(ctx, s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}

	_, _, stop := r.start()
	before := r.send(3, nil)
	r.awaitStates(map[store.State]int{store.Sent: 3})
	r.awaitDrained()
	stop()
	open := r.send(4, nil)
	later := r.send(2, func(_ int, n *producer.Notification) { n.Delay = time.Hour })
	run(`CREATE TABLE backup AS TABLE notifications`, `CREATE TABLE backup_attempts AS TABLE attempts`)

	_, _, stop = r.start()
	r.awaitStates(map[store.State]int{store.Sent: 7, store.Queued: 2})
	r.awaitDrained()
	stop()
	lost := r.send(2, nil)
	sends := r.sim.State().Sends
	run(`TRUNCATE notifications CASCADE`, `INSERT INTO notifications SELECT * FROM backup`,
		`INSERT INTO attempts SELECT * FROM backup_attempts`, `DROP TABLE backup, backup_attempts`)

	run(restoreStatement(t))
	r.start()
	// The lost ones come back with ids of their own.
	r.awaitStates(map[store.State]int{store.Sent: 3, store.Dead: 4 + len(lost), store.Queued: 2})
	r.awaitDrained()
	if got := r.sim.State().Sends; got != sends {
		t.Errorf("%d calls after the restore, want 0", got-sends)
	}
	counts, err := r.store.Count(ctx, store.Filter{States: []store.State{store.Dead}}, store.GroupReason)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(counts), fmt.Sprint([]store.Counted{{Value: "in_doubt", Count: 4}, {Value: "row_missing", Count: 2}}); got != want {
		t.Errorf("the dead are %s, want %s", got, want)
	}

	// What a person decides afterwards works as with every doubt.
	n, _ := r.get(open[0].id)
	if _, err := r.store.Replay(ctx, []store.Replay{{ID: n.ID, Generation: n.Generation, MaxAge: time.Hour, Force: true, Actor: "test"}}); err != nil {
		t.Fatal(err)
	}
	r.awaitStates(map[store.State]int{store.Sent: 4, store.Dead: 5, store.Queued: 2})
	for _, s := range append(before, later...) {
		if n, _ := r.get(s.id); n.State == store.Dead {
			t.Errorf("%s is dead: %s", n.ID, n.Reason)
		}
	}
}

// While the schema is migrated on, processes of the version before stay in
// service; none starts any more. A schema that is older takes them out.
func TestSchemaOfAnotherVersion(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0"})
	w, _, _ := r.start()
	conn, err := pgx.Connect(ctx, r.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	cfg, err := config.Load(config.Sources{LookupEnv: func(k string) (string, bool) { v, ok := r.env[k]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		statement string
		status    int
	}{
		{`INSERT INTO wxnotify_schema (version_id, is_applied) VALUES (9999, true)`, 200},
		{`DELETE FROM wxnotify_schema WHERE version_id IN (9999, (SELECT max(version_id) FROM wxnotify_schema WHERE version_id < 9999))`, 503},
	} {
		if _, err := conn.Exec(ctx, tc.statement); err != nil {
			t.Fatal(err)
		}
		if status, got := askReady(t, w.AdminAddr); status != tc.status {
			t.Errorf("after %s: %d %+v, want %d", tc.statement, status, got, tc.status)
		}
		_, err := app.StartWorker(ctx, app.Parts{Config: cfg, Store: r.store, Redis: cfg.Redis.NewClient, Logger: zap.NewNop()})
		if !errors.Is(err, store.ErrSchema) {
			t.Errorf("after %s: a start gives %v, want ErrSchema", tc.statement, err)
		}
	}
}
