package producer

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/task"
)

// startRelay starts a relay that stops with the test.
func startRelay(t *testing.T, config RelayConfig) *Relay {
	t.Helper()
	if config.Interval == 0 {
		config.Interval = 20 * time.Millisecond
	}
	r, err := NewRelay(config)
	if err != nil {
		t.Fatalf("NewRelay: %v", err)
	}
	if err := r.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() { stopRelay(t, r) })
	return r
}

func stopRelay(t *testing.T, r *Relay) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patienceInTests)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// acceptRows accepts n rows that are left to Relay.
func acceptRows(t *testing.T, st Store, app string, n int, delay time.Duration) []uuid.UUID {
	t.Helper()
	c := newClient(t, Config{Store: st, App: app})
	ns := make([]Notification, n)
	for i := range ns {
		ns[i] = notice()
		ns[i].UserID, ns[i].OpenID = "", "o-1001" // needs no binding
		ns[i].Delay = delay
	}
	results, err := c.SendBatch(t.Context(), ns)
	if err != nil {
		t.Fatalf("SendBatch: %v", err)
	}
	ids := make([]uuid.UUID, n)
	for i, r := range results {
		ids[i] = r.ID
	}
	return ids
}

// allQueued waits until every row has the task of its generation on the queue,
// at least the one asked for, and nothing left to hand over.
func allQueued(t *testing.T, st testStore, rdb redis.UniversalClient, app string, ids []uuid.UUID, generation int) {
	t.Helper()
	eventually(t, "every open row has its task", func() error {
		tasks := taskIDs(t, rdb, app+":default")
		for ; len(ids) > 0; ids = ids[1:] {
			id := ids[0]
			row, _, err := st.Get(t.Context(), id)
			if err != nil {
				return err
			}
			if row.Generation < generation || !row.HandoverAt.IsZero() || !tasks[task.ID(id, row.Generation)] {
				return fmt.Errorf("%s, generation %d, handover %v: %w", id, row.Generation, row.HandoverAt, errNotYet)
			}
		}
		return nil
	})
}

func TestRelayHandsDueRowsOver(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb})
		marked(t, st, rdb, 1)
		now := acceptRows(t, st, app, 2*handoverPage+7, 0)
		soon := acceptRows(t, st, app, 3, 500*time.Millisecond)
		later := acceptRows(t, st, app, 3, time.Hour)
		allQueued(t, st, rdb, app, append(now, soon...), 1)
		tasks := taskIDs(t, rdb, app+":default")
		for _, id := range later {
			if tasks[task.ID(id, 1)] {
				t.Errorf("%s is on the queue an hour early", id)
			}
		}
		if got, want := testutil.ToFloat64(r.metrics.handedOver), float64(len(now)+len(soon)); got != want {
			t.Errorf("handed over = %v, want %v", got, want)
		}
		if h := r.Health(); !h.Leader || h.Turned.IsZero() || h.Worked.IsZero() {
			t.Errorf("Health = %+v, want a leader that turned and worked", h)
		}
	})
}

// A conflict means that the task is there, so the row is done with.
func TestRelayTakesAConflictForQueued(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		ids := acceptRows(t, st, app, 3, 0)
		early := asynq.NewClientFromRedisClient(rdb)
		// The relay's first look at an unmarked Redis requeues: generation 2.
		if _, err := early.Enqueue(task.New(ids[1], 2, app+":default", []byte(`{}`))); err != nil {
			t.Fatal(err)
		}
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb})
		allQueued(t, st, rdb, app, ids, 1)
		if got := testutil.ToFloat64(r.metrics.conflicts); got != 1 {
			t.Errorf("conflicts = %v, want 1", got)
		}
	})
}

func TestRelayWakes(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb, Interval: time.Hour})
		marked(t, st, rdb, 1)
		c := newClient(t, Config{Store: st, App: app, Wake: r.Wake})
		a := send(t.Context(), t, c, notice())
		allQueued(t, st, rdb, app, []uuid.UUID{a.ID}, 1)
	})
}

// What is accepted while Redis is silent is accepted within a bounded time, and
// is on the queue once Redis is back.
func TestRelayHandsOverWhatRedisMissed(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		server := ownRedis(t)
		rdb, app := server.client(t), newApp()
		core, logs := observer.New(zapcore.InfoLevel)
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb, Logger: zap.New(core)})
		c := newClient(t, Config{Redis: rdb, Store: hastyStore{st}, App: app, Wake: r.Wake})
		marked(t, st, rdb, 1)

		server.signal(t, syscall.SIGSTOP)
		start := time.Now()
		var ids []uuid.UUID
		for range 5 {
			ids = append(ids, send(t.Context(), t, c, notice()).ID)
		}
		if took := time.Since(start); took > 2*putTimeout {
			t.Errorf("5 calls took %v on a silent Redis, want little more than one timeout of %v", took, putTimeout)
		}
		eventually(t, "the relay notices", func() error {
			if logs.FilterMessage("part is away").Len() == 0 {
				return errNotYet
			}
			return nil
		})
		server.signal(t, syscall.SIGCONT)
		allQueued(t, st, rdb, app, ids, 1)
		if away, back := logs.FilterMessage("part is away").Len(), logs.FilterMessage("part is back").Len(); away != 1 || back != 1 {
			t.Errorf("%d lines of an outage and %d of its end, want one each", away, back)
		}
	})
}

// hastyStore shortens the grace that Relay gives a producer's own enqueue.
type hastyStore struct{ Store }

func (h hastyStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	for i := range batch {
		batch[i].HandoverIn = min(batch[i].HandoverIn, time.Second)
	}
	return h.Store.Insert(ctx, batch)
}

// While Redis is away the relay neither spins nor forgets the repairs that need
// the store alone.
func TestRelayBacksOffWithoutRedis(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		server := ownRedis(t)
		rdb, app := dial(t, &redis.Options{Addr: server.addr, MaxRetries: -1, DialerRetries: 1}), newApp()
		turns := make(chan time.Time, 1000)
		watched := &watchedStore{testStore: st, marks: turns}
		r := startRelay(t, RelayConfig{Store: watched, Redis: rdb})
		marked(t, st, rdb, 1)
		server.stop(t)
		for len(turns) > 0 {
			<-turns
		}
		first := next(t, turns)
		var last time.Time
		for range 5 {
			last = next(t, turns)
		}
		// 20, 40, 80, 160 and 320 ms, each less a quarter at most.
		if took := last.Sub(first); took < 300*time.Millisecond {
			t.Errorf("5 turns within %v without Redis", took)
		}
		if h := r.Health(); h.Turned.Sub(h.Worked) <= 0 {
			t.Errorf("Health = %+v, want the last turn without success", h)
		}
		c := newClient(t, Config{Redis: rdb, Store: st, App: app})
		ids := []uuid.UUID{send(t.Context(), t, c, notice()).ID, send(t.Context(), t, c, notice()).ID}
		server.start(t) // empty: everything open is requeued
		allQueued(t, st, rdb, app, ids, 2)
	})
}

// next waits for a value.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patienceInTests):
		t.Fatalf("nothing came within %v", patienceInTests)
		panic("unreachable")
	}
}

// watchedStore tells when the mark is read, once a turn during an outage.
type watchedStore struct {
	testStore
	marks chan time.Time
}

func (w *watchedStore) Mark(ctx context.Context) (store.Mark, error) {
	select {
	case w.marks <- time.Now():
	default:
	}
	return w.testStore.Mark(ctx)
}

// finish claims a row and settles it as sent.
func finish(t *testing.T, st testStore, id uuid.UUID) {
	t.Helper()
	claim(t, st, id, time.Minute)
	results, err := st.Commit(t.Context(), store.Batch{Settlements: []store.Settlement{{
		ID: id, Seq: 1, State: store.Sent, Attempt: store.Attempt{At: time.Now(), Outcome: "ok"},
	}}})
	if err != nil || !results.Settlements[0].Applied {
		t.Fatalf("settle: %+v, %v", results, err)
	}
}

func claim(t *testing.T, st testStore, id uuid.UUID, lease time.Duration) {
	t.Helper()
	row, _, err := st.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	results, err := st.Commit(t.Context(), store.Batch{Claims: []store.Claim{{
		ID: id, Generation: row.Generation, Owner: uuid.New(), Lease: lease,
	}}})
	if err != nil || !results.Claims[0].OK {
		t.Fatalf("claim: %+v, %v", results, err)
	}
}

func TestRelayRepairs(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		rdb, app := sharedRedis(t), newApp()
		r := startRelay(t, RelayConfig{Store: st, Redis: rdb, InDoubtWait: time.Millisecond})
		marked(t, st, rdb, 1)
		c := newClient(t, Config{Store: st, App: app})
		again, avoid, short := notice(), notice(), notice()
		again.OpenID, again.UserID = "o-1", ""
		avoid.OpenID, avoid.UserID, avoid.Duplicates = "o-2", "", store.DuplicatesAvoid
		short.ExpiresAt = time.Now().Add(time.Second)
		ids := make([]uuid.UUID, 0, 3)
		for _, n := range []Notification{again, avoid, short} {
			ids = append(ids, send(t.Context(), t, c, n).ID)
		}
		allQueued(t, st, rdb, app, ids[:2], 1)
		claim(t, st, ids[0], time.Millisecond)
		claim(t, st, ids[1], time.Millisecond)
		allQueued(t, st, rdb, app, ids[:1], 2)
		for i, want := range []struct {
			state  store.State
			reason store.Reason
		}{{store.Queued, ""}, {store.Dead, store.ReasonInDoubt}, {store.Expired, store.ReasonTooOld}} {
			eventually(t, "it ends", func() error {
				row, _, err := st.Get(t.Context(), ids[i])
				if err != nil {
					return err
				}
				if row.State != want.state || row.Reason != want.reason {
					return fmt.Errorf("%s %s, want %s %s", row.State, row.Reason, want.state, want.reason)
				}
				return nil
			})
		}
		for kind, want := range map[repair]float64{repairLease: 2, repairDoubtRequeued: 1, repairDoubtDead: 1, repairExpired: 1, repairRebuilt: 0} {
			eventually(t, string(kind)+" is counted", func() error {
				if got := testutil.ToFloat64(r.metrics.repaired.WithLabelValues(string(kind))); got != want {
					return fmt.Errorf("%v, want %v", got, want)
				}
				return nil
			})
		}
	})
}

// One of two relays on a store works, the other takes over.
func TestOneRelayLeads(t *testing.T) {
	t.Parallel()
	st1, url := postgrestest.Open(t)
	st2 := postgrestest.OpenURL(t, url)
	rdb, app := sharedRedis(t), newApp()
	r1 := startRelay(t, RelayConfig{Store: st1, Redis: rdb})
	eventually(t, "the first leads", func() error { return leads(r1) })
	r2 := startRelay(t, RelayConfig{Store: st2, Redis: rdb})
	eventually(t, "the second turns", func() error {
		if r2.Health().Worked.IsZero() {
			return errNotYet
		}
		return nil
	})
	if leads(r2) == nil {
		t.Error("two relays lead")
	}
	if got := testutil.ToFloat64(r1.metrics.leader) + testutil.ToFloat64(r2.metrics.leader); got != 1 {
		t.Errorf("%v leaders by the gauges, want 1", got)
	}
	marked(t, st1, rdb, 1)

	// The death of a process ends its connections.
	st1.Close()
	eventually(t, "the second takes over", func() error { return leads(r2) })
	eventually(t, "the first steps back", func() error {
		if leads(r1) == nil {
			return errNotYet
		}
		return nil
	})
	ids := acceptRows(t, st2, app, 1, 0)
	allQueued(t, st2, rdb, app, ids, 1)
	if row, _, err := st2.Get(t.Context(), ids[0]); err != nil || row.Generation != 1 {
		t.Errorf("generation %d, %v; want 1: a new leader is no wipe", row.Generation, err)
	}
}

func leads(r *Relay) error {
	if r.Health().Leader {
		return nil
	}
	return errNotYet
}

func TestRelayLifecycle(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, st testStore) {
		config := RelayConfig{Store: st, Redis: sharedRedis(t)}
		never, err := NewRelay(config)
		if err != nil {
			t.Fatal(err)
		}
		stopRelay(t, never)
		if err := never.Start(t.Context()); !errors.Is(err, ErrStopped) {
			t.Errorf("Start after Stop = %v, want ErrStopped", err)
		}
		r := startRelay(t, config)
		if err := r.Start(t.Context()); err != nil {
			t.Errorf("the second Start = %v, want nil", err)
		}
		eventually(t, "it leads", func() error { return leads(r) })
		stopRelay(t, r)
		stopRelay(t, r)
		if ok, release, err := st.Lead(t.Context()); !ok || err != nil {
			t.Errorf("Lead after Stop = %v, %v; want leadership given back", ok, err)
		} else {
			release()
		}
	})
}
