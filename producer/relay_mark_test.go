package producer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store"
)

// marked waits until the store has a mark that Redis has too, at least as far
// as counter, so that the relay's first look at an unknown Redis is over.
func marked(t *testing.T, st MarkStore, rdb redis.UniversalClient, counter int64) store.Mark {
	t.Helper()
	var mark store.Mark
	eventually(t, "the mark is set", func() (err error) {
		if mark, err = st.Mark(t.Context()); err != nil {
			return err
		}
		n, err := rdb.HGet(t.Context(), MarkKey, mark.ID.String()).Int64()
		if err != nil {
			return err
		}
		if mark.Counter < counter || n < mark.Counter {
			return fmt.Errorf("store %d, redis %d: %w", mark.Counter, n, errNotYet)
		}
		return nil
	})
	return mark
}

func TestRelayRebuildsAWipedRedis(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		server := ownRedis(t)
		rdb, app := server.client(t), newApp()
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb})
		old := marked(t, st, rdb, 1)
		ids := acceptRows(t, st, app, 2*rebuildPage+100, 0)
		allQueued(t, st, rdb, app, ids, 1)
		done := ids[5]
		finish(t, st, done)
		later := acceptRows(t, st, app, 1, time.Hour)[0]

		if err := rdb.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		open := append(append([]uuid.UUID{}, ids[:5]...), ids[6:]...)
		allQueued(t, st, rdb, app, open, 2)
		if mark := marked(t, st, rdb, 1); mark.ID == old.ID {
			t.Error("the mark is the one of the Redis that was wiped")
		}
		if got, want := testutil.ToFloat64(r.metrics.repaired.WithLabelValues(string(repairRebuilt))), float64(len(open)+1); got != want {
			t.Errorf("rebuilt = %v, want %v", got, want)
		}
		tasks := taskIDs(t, rdb, app+":default")
		if len(tasks) != len(open) {
			t.Errorf("%d tasks, want %d: none for what is sent and none for what is due later", len(tasks), len(open))
		}
		row, _, err := st.Get(t.Context(), later)
		if err != nil || !row.HandoverAt.Equal(row.DueAt) {
			t.Errorf("the later row is handed over at %v, %v; want when due at %v", row.HandoverAt, err, row.DueAt)
		}
		if _, err := inspector(rdb).GetQueueInfo(app + ":default"); err != nil {
			t.Errorf("the queue is not in asynq's set after the rebuild: %v", err)
		}
	})
}

func TestRelayRebuildsARedisThatWentBack(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		startRelay(t, RelayConfig{Store: st, Redis: rdb})
		marked(t, st, rdb, 1)
		ids := acceptRows(t, st, app, 3, 0)
		allQueued(t, st, rdb, app, ids, 1)
		mark := marked(t, st, rdb, 3)
		if err := rdb.HSet(t.Context(), MarkKey, mark.ID.String(), 1).Err(); err != nil {
			t.Fatal(err)
		}
		allQueued(t, st, rdb, app, ids, 2)
	})
}

// A Redis that loses its last moment (AOF is written once a second, a failover
// loses the tail) must be seen to have gone back, however few tasks it lost: the
// mark moves on with each page of tasks, not only once a second.
func TestMarkMovesOnWithTheTasks(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r, err := NewRelay(RelayConfig{Store: st, Redis: rdb})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.checkMark(t.Context()), r.rebuildSome(t.Context())); err != nil {
			t.Fatal(err)
		}
		before := marked(t, st, rdb, 1)
		acceptRows(t, st, app, 1, 0)
		if _, err := r.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := marked(t, st, rdb, 1); after.Counter != before.Counter+1 {
			t.Errorf("mark %d after the hand-over of a task, want %d", after.Counter, before.Counter+1)
		}
	})
}

// Neither time nor another deployment on the same Redis looks like a wipe.
func TestRelayLeavesAHealthyRedisAlone(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		startRelay(t, RelayConfig{Store: st, Redis: rdb})
		first := marked(t, st, rdb, 1)
		ids := acceptRows(t, st, app, 3, 0)
		allQueued(t, st, rdb, app, ids, 1)
		if last := marked(t, st, rdb, first.Counter+3); last.ID != first.ID {
			t.Error("the mark was replaced")
		}
		for _, id := range ids {
			if row, _, err := st.Get(t.Context(), id); err != nil || row.Generation != 1 {
				t.Errorf("generation %d, %v; want 1", row.Generation, err)
			}
		}
	})
}

// rebuildStore does something before the second page of a rebuild.
type rebuildStore struct {
	testStore
	pages  atomic.Int64
	second func() error
}

func (s *rebuildStore) RequeueOpen(ctx context.Context, after uuid.UUID, limit int) (uuid.UUID, int, error) {
	if s.pages.Add(1) == 2 {
		if err := s.second(); err != nil {
			return after, 0, err
		}
	}
	return s.testStore.RequeueOpen(ctx, after, limit)
}

func TestRelaySeesAWipeDuringTheRebuild(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		server := ownRedis(t)
		rdb, app := server.client(t), newApp()
		ids := acceptRows(t, st, app, rebuildPage+10, 0)
		startRelay(t, RelayConfig{Store: &rebuildStore{testStore: st, second: func() error {
			return rdb.FlushAll(t.Context()).Err()
		}}, Redis: rdb})
		marked(t, st, rdb, 1)
		allQueued(t, st, rdb, app, ids, 3)
	})
}

func TestARebuildGoesOnWhereTheStoreFailed(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		ids := acceptRows(t, st, app, rebuildPage+10, 0)
		core, logs := observer.New(zapcore.InfoLevel)
		startRelay(t, RelayConfig{Store: &rebuildStore{testStore: st, second: func() error {
			return store.ErrUnavailable
		}}, Redis: rdb, Logger: zap.New(core)})
		marked(t, st, rdb, 1)
		allQueued(t, st, rdb, app, ids, 2)
		for _, id := range ids {
			if row, _, err := st.Get(t.Context(), id); err != nil || row.Generation != 2 {
				t.Fatalf("generation %d, %v; want 2: each row requeued once", row.Generation, err)
			}
		}
		for _, line := range []string{"part is away", "part is back", "queue rebuilt"} {
			if got := logs.FilterMessage(line).Len(); got != 1 {
				t.Errorf("%d lines %q, want 1", got, line)
			}
		}
	})
}

// A relay that dies in the middle of a rebuild leaves the old mark, so the next
// one begins anew.
func TestARebuildIsRepeatedAfterACrash(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		ids := acceptRows(t, st, app, rebuildPage+10, 0)
		reached, died := make(chan struct{}), make(chan struct{})
		first := startRelay(t, RelayConfig{Store: &rebuildStore{testStore: st, second: func() error {
			close(reached)
			<-died
			return context.Canceled
		}}, Redis: rdb})
		next(t, reached)
		stopping, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Stop(stopping); !errors.Is(err, context.Canceled) {
			t.Errorf("Stop = %v, want it bounded by its context", err)
		}
		close(died)
		stopRelay(t, first)
		if mark, err := st.Mark(t.Context()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the mark is %+v, %v after a rebuild that was cut short; want none", mark, err)
		}
		startRelay(t, RelayConfig{Store: st, Redis: rdb})
		marked(t, st, rdb, 1)
		allQueued(t, st, rdb, app, ids, 2)
	})
}
