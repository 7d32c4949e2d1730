package producer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// hasty are the times of a check that a test can wait for.
var hasty = checkTimes{interval: 50 * time.Millisecond, pause: time.Millisecond, budget: checkBudget, secondLook: 50 * time.Millisecond}

// newRelay is a relay that was not started, for tests that take its steps.
func newRelay(t *testing.T, config RelayConfig, times checkTimes) *Relay {
	t.Helper()
	if config.Interval == 0 {
		config.Interval = 20 * time.Millisecond
	}
	r, err := NewRelay(config)
	if err != nil {
		t.Fatalf("NewRelay: %v", err)
	}
	r.checkTimes = times
	t.Cleanup(func() { stopRelay(t, r) })
	return r
}

// startChecking starts a relay that checks all the time.
func startChecking(t *testing.T, config RelayConfig) *Relay {
	t.Helper()
	r := newRelay(t, config, hasty)
	if err := r.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return r
}

func taskKeyOf(app, taskID string) string { return "asynq:{" + app + ":default}:t:" + taskID }

// allDelivered is allQueued with a look at the tasks themselves.
func allDelivered(t *testing.T, st testStore, rdb redis.UniversalClient, app string, ids []uuid.UUID, generation int) {
	t.Helper()
	allQueued(t, st, rdb, app, ids, generation)
	for _, id := range ids {
		eventually(t, "the task is there", func() error {
			row, _, err := st.Get(t.Context(), id)
			if err != nil {
				return err
			}
			return rdb.HGet(t.Context(), taskKeyOf(app, task.ID(id, row.Generation)), "msg").Err()
		})
	}
}

func generation(t *testing.T, st testStore, id uuid.UUID) int {
	t.Helper()
	row, _, err := st.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return row.Generation
}

func wantGeneration(t *testing.T, st testStore, want int, ids ...uuid.UUID) {
	t.Helper()
	for _, id := range ids {
		if got := generation(t, st, id); got != want {
			t.Errorf("generation %d, want %d", got, want)
		}
	}
}

// What a person deletes or archives, and what Redis evicts, is queued again,
// and nothing else is touched.
func TestRelayFindsTasksThatAreGone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind repair
		take func(t *testing.T, rdb *redis.Client, queue, taskID string)
	}{
		"deleted by hand": {repairLost, func(t *testing.T, rdb *redis.Client, queue, taskID string) {
			if err := inspector(rdb).DeleteTask(queue, taskID); err != nil {
				t.Fatal(err)
			}
		}},
		"archived by hand": {repairArchived, func(t *testing.T, rdb *redis.Client, queue, taskID string) {
			if err := inspector(rdb).ArchiveTask(queue, taskID); err != nil {
				t.Fatal(err)
			}
		}},
		"evicted": {repairLost, func(t *testing.T, rdb *redis.Client, queue, taskID string) {
			rdb.Del(t.Context(), "asynq:{"+queue+"}:t:"+taskID)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachStore(t, func(t *testing.T, st testStore) {
				rdb, app := sharedRedis(t), newApp()
				r := startChecking(t, RelayConfig{Store: st, Redis: rdb})
				marked(t, st, rdb, 1)
				ids := acceptRows(t, st, app, checkPage+20, 0)
				allQueued(t, st, rdb, app, ids, 1)
				lost := []uuid.UUID{ids[0], ids[checkPage-1], ids[checkPage], ids[len(ids)-1]}
				for _, id := range lost {
					test.take(t, rdb, app+":default", task.ID(id, 1))
				}
				allDelivered(t, st, rdb, app, lost, 2)
				wantGeneration(t, st, 2, lost...)
				wantGeneration(t, st, 1, ids[1:20]...)
				if got := testutil.ToFloat64(r.metrics.repaired.WithLabelValues(string(test.kind))); got != float64(len(lost)) {
					t.Errorf("%v repairs counted, want %d", got, len(lost))
				}
				eventually(t, "nothing is left of the old tasks", func() error {
					for _, id := range lost {
						if n := rdb.Exists(t.Context(), taskKeyOf(app, task.ID(id, 1))).Val(); n != 0 {
							return errNotYet
						}
					}
					if n := rdb.ZCard(t.Context(), "asynq:{"+app+":default}:archived").Val(); n != 0 {
						return errNotYet
					}
					return nil
				})
			})
		})
	}
}

// Who has no task because nobody needs one is left alone.
func TestTheCheckLeavesAlone(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := newRelay(t, RelayConfig{Store: st, Redis: rdb}, checkTimes{budget: time.Hour})
		ids := acceptRows(t, st, app, 4, 0)
		if _, err := r.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		claim(t, st, ids[0], time.Minute) // being sent
		claim(t, st, ids[1], time.Millisecond)
		eventually(t, "it is in doubt", func() error {
			if n, err := st.ExpireLeases(t.Context(), time.Hour, 10); err != nil || n == 0 {
				return errNotYet
			}
			return nil
		})
		finish(t, st, ids[2])
		later := acceptRows(t, st, app, 1, time.Hour)
		rdb.Del(t.Context(), taskKeyOf(app, task.ID(ids[0], 1)), taskKeyOf(app, task.ID(ids[1], 1)), taskKeyOf(app, task.ID(ids[2], 1)))
		for range 3 {
			if err := r.checkSome(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		wantGeneration(t, st, 1, append(ids, later...)...)
		if len(r.check.suspects) != 0 {
			t.Errorf("%d suspects", len(r.check.suspects))
		}
	})
}

// A task that is back at the second look, and a row that has moved on by then,
// are left alone.
func TestTheCheckLooksTwice(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := newRelay(t, RelayConfig{Store: st, Redis: rdb}, checkTimes{budget: time.Hour, secondLook: time.Hour})
		ids := acceptRows(t, st, app, 3, 0)
		if _, err := r.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		back, moved, gone := ids[0], ids[1], ids[2]
		for _, id := range ids {
			if err := inspector(rdb).DeleteTask(app+":default", task.ID(id, 1)); err != nil {
				t.Fatal(err)
			}
		}
		look := func(suspects int) {
			t.Helper()
			r.check.begun = time.Time{}
			if err := r.checkSome(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := len(r.check.suspects); got != suspects {
				t.Errorf("%d suspects, want %d", got, suspects)
			}
		}
		look(3)
		if err := r.lookAgain(t.Context(), time.Now()); err != nil || len(r.check.suspects) != 3 {
			t.Errorf("%d suspects too early for the second look, %v; want 3", len(r.check.suspects), err)
		}
		wantGeneration(t, st, 1, ids...)
		if _, err := asynq.NewClientFromRedisClient(rdb).Enqueue(task.New(back, 1, app+":default", []byte(`{}`))); err != nil {
			t.Fatal(err)
		}
		claim(t, st, moved, time.Minute)
		r.checkTimes.secondLook = 0
		look(0)
		wantGeneration(t, st, 1, back, moved)
		wantGeneration(t, st, 2, gone)
	})
}

// The check of a queue on which all is well reads and does not write, in Redis
// or in the store.
func TestTheCheckOnlyReads(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := ownRedis(t).client(t), newApp()
		reads := &readingStore{testStore: st}
		r := newRelay(t, RelayConfig{Store: reads, Redis: rdb}, checkTimes{budget: time.Hour})
		ids := acceptRows(t, st, app, 2*checkPage+10, 0)
		if _, err := r.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.queue.wait() // for the ring
		rdb.ConfigResetStat(t.Context())
		if err := r.checkSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		stats := rdb.Info(t.Context(), "commandstats").Val()
		for line := range strings.Lines(stats) {
			name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":")
			switch {
			case !ok, strings.HasPrefix(line, "#"), name == "info":
			case strings.HasPrefix(name, "config"), strings.HasPrefix(name, "client"), name == "hello": // the test, and connecting
			case name != "hget":
				t.Errorf("the check ran %s", name)
			case !strings.HasPrefix(rest, fmt.Sprintf("calls=%d,", len(ids))):
				t.Errorf("hget %s; want one call for each of %d", rest, len(ids))
			}
		}
		if reads.pages != 3 || reads.requeued != 0 {
			t.Errorf("%d pages read and %d requeues, want 3 and none", reads.pages, reads.requeued)
		}
	})
}

// readingStore counts what a check does.
type readingStore struct {
	testStore
	pages, requeued int
}

func (s *readingStore) OnQueue(ctx context.Context, after uuid.UUID, limit int) ([]store.OnQueue, error) {
	s.pages++
	return s.testStore.OnQueue(ctx, after, limit)
}

func (s *readingStore) Requeue(ctx context.Context, list []store.OnQueue) (int, error) {
	s.requeued++
	return s.testStore.Requeue(ctx, list)
}

// However much is lost, what is done about it at a time is bounded.
func TestTheCheckDoesNotFlood(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := ownRedis(t).client(t), newApp()
		r := newRelay(t, RelayConfig{Store: st, Redis: rdb}, checkTimes{budget: time.Hour})
		var ids []uuid.UUID
		for range (suspectMax + 2*checkPage) / 1000 {
			ids = append(ids, acceptRows(t, st, app, 1000, 0)...)
		}
		if _, err := r.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		rdb.FlushAll(t.Context())
		requeued := func() (n int) {
			return int(testutil.ToFloat64(r.metrics.repaired.WithLabelValues(string(repairLost))))
		}
		for turns := 0; requeued() < len(ids); turns++ {
			before := requeued()
			if err := r.checkSome(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(r.check.suspects); n > suspectMax {
				t.Fatalf("%d suspects, want at most %d", n, suspectMax)
			}
			if n := requeued() - before; n > checkPage {
				t.Fatalf("%d requeued in one turn, want at most %d", n, checkPage)
			}
			if turns > 20 {
				t.Fatalf("%d of %d requeued after %d turns", requeued(), len(ids), turns)
			}
		}
		wantGeneration(t, st, 2, ids[0], ids[len(ids)-1])
	})
}

// Redis falls back to a copy of its data, as after a failover to a replica that
// lagged: what was put on the queue since is queued again, and what came back
// from the dead is of a generation or a state that no worker sends.
func TestFailoverToAStaleReplica(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		server := ownRedis(t)
		rdb, app := server.client(t), newApp()
		startRelay(t, RelayConfig{Store: st, Redis: rdb})
		marked(t, st, rdb, 1)
		early := acceptRows(t, st, app, 20, 0)
		allQueued(t, st, rdb, app, early, 1)
		if err := rdb.Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		copied, err := os.ReadFile(filepath.Join(server.dir, "dump.rdb"))
		if err != nil {
			t.Fatal(err)
		}
		old := marked(t, st, rdb, 1)

		// Life goes on: some are sent, others accepted, and the mark moves.
		for _, id := range early[:5] {
			finish(t, st, id)
			if err := inspector(rdb).DeleteTask(app+":default", task.ID(id, 1)); err != nil {
				t.Fatal(err)
			}
		}
		late := acceptRows(t, st, app, 20, 0)
		allQueued(t, st, rdb, app, late, 1)
		marked(t, st, rdb, old.Counter+2)

		server.stop(t)
		if err := os.WriteFile(filepath.Join(server.dir, "dump.rdb"), copied, 0o600); err != nil {
			t.Fatal(err)
		}
		server.start(t)
		open := append(append([]uuid.UUID{}, early[5:]...), late...)
		allDelivered(t, st, rdb, app, open, 2)
		back := 0
		for taskID := range taskIDs(t, rdb, app+":default") {
			id, gen, _ := task.ParseID(taskID)
			row, _, err := st.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			switch current := row.Generation == gen && row.State == store.Queued; {
			case current:
			case row.State == store.Sent || gen < row.Generation:
				back++
			default:
				t.Errorf("a task of generation %d for a row in generation %d, %s", gen, row.Generation, row.State)
			}
		}
		if back != len(early) {
			t.Errorf("%d tasks came back, want the %d of the copy", back, len(early))
		}
		wantState(t, st, store.Sent, early[:5]...)
	})
}

func wantState(t *testing.T, st testStore, want store.State, ids ...uuid.UUID) {
	t.Helper()
	for _, id := range ids {
		if row, _, err := st.Get(t.Context(), id); err != nil || row.State != want {
			t.Errorf("%s, %v; want %s", row.State, err, want)
		}
	}
}

// Two processes on one store and one Redis, of which the leader freezes and
// comes back, repair each loss once.
func TestTwoRelaysRepairOnce(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		one := newRelay(t, RelayConfig{Store: st, Redis: rdb}, checkTimes{budget: time.Hour})
		two := newRelay(t, RelayConfig{Store: st, Redis: rdb}, checkTimes{budget: time.Hour})
		ids := acceptRows(t, st, app, 10, 0)
		if _, err := one.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			rdb.Del(t.Context(), taskKeyOf(app, task.ID(id, 1)))
		}
		// Both take themselves for the leader.
		for range 2 {
			for _, r := range []*Relay{one, two} {
				if err := r.checkSome(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range []*Relay{one, two} {
			if _, err := r.handOver(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		allDelivered(t, st, rdb, app, ids, 2)
		wantGeneration(t, st, 2, ids...)
	})
}

// A Redis that falls silent in the middle of a pass costs no row its place.
func TestTheCheckGoesOnAfterAnOutage(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		server := ownRedis(t)
		rdb, app := server.client(t), newApp()
		r := newRelay(t, RelayConfig{Store: st, Redis: rdb}, checkTimes{budget: 1})
		ids := acceptRows(t, st, app, checkPage+10, 0)
		if _, err := r.handOver(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := ids[len(ids)-1]
		rdb.Del(t.Context(), taskKeyOf(app, task.ID(last, 1)))
		if err := r.checkSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.signal(t, syscall.SIGSTOP)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := r.checkSome(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("checkSome = %v on a silent Redis, want the end of its time", err)
		}
		server.signal(t, syscall.SIGCONT)
		for range 2 {
			if err := r.checkSome(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		wantGeneration(t, st, 2, last)
		wantGeneration(t, st, 1, ids[:10]...)
	})
}
