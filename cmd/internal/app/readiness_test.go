package app_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// awaitDegraded waits until /readyz has a status and names a part, "" for none,
// with an app or without, and what is in its reason.
func awaitDegraded(t *testing.T, address string, status int, part, app, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d, degraded %q", status, part), func() error {
		got, ready := askReady(t, address)
		if got != status || ready.Ready != (status == 200) || (ready.Reason == "") != ready.Ready {
			return fmt.Errorf("%d %+v", got, ready)
		}
		for _, d := range ready.Degraded {
			if d.Part == part && d.App == app && strings.Contains(d.Reason, reason) && !d.Since.IsZero() && time.Since(d.Since) < time.Hour {
				return nil
			}
		}
		if part == "" && len(ready.Degraded) == 0 {
			return nil
		}
		return fmt.Errorf("%+v", ready)
	})
}

// TestReadyWithoutWhatOthersKeep: a bad secret and a Redis that is away are told,
// and make no process unready; it is another matter when the schema is older
// than the program, or the process is about to end.
func TestReadyWithoutWhatOthersKeep(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{
		"ADMIN_ADDR": "127.0.0.1:0", "WECHAT_SECRET": "0000000000000000000000000000dead", "SEND_TIMEOUT": "20s",
	})
	w, _, _ := r.start()
	awaitDegraded(t, w.AdminAddr, 200, "", "", "")
	r.send(1, nil)
	awaitDegraded(t, w.AdminAddr, 200, "app", r.app.AppID, "40125")

	r.redis.stop()
	awaitDegraded(t, w.AdminAddr, 200, "redis", "", "does not answer")
	if p := ask(t, "GET", w.AdminAddr+"/healthz", ""); p.status != 200 {
		t.Errorf("/healthz without Redis: %d", p.status)
	}
	r.redis.start(t)

	conn, err := pgx.Connect(t.Context(), r.databaseURL)
	if err != nil {
		t.Fatal("the database's address cannot be used") // the error would quote the password
	}
	defer conn.Close(context.Background())
	_, want, err := r.store.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	migrated := func(statement string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), statement, want); err != nil {
			t.Fatal(err)
		}
	}
	// What newer programs added leaves what this one uses.
	migrated(`INSERT INTO wxnotify_schema (version_id, is_applied) VALUES ($1::bigint + 1, true)`)
	awaitDegraded(t, w.AdminAddr, 200, "app", r.app.AppID, "40125")
	migrated(`DELETE FROM wxnotify_schema WHERE version_id >= $1`)
	awaitDegraded(t, w.AdminAddr, 503, "app", r.app.AppID, "40125")
	migrated(`INSERT INTO wxnotify_schema (version_id, is_applied) VALUES ($1, true)`)
	awaitDegraded(t, w.AdminAddr, 200, "app", r.app.AppID, "40125")
}

// TestUnreadyWhileItEnds: a process that finishes its calls says so, and lives.
func TestUnreadyWhileItEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "SEND_TIMEOUT": "30s"})
	w, _, stop := r.start()
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, Count: 1})
	held := r.send(1, nil)
	r.awaitSim("a call is in flight", func(s simulator.State) bool { return s.Hanging == 1 })
	ended := make(chan struct{})
	go func() { defer close(ended); stop() }()
	awaitDegraded(t, w.AdminAddr, 503, "", "", "")
	if _, got := askReady(t, w.AdminAddr); got.Reason != "the process is about to end" {
		t.Errorf("got %+v", got)
	}
	if p := ask(t, "GET", w.AdminAddr+"/healthz", ""); p.status != 200 {
		t.Errorf("/healthz at the end: %d", p.status)
	}
	r.sim.Release()
	<-ended
	r.wantOnce(held)
}
