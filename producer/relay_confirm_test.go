package producer

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// unconfirmed accepts n rows as a client does that puts them on the queue itself,
// a minute ago, and puts the first of them there.
func unconfirmed(t *testing.T, st testStore, r *Relay, app string, n, put int) []store.Notification {
	t.Helper()
	c := newClient(t, Config{Store: st, App: app})
	batch := make([]store.Acceptance, n)
	for i := range batch {
		notice := notice()
		notice.App, notice.UserID, notice.OpenID = app, "", "o-1001"
		a, err := c.acceptance(notice, time.Now(), true)
		if err != nil {
			t.Fatal(err)
		}
		a.Notification.DueAt, a.Notification.ExpiresAt = time.Now().Add(-2*store.HandoverGrace), time.Now().Add(time.Hour)
		batch[i] = a
	}
	if _, err := st.Insert(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	rows := make([]store.Notification, n)
	ds := make([]delivery, put)
	for i, a := range batch {
		rows[i] = a.Notification
		if i >= put {
			continue
		}
		var err error
		if ds[i], err = deliver(a.Notification, "", PayloadID, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range r.queue.put(t.Context(), ds) {
		if o.err != nil {
			t.Fatal(o.err)
		}
	}
	return rows
}

// leading is a relay that is not started and finds Redis marked.
func leading(t *testing.T, st testStore) (r *Relay, app string) {
	t.Helper()
	rdb, app := sharedRedis(t), newApp()
	begun := startRelay(t, RelayConfig{Store: st, Redis: rdb})
	marked(t, st, rdb, 1)
	stopRelay(t, begun)
	r, err := NewRelay(RelayConfig{Store: st, Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.follow()
		r.queue.wait()
	})
	r.confirmFor = 0
	return r, app
}

// confirmed is how many of the rows are known to be on the queue.
func confirmed(t *testing.T, st testStore, rows []store.Notification) (n int) {
	t.Helper()
	for _, row := range rows {
		got, _, err := st.Get(t.Context(), row.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.HandoverAt.IsZero() {
			n++
		}
	}
	return n
}

// Before a backlog whose tasks are on the queue, what is left to the relay does
// not wait until it has looked at them all, and the look at them takes its time.
func TestRelayConfirmsABacklogSlowly(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		r, app := leading(t, st)
		rows := unconfirmed(t, st, r, app, 2*handoverPage, 2*handoverPage)
		left := acceptRows(t, st, app, 1, 0)
		start := time.Now()
		if _, err := r.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		allQueued(t, st, r.config.Redis, app, left, 1)
		if n := confirmed(t, st, rows); n != handoverPage {
			t.Errorf("%d rows looked at, want a page of %d", n, handoverPage)
		}
		if rest := r.confirm.due.Sub(start); rest < confirmPause {
			t.Errorf("the next look is due after %v, want a pause of %v at least", rest, confirmPause)
		}
		for n := 0; n < len(rows); n = confirmed(t, st, rows) { // a turn each, at the pace of this test
			r.confirm.due = time.Time{}
			if _, err := r.turn(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// What died between the COMMIT and the queue does not wait for that pace.
func TestRelayHandsLostRowsOverAtOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		r, app := leading(t, st)
		rows := unconfirmed(t, st, r, app, 2*handoverPage+1, 0)
		ids := make([]uuid.UUID, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		if _, err := r.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := confirmed(t, st, rows); n != len(rows) {
			t.Errorf("%d of %d rows handed over in one turn", n, len(rows))
		}
		allQueued(t, st, r.config.Redis, app, ids, 1)
	})
}
