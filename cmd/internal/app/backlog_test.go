package app_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// The backlog of these tests, and what sends it: 20 calls in flight of 100 ms
// are 200 a second, so the backlog lasts for more than four minutes.
const (
	backlogRows  = 50000
	backlogSlots = 20
	backlogCall  = 100 * time.Millisecond
)

// overtaken is how many low ones may be answered between the acceptance of a
// critical one and its answer: two seconds' worth at the full rate. It is a
// count, so a slow machine, where fewer are, does not fail for being slow.
const overtaken = int64(2 * time.Second / backlogCall * backlogSlots)

// backlog accepts low notices that are due and not on the queue: copies of one,
// each for an openid of its own.
func (r *rig) backlog(n int) {
	r.t.Helper()
	r.send(1, func(_ int, n *producer.Notification) { n.Priority = store.Low })
	conn, err := pgx.Connect(r.t.Context(), r.databaseURL)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	_, err = conn.Exec(r.t.Context(), fmt.Sprintf(`
		DO $$ DECLARE cols text; BEGIN
			SELECT string_agg(quote_ident(column_name), ', ') INTO cols FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = 'notifications' AND column_name NOT IN ('id', 'open_id', 'handover_at');
			EXECUTE format('INSERT INTO notifications (id, open_id, handover_at, %%1$s)
				SELECT gen_random_uuid(), ''o'' || left(md5(i::text), 27), now(), %%1$s FROM notifications, generate_series(2, %d) AS i', cols);
		END $$`, n))
	if err != nil {
		r.t.Fatal(err)
	}
}

// With 50,000 low notices waiting, on the queue and on their way to it, and
// every slot busy with them, a critical one is the next to go: one that its
// producer puts on the queue, and one that Relay does.
func TestBacklogDoesNotDelayWhatIsCritical(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{Latency: backlogCall}, map[string]string{"CONCURRENCY": fmt.Sprint(backlogSlots), "LOG_LEVEL": "warn"})
	r.backlog(backlogRows)
	relayed, err := producer.New(producer.Config{Store: r.store, DefaultApp: r.app.AppID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = relayed.Close() })
	r.start()
	r.awaitSim("every slot is busy with the backlog", func(s simulator.State) bool {
		return s.InFlight == backlogSlots && s.Accepted >= 2*backlogSlots
	})
	for _, tt := range []struct {
		name   string
		client *producer.Client
	}{{"put on the queue at once", r.client}, {"put on the queue by Relay", relayed}} {
		for range 3 {
			n := notice()
			n.Priority = store.Critical
			before, start := r.sim.State().Sends, time.Now()
			if _, err := tt.client.Send(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			call, overtook := r.awaitCall(before, n.OpenID)
			t.Logf("%s: at WeChat after %v, %d low ones were answered meanwhile", tt.name, call.At.Sub(start).Round(time.Millisecond), overtook)
			if overtook > overtaken {
				t.Errorf("%s: %d low ones were answered before, more than %d", tt.name, overtook, overtaken)
			}
		}
	}
	left, err := r.store.CountByState(t.Context(), "")
	if err != nil || left[store.Queued]+left[store.Retrying] < backlogRows*3/4 {
		t.Errorf("%v, %v: there was no backlog any more", left, err)
	}
}

// awaitCall waits for the call for an openid that was answered after the first
// so many, and counts those between.
func (r *rig) awaitCall(since int64, openID string) (call simulator.Call, between int64) {
	r.t.Helper()
	found := false
	eventually(r.t, "the call is made", func() error {
		for _, c := range r.sim.Calls(since) {
			if c.OpenID == openID {
				call, between, found = c, c.N-since-1, true
			}
		}
		if !found {
			return fmt.Errorf("%d other calls", len(r.sim.Calls(since)))
		}
		return nil
	})
	return call, between
}
