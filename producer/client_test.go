package producer

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

func TestSendWritesTheRowAndThenTheTask(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		c := newClient(t, Config{Redis: rdb, Store: st, App: app, Producer: "oa", MaxAge: time.Hour})
		n := notice()
		n.Ref, n.Priority, n.Lang = "order-7", store.Critical, "en_US"
		a := send(t.Context(), t, c, n)

		row, _, err := st.Get(t.Context(), a.ID)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		want := store.Notification{
			ID: a.ID, App: app, Producer: "oa", Ref: "order-7", ContentHash: row.ContentHash,
			TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, Data: n.Data, Lang: "en_US",
			Priority: store.Critical, Duplicates: store.DuplicatesAllow, NoConsent: store.NoConsentSend, ReleaseOrder: store.ReleaseNewest,
			State: store.Queued, Receipt: store.ReceiptNone, Generation: 1,
			DueAt: row.DueAt, ExpiresAt: row.DueAt.Add(time.Hour), HandoverAt: row.DueAt.Add(store.HandoverGrace),
			CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, Payload: row.Payload,
		}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Errorf("row (-want +got):\n%s", diff)
		}
		if got, want := a, (Accepted{ID: a.ID, State: store.Queued}); got != want {
			t.Errorf("Send = %+v, want %+v", got, want)
		}
		info := oneTask(t, rdb, app+":critical")
		if info.ID != task.ID(a.ID, 1) {
			t.Errorf("TaskID = %q, want %q", info.ID, task.ID(a.ID, 1))
		}
		p, err := task.Parse(info.Payload)
		if err != nil || p.ID != a.ID || p.UserID != n.UserID {
			t.Errorf("payload = %+v, %v; want the notification", p, err)
		}
	})
}

// Whoever is due later is left to Relay, so that no task waits in Redis alone.
func TestSendLaterIsLeftToRelay(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		c := newClient(t, Config{Redis: rdb, Store: st, App: app})
		delayed, at := notice(), notice()
		delayed.Delay = time.Hour
		at.SendAt = time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
		for _, n := range []Notification{delayed, at} {
			row, _, err := st.Get(t.Context(), send(t.Context(), t, c, n).ID)
			if err != nil {
				t.Fatal(err)
			}
			want := row.CreatedAt.Add(n.Delay)
			if !n.SendAt.IsZero() {
				want = n.SendAt
			}
			if !row.DueAt.Equal(want) || !row.HandoverAt.Equal(want) {
				t.Errorf("due %v, handed over %v; want both %v", row.DueAt, row.HandoverAt, want)
			}
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != 0 {
			t.Errorf("%d tasks on the queue, want none", got)
		}
	})
}

func TestSendWithTheSameRef(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		reg := prometheus.NewRegistry()
		c := newClient(t, Config{Redis: rdb, Store: st, App: app, Producer: "oa", Registerer: reg})
		n := notice()
		n.Ref = "order-7"
		first := send(t.Context(), t, c, n)
		if got, want := send(t.Context(), t, c, n), (Accepted{ID: first.ID, State: store.Queued, Duplicate: true}); got != want {
			t.Errorf("the second Send = %+v, want %+v", got, want)
		}
		other := n
		other.Page = "pages/other"
		if _, err := c.Send(t.Context(), other); !errors.Is(err, store.ErrConflict) || err.Error()[:4] != "ref:" {
			t.Errorf("Send of other content = %v, want store.ErrConflict that names ref", err)
		}
		// The same ref of another producer is another notification.
		crm := newClient(t, Config{Redis: rdb, Store: st, App: app, Producer: "crm"})
		if a := send(t.Context(), t, crm, n); a.Duplicate || a.ID == first.ID {
			t.Errorf("another producer's Send = %+v, want a new notification", a)
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != 2 {
			t.Errorf("%d tasks, want 2", got)
		}
		if got := testutil.ToFloat64(c.metrics.accepted.WithLabelValues("default")); got != 1 {
			t.Errorf("accepted = %v, want 1", got)
		}
	})
}

func TestParallelSendsWithOneRefMakeOneRow(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		c := newClient(t, Config{Redis: rdb, Store: st, App: app})
		n := notice()
		n.Ref = "order-7"
		const callers = 100
		var (
			group sync.WaitGroup
			fresh atomic.Int64
			ids   [callers]uuid.UUID
		)
		for i := range callers {
			group.Go(func() {
				a, err := c.Send(t.Context(), n)
				if err != nil {
					t.Errorf("Send: %v", err)
				}
				if !a.Duplicate {
					fresh.Add(1)
				}
				ids[i] = a.ID
			})
		}
		group.Wait()
		if fresh.Load() != 1 {
			t.Errorf("%d of %d were told to be the first, want 1", fresh.Load(), callers)
		}
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("two rows: %v and %v", ids[0], id)
			}
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != 1 {
			t.Errorf("%d tasks, want 1", got)
		}
	})
}

func TestSendBatchAnswersEachItem(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		c := newClient(t, Config{Redis: rdb, Store: st, App: app})
		// More than a page, with a bad item on each side of its end and a ref twice.
		ns := make([]Notification, insertPage+100)
		for i := range ns {
			ns[i] = notice()
		}
		ns[3].TemplateID, ns[insertPage+50].Page = "", "\x00"
		ns[5].Ref, ns[insertPage+60].Ref, ns[7].Ref = "r", "r", "r"
		ns[7].Page = "pages/other"
		results, err := c.SendBatch(t.Context(), ns)
		if err != nil {
			t.Fatalf("SendBatch: %v", err)
		}
		ids := make(map[uuid.UUID]bool)
		for i, r := range results {
			switch i {
			case 3, insertPage + 50:
				if _, ok := errors.AsType[task.FieldErrors](r.Err); !ok {
					t.Errorf("item %d: %v, want task.FieldErrors", i, r.Err)
				}
			case 7:
				if !errors.Is(r.Err, store.ErrConflict) {
					t.Errorf("item %d: %v, want store.ErrConflict", i, r.Err)
				}
			case insertPage + 60:
				if r.Err != nil || !r.Duplicate || r.ID != results[5].ID {
					t.Errorf("item %d = %+v, want a duplicate of item 5", i, r)
				}
			default:
				if r.Err != nil || r.Duplicate {
					t.Errorf("item %d = %+v, want it accepted", i, r)
				}
				ids[r.ID] = true
			}
		}
		tasks := taskIDs(t, rdb, app+":default")
		if len(ids) != len(ns)-4 || len(tasks) != len(ids) {
			t.Errorf("%d ids and %d tasks, want %d each", len(ids), len(tasks), len(ns)-4)
		}
		for id := range ids {
			if !tasks[task.ID(id, 1)] {
				t.Fatalf("notification %s has no task", id)
			}
		}
	})
}

func TestAStoreOnlyClientRings(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		var rings atomic.Int64
		c := newClient(t, Config{Store: st, App: newApp(), Wake: func() { rings.Add(1) }})
		row, _, err := st.Get(t.Context(), send(t.Context(), t, c, notice()).ID)
		if err != nil {
			t.Fatal(err)
		}
		if !row.HandoverAt.Equal(row.DueAt) {
			t.Errorf("handed over at %v, want when due at %v", row.HandoverAt, row.DueAt)
		}
		later := notice()
		later.Delay = time.Hour
		send(t.Context(), t, c, later)
		if rings.Load() != 1 {
			t.Errorf("%d rings, want 1: for the one that is due", rings.Load())
		}
	})
}

// A Redis that is away delays what is due and fails nothing; the caller is told,
// whether this call found out or one before it.
func TestSendWithoutRedisSaysSo(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		gone := dial(t, &redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
		c := newClient(t, Config{Redis: gone, Store: st, App: newApp()})
		for range 2 {
			if a := send(t.Context(), t, c, notice()); a.ID == uuid.Nil || !errors.Is(a.QueueErr, ErrQueueAway) {
				t.Errorf("Send = %+v, want it accepted with ErrQueueAway", a)
			}
		}
		later := notice()
		later.Delay = time.Hour
		if a := send(t.Context(), t, c, later); a.QueueErr != nil {
			t.Errorf("due later: got %v", a.QueueErr)
		}
		rowsOnly := newClient(t, Config{Store: st, App: newApp()})
		if a := send(t.Context(), t, rowsOnly, notice()); a.QueueErr != nil {
			t.Errorf("without Redis on purpose: got %v", a.QueueErr)
		}
	})
}

func TestAClosedClientRefuses(t *testing.T) {
	t.Parallel()
	rdb := sharedRedis(t)
	c := newClient(t, Config{Redis: rdb, App: newApp()})
	for range 2 {
		if err := c.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	if _, err := c.Send(t.Context(), notice()); !errors.Is(err, ErrClosed) {
		t.Errorf("Send = %v, want ErrClosed", err)
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("Close closed the injected Redis: %v", err)
	}
}
