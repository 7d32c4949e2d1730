package producer

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// nightIn are quiet hours from 22:00 to 08:00 in Shanghai, and a moment within
// those that come next.
func nightIn(t *testing.T) (q store.QuietHours, night, morning time.Time) {
	t.Helper()
	q, err := store.NewQuietHours("22:00", "08:00", "", false)
	if err != nil {
		t.Fatal(err)
	}
	shanghai := time.FixedZone("", 8*60*60)
	y, m, d := time.Now().In(shanghai).Date()
	night = time.Date(y, m, d+1, 23, 30, 0, 0, shanghai)
	return q, night, time.Date(y, m, d+2, 8, 0, 0, 0, shanghai)
}

// What is due within the quiet hours of its template becomes a row that is due
// at their end, and Relay leaves it alone until then.
func TestSendWithinQuietHours(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		hours, night, morning := nightIn(t)
		c := newClient(t, Config{Redis: rdb, Store: st, App: app, Producer: "oa", now: func() time.Time { return night }})
		now, later, after, other := notice(), notice(), notice(), notice()
		now.Ref = "r"
		later.SendAt = morning.Add(-time.Second)
		after.SendAt = morning
		for _, n := range []*Notification{&now, &later, &after} {
			n.QuietHours = hours
		}
		for what, tt := range map[string]struct {
			n   Notification
			due time.Time
			why store.Reason
		}{
			"now":              {now, morning, store.ReasonQuietHours},
			"later":            {later, morning, store.ReasonQuietHours},
			"at their end":     {after, morning, store.ReasonNone},
			"of no such hours": {other, time.Time{}, store.ReasonNone},
		} {
			row, _, err := st.Get(t.Context(), send(t.Context(), t, c, tt.n).ID)
			if err != nil {
				t.Fatal(err)
			}
			due := tt.due
			if due.IsZero() {
				due = row.CreatedAt
			}
			if row.State != store.Queued || row.Reason != tt.why || !row.DueAt.Equal(due) || row.HandoverAt.Before(due) {
				t.Errorf("%s: %s, reason %q, due %v, handed over %v; want %q, %v", what, row.State, row.Reason, row.DueAt, row.HandoverAt, tt.why, due)
			}
			if want := row.DueAt.Add(DefaultMaxAge); !row.ExpiresAt.Equal(want) {
				t.Errorf("%s: expires %v, want %v", what, row.ExpiresAt, want)
			}
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != 1 {
			t.Errorf("%d tasks on the queue, want that of no quiet hours", got)
		}
		if list, err := st.Handovers(t.Context(), 10); err != nil || len(list) != 0 {
			t.Errorf("Relay would put %d on the queue, %v", len(list), err)
		}
		// The same again, after the night.
		day := newClient(t, Config{Redis: rdb, Store: st, App: app, Producer: "oa", now: func() time.Time { return morning }})
		if again := send(t.Context(), t, day, now); !again.Duplicate {
			t.Errorf("repeated: %+v", again)
		}
	})
}

// Without a store the task itself waits for the end.
func TestRawWithinQuietHours(t *testing.T) {
	t.Parallel()
	rdb, app := sharedRedis(t), newApp()
	hours, night, morning := nightIn(t)
	c := newClient(t, Config{Redis: rdb, App: app, now: func() time.Time { return night }})
	n := notice()
	n.QuietHours = hours
	send(t.Context(), t, c, n)
	tasks, err := inspector(rdb).ListScheduledTasks(app + ":default")
	if err != nil || len(tasks) != 1 || !tasks[0].NextProcessAt.Equal(morning) {
		t.Errorf("scheduled %+v, %v; want one for %v", tasks, err, morning)
	}
}
