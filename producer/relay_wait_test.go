package producer

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wxnotify/wxnotify/store"
)

// waitStore is what these tests use of both stores beside testStore.
type waitStore interface {
	Bind(ctx context.Context, bindings []store.Binding) (store.Bound, error)
	RecordConsents(ctx context.Context, events []store.ConsentEvent) ([]store.ConsentRecorded, error)
}

// parkedRow is an acceptance of a row that waits.
func parkedRow(app string, reason store.Reason, edit func(*store.Notification)) store.Acceptance {
	a := store.Acceptance{MaxAge: time.Hour, Notification: store.Notification{
		ID: uuid.Must(uuid.NewV7()), App: app, TemplateID: "TMPL-1", OpenID: "o-1001", Generation: firstGeneration,
		Data: map[string]string{"thing1": "月度报表"}, State: store.Waiting, Reason: reason, Wait: time.Hour,
	}}
	edit(&a.Notification)
	return a
}

// What a binding or a consent lets go is on the queue without anybody telling the
// relay.
func TestRelayTakesWhatIsReleased(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		startRelay(t, RelayConfig{Store: st, Redis: rdb})
		marked(t, st, rdb, 1)
		unbound := parkedRow(app, store.ReasonUnbound, func(n *store.Notification) { n.OpenID, n.UserID = "", "u-1" })
		consent := parkedRow(app, store.ReasonNoConsent, func(n *store.Notification) { n.State, n.Reason = store.Queued, "" })
		if _, err := st.Insert(t.Context(), []store.Acceptance{unbound, consent}); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Commit(t.Context(), store.Batch{Moves: []store.Move{{
			ID: consent.Notification.ID, Generation: firstGeneration, State: store.Waiting, Reason: store.ReasonNoConsent,
		}}}); err != nil {
			t.Fatal(err)
		}
		users := st.(waitStore)
		if _, err := users.Bind(t.Context(), []store.Binding{{App: app, UserID: "u-1", OpenID: "o-1"}}); err != nil {
			t.Fatal(err)
		}
		if _, err := users.RecordConsents(t.Context(), []store.ConsentEvent{{
			App: app, OpenID: "o-1001", TemplateID: "TMPL-1", Source: store.ConsentClient, Key: "1", Answer: store.ConsentAccept, Primary: true,
		}}); err != nil {
			t.Fatal(err)
		}
		allQueued(t, st, rdb, app, []uuid.UUID{unbound.Notification.ID, consent.Notification.ID}, firstGeneration+1)
	})
}

// The relay finds, page by page, what waits for a binding that is there, and
// leaves the others.
func TestRelayWakesWhatWaitsForNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		if _, err := st.(waitStore).Bind(t.Context(), []store.Binding{{App: app, UserID: "u-1", OpenID: "o-1"}}); err != nil {
			t.Fatal(err)
		}
		var batch []store.Acceptance
		for range wakePage {
			batch = append(batch, parkedRow(app, store.ReasonUnbound, func(n *store.Notification) { n.OpenID, n.UserID = "", "u-2" }))
		}
		waits := batch[0].Notification.ID
		lost := parkedRow(app, store.ReasonUnbound, func(n *store.Notification) { n.OpenID, n.UserID = "", "u-1" })
		if _, err := st.Insert(t.Context(), append(batch, lost)); err != nil {
			t.Fatal(err)
		}
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb})
		allQueued(t, st, rdb, app, []uuid.UUID{lost.Notification.ID}, firstGeneration+1)
		stopRelay(t, r)
		if n := testutil.ToFloat64(r.metrics.repaired.WithLabelValues(string(repairWoken))); n != 1 {
			t.Errorf("%v rows were woken, want 1", n)
		}
		if row, _, err := st.Get(t.Context(), waits); err != nil || row.State != store.Waiting {
			t.Errorf("what waits for its binding became %s, %v", row.State, err)
		}
	})
}
