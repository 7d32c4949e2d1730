package producer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/task"
)

// memoryInfo is a number of Redis's INFO.
func memoryInfo(t *testing.T, rdb *redis.Client, section, name string) int64 {
	t.Helper()
	for line := range strings.Lines(rdb.Info(t.Context(), section).Val()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("INFO %s has no %s", section, name)
	return 0
}

// bound sets what a Redis does about its memory, before its limit comes into
// force.
func bound(t *testing.T, rdb *redis.Client, policy string, limit int64) {
	t.Helper()
	err := errors.Join(
		rdb.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(),
		rdb.ConfigSet(t.Context(), "maxmemory", strconv.FormatInt(limit, 10)).Err())
	if err != nil {
		t.Fatal(err)
	}
}

// A Redis that evicts keys throws tasks away that it acknowledged. Every
// notification whose task is gone gets another.
func TestRelayPutsBackWhatRedisEvicted(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := ownRedis(t).client(t), newApp()
		// By use, so that it is tasks that go, and not the list or the mark: without
		// them the queue is built anew, which has tests of its own.
		bound(t, rdb, "allkeys-lfu", 0)
		r := startChecking(t, RelayConfig{Store: st, Redis: rdb})
		marked(t, st, rdb, 1)
		ids := acceptRows(t, st, app, 2000, 0)
		allQueued(t, st, rdb, app, ids, 1)

		limit := memoryInfo(t, rdb, "memory", "used_memory") - 256<<10
		bound(t, rdb, "allkeys-lfu", limit)
		eventually(t, "tasks are evicted", func() error {
			if n := memoryInfo(t, rdb, "stats", "evicted_keys"); n < 100 {
				return fmt.Errorf("%d so far", n)
			}
			return nil
		})
		bound(t, rdb, "noeviction", 0)
		evicted := memoryInfo(t, rdb, "stats", "evicted_keys")
		eventually(t, "every notification has its task", func() error { return missingTasks(t, st, rdb, app, ids) })
		put := testutil.ToFloat64(r.metrics.repaired.WithLabelValues(string(repairLost)))
		t.Logf("%d keys of %d tasks evicted, %v put back", evicted, len(ids), put)
		if put == 0 {
			t.Error("nothing was missed")
		}
	})
}

// missingTasks names the first row whose task is not there.
func missingTasks(t *testing.T, st testStore, rdb *redis.Client, app string, ids []uuid.UUID) error {
	t.Helper()
	for _, id := range ids {
		row, _, err := st.Get(t.Context(), id)
		if err != nil {
			return err
		}
		if err := rdb.HGet(t.Context(), taskKeyOf(app, task.ID(id, row.Generation)), "msg").Err(); err != nil || !row.HandoverAt.IsZero() {
			return fmt.Errorf("%s, generation %d, handover %v: %w", id, row.Generation, row.HandoverAt, errors.Join(err, errNotYet))
		}
	}
	return nil
}

// A Redis that is full refuses tasks. What is handed in is accepted meanwhile,
// and is on the queue when there is room again.
func TestAcceptanceGoesOnWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := ownRedis(t).client(t), newApp()
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb})
		c := newClient(t, Config{Redis: rdb, Store: hastyStore{st}, App: app, Wake: r.Wake})
		marked(t, st, rdb, 1)
		bound(t, rdb, "noeviction", 1<<20)
		var ids []uuid.UUID
		for range 50 {
			a := send(t.Context(), t, c, notice())
			if !errors.Is(a.QueueErr, ErrQueueAway) {
				t.Fatalf("accepted with %v, want it accepted and not on the queue", a.QueueErr)
			}
			ids = append(ids, a.ID)
		}
		if n := rdb.DBSize(t.Context()).Val(); n > 5 {
			t.Errorf("%d keys in a Redis that is full", n)
		}
		bound(t, rdb, "noeviction", 0)
		allQueued(t, st, rdb, app, ids, 1)
	})
}
