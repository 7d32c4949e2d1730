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

// The quiet hours of the settings hold in a worker from a reload on: what comes
// within them is put off and off the queue, and sent once they are over.
func TestQuietHoursOfTheSettings(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"WXNOTIFY_CONFIG": settingsPath})
	p, _, _ := r.start()
	list := r.send(1, nil)
	r.awaitStates(map[store.State]int{store.Sent: 1})

	now := time.Now().UTC()
	end := now.Add(2 * time.Hour).Truncate(time.Minute)
	r.reload(p, fmt.Sprintf("templates:\n  - template_id: %s\n    quiet_hours: {from: %s, to: %s, zone: UTC}\n",
		simulator.SeedReport, now.Add(-time.Hour).Format("15:04"), end.Format("15:04")))
	off := r.send(2, func(i int, n *producer.Notification) { n.Priority = store.Priorities[i] })
	r.send(1, func(_ int, n *producer.Notification) {
		n.TemplateID = simulator.SeedApproval
		n.Data = map[string]string{"phrase1": "通过", "thing2": "差旅报销", "name3": "张三", "time4": "2026年10月1日 15:01"}
	})
	r.awaitStates(map[store.State]int{store.Sent: 2, store.Retrying: 2})
	for _, s := range off {
		if n, _ := r.get(s.id); n.Reason != store.ReasonQuietHours || n.DueAt.Before(end) || n.Seq != 0 {
			t.Errorf("%s, reason %q, due at %v, claimed %d times; want %v and no claim", n.State, n.Reason, n.DueAt, n.Seq, end)
		}
	}
	r.awaitDrained()

	// Morning.
	r.reload(p, "templates: []\n")
	conn, err := pgx.Connect(t.Context(), r.databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	const over = `UPDATE notifications SET due_at = now(), handover_at = now() WHERE reason = 'quiet_hours'`
	if tag, err := conn.Exec(t.Context(), over); err != nil || tag.RowsAffected() != 2 {
		t.Fatalf("%v, %v", tag, err)
	}
	r.awaitStates(map[store.State]int{store.Sent: 4})
	r.wantOnce(append(list, off...))
}
