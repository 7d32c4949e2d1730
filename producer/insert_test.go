package producer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// failingStore answers Insert as told, before or after the rows were written.
type failingStore struct {
	Store
	before, after func() error
	inserts       atomic.Int64
}

func (f *failingStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	f.inserts.Add(1)
	if f.before != nil {
		if err := f.before(); err != nil {
			return nil, err
		}
	}
	inserted, err := f.Store.Insert(ctx, batch)
	if err == nil && f.after != nil {
		err = f.after()
	}
	return inserted, err
}

// once is an error the first time only.
func once(err error) func() error {
	var done atomic.Bool
	return func() error {
		if done.Swap(true) {
			return nil
		}
		return err
	}
}

func TestSendRepeatsAnInsertWhoseReplyWasLost(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		lost := fmt.Errorf("commit: %w", store.ErrUnavailable)
		for _, ref := range []string{"", "order-7"} {
			fs := &failingStore{Store: st, after: once(lost)}
			c := newClient(t, Config{Redis: rdb, Store: fs, App: app})
			n := notice()
			n.Ref = ref
			if a := send(t.Context(), t, c, n); a.Duplicate || fs.inserts.Load() != 2 {
				t.Errorf("ref %q: Send = %+v after %d inserts, want it accepted as new after 2", ref, a, fs.inserts.Load())
			}
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != 2 {
			t.Errorf("%d tasks, want 2", got)
		}
	})
}

func TestNothingIsEnqueuedWithoutARow(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		fs := &failingStore{Store: st, before: func() error { return store.ErrUnavailable }}
		c := newClient(t, Config{Redis: rdb, Store: fs, App: app})
		if _, err := c.Send(t.Context(), notice()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Send = %v, want store.ErrUnavailable", err)
		}
		results, err := c.SendBatch(t.Context(), []Notification{notice(), {}})
		if !errors.Is(err, store.ErrUnavailable) || !errors.Is(results[0].Err, store.ErrUnavailable) {
			t.Errorf("SendBatch = %+v, %v; want store.ErrUnavailable", results, err)
		}
		if _, ok := errors.AsType[task.FieldErrors](results[1].Err); !ok {
			t.Errorf("the bad item's error = %v, want task.FieldErrors", results[1].Err)
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != 0 {
			t.Errorf("%d tasks, want none", got)
		}
	})
}

// One row that the store refuses costs no other its acceptance.
func TestARefusedRowDoesNotTakeItsPageWithIt(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		c := newClient(t, Config{Redis: rdb, Store: pickyStore{st}, App: app})
		ns := make([]Notification, 9)
		for i := range ns {
			ns[i] = notice()
		}
		ns[4].UserID = "refused"
		results, err := c.SendBatch(t.Context(), ns)
		if err != nil {
			t.Fatalf("SendBatch: %v", err)
		}
		for i, r := range results {
			if (r.Err != nil) != (i == 4) {
				t.Errorf("item %d: %v", i, r.Err)
			}
		}
		if got := len(taskIDs(t, rdb, app+":default")); got != len(ns)-1 {
			t.Errorf("%d tasks, want %d", got, len(ns)-1)
		}
	})
}

// pickyStore refuses every page with a certain user, as a CHECK would.
type pickyStore struct{ Store }

func (p pickyStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	for _, a := range batch {
		if a.Notification.UserID == "refused" {
			return nil, errors.New("violates a check")
		}
	}
	return p.Store.Insert(ctx, batch)
}

// A conflict means that the task is there: by a repeated command, or by Relay.
func TestATaskThatIsThereIsNoError(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		early := asynq.NewClientFromRedisClient(rdb)
		fs := &hookedStore{Store: st, inserted: func(id uuid.UUID) {
			if _, err := early.Enqueue(task.New(id, 1, app+":default", []byte(`{}`))); err != nil {
				t.Errorf("Enqueue: %v", err)
			}
		}}
		c := newClient(t, Config{Redis: rdb, Store: fs, App: app})
		if a := send(t.Context(), t, c, notice()); a.Duplicate || a.State != store.Queued {
			t.Errorf("Send = %+v, want it accepted", a)
		}
		if got := testutil.ToFloat64(c.metrics.enqueueErrors); got != 0 {
			t.Errorf("enqueue errors = %v, want 0", got)
		}
	})
}

// hookedStore tells of every row it wrote.
type hookedStore struct {
	Store
	inserted func(uuid.UUID)
}

func (h *hookedStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	answers, err := h.Store.Insert(ctx, batch)
	for _, a := range answers {
		h.inserted(a.ID)
	}
	return answers, err
}
