package app_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// rig is a deployment: a database schema, a Redis and a WeChat of its own, and
// as many workers as a test starts, in this process (start) or as processes
// (spawn).
type rig struct {
	t           *testing.T
	app         simulator.App
	sim         *simulator.Simulator
	store       *postgres.Store
	databaseURL string
	redis       *ownRedis
	rdb         *redis.Client
	client      *producer.Client
	stopWeChat  func()

	// env are the settings of the workers that start from now on, file the text of
	// what WXNOTIFY_CONFIG names in them, if it is settingsPath.
	env  map[string]string
	file string
}

// newRig makes one whose WeChat knows and allows everybody.
func newRig(t *testing.T, sim simulator.Config, env map[string]string) *rig {
	t.Helper()
	if len(sim.Apps) == 0 {
		sim.Apps = []simulator.App{simulator.SeedApp()}
	}
	sim.AutoConsent = true
	r := &rig{t: t, app: sim.Apps[0]}
	wechat, err := app.ServeSimulator(t.Context(), "127.0.0.1:0", sim, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	r.sim = wechat.Simulator
	r.stopWeChat = func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = wechat.Stop(ctx) // breaks what does not end
	}
	t.Cleanup(r.stopWeChat)
	r.store, r.databaseURL = postgrestest.Open(t)
	r.redis = startRedis(t, env["test redis password"])
	r.rdb = r.redis.client()
	t.Cleanup(func() { r.rdb.Close() })
	r.env = map[string]string{
		"REDIS_URL": r.redis.url(), "DATABASE_URL": r.databaseURL, "WECHAT_API_BASE_URL": wechat.URL,
		"WECHAT_APPID": r.app.AppID, "WECHAT_SECRET": r.app.Secret, "ADMIN_ADDR": "", "LOG_LEVEL": "debug",
	}
	maps.Copy(r.env, env)
	delete(r.env, "test redis password")
	r.client, err = producer.New(producer.Config{
		Redis: r.rdb, Store: r.store, DefaultApp: r.app.AppID, Payload: producer.PayloadMode(r.env["TASK_PAYLOAD"]),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// start runs a worker in this process and returns it with its log; it is
// stopped when the test ends, unless stop was called.
func (r *rig) start() (w *app.Process, log *logBuffer, stop func()) {
	r.t.Helper()
	cfg, err := r.load()
	if err != nil {
		r.t.Fatal(err)
	}
	log = &logBuffer{}
	logger := app.NewLogger(log, cfg.LogLevel, config.LogJSON)
	s, err := app.OpenStore(r.t.Context(), cfg, logger)
	if err != nil {
		r.t.Fatal(err)
	}
	w, err = app.StartWorker(context.Background(), app.Parts{Config: cfg, Store: s, Redis: cfg.Redis.NewClient, Logger: logger})
	if err != nil {
		s.Close()
		r.t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			r.t.Errorf("stop the worker: %v", err)
		}
		s.Close()
	}
	r.t.Cleanup(func() {
		stop()
		if r.t.Failed() {
			r.t.Logf("end of a worker's log:\n%s", log.tail(4000))
		}
	})
	return w, log, stop
}

// sent is a notification that was handed in.
type sent struct {
	id     uuid.UUID
	openID string
}

// notice is a notification that nothing is wrong with, for an openid that no
// other one has: what the simulator tells of it is about this notification.
func notice() producer.Notification {
	return producer.Notification{
		TemplateID: simulator.SeedReport, Page: "pages/report?id=7", OpenID: simulator.OpenID(uuid.NewString()),
		Data: map[string]string{"thing1": "设备领用月报", "thing2": "2026年10月"},
	}
}

// send hands in n notices, each changed by edit.
func (r *rig) send(n int, edit func(i int, n *producer.Notification)) []sent {
	r.t.Helper()
	batch := make([]producer.Notification, n)
	for i := range batch {
		batch[i] = notice()
		if edit != nil {
			edit(i, &batch[i])
		}
	}
	results, err := r.client.SendBatch(r.t.Context(), batch)
	if err != nil {
		r.t.Fatalf("send: %v", err)
	}
	list := make([]sent, n)
	for i, res := range results {
		if res.Err != nil {
			r.t.Fatalf("send notification %d: %v", i, res.Err)
		}
		list[i] = sent{id: res.ID, openID: batch[i].OpenID}
	}
	return list
}

func (r *rig) get(id uuid.UUID) (store.Notification, []store.Attempt) {
	r.t.Helper()
	n, as, err := r.store.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatalf("get %s: %v", id, err)
	}
	return n, as
}

// rows are the rows of these notifications, by id.
func (r *rig) rows(list []sent) map[uuid.UUID]store.Notification {
	r.t.Helper()
	rows := make(map[uuid.UUID]store.Notification, len(list))
	for _, s := range list {
		rows[s.id], _ = r.get(s.id)
	}
	return rows
}

// awaitStates waits until the store counts exactly so many rows by state.
func (r *rig) awaitStates(want map[store.State]int) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("rows are %v", want), func() error {
		got, err := r.store.CountByState(r.t.Context(), "")
		if err != nil {
			return err
		}
		for s, n := range got {
			if n == 0 {
				delete(got, s)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("-want +got:\n%s", diff)
		}
		return nil
	})
}

// awaitSim waits for the simulator.
func (r *rig) awaitSim(what string, ok func(simulator.State) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := r.sim.Await(ctx, ok); err != nil {
		r.t.Fatalf("not in time: %s: %+v", what, r.sim.State())
	}
}

func (r *rig) fault(f simulator.Fault) {
	r.t.Helper()
	if _, err := r.sim.AddFault(f); err != nil {
		r.t.Fatal(err)
	}
}

// wantOnce checks against the simulator's truth that each of these was received
// and accepted exactly once, and that its row says so without a doubt.
func (r *rig) wantOnce(list []sent) {
	r.t.Helper()
	faults := 0
	for _, s := range list {
		tally := r.sim.Tally("", s.openID, simulator.SeedReport)
		n, as := r.get(s.id)
		if tally == (simulator.Tally{Received: 1, Accepted: 1}) && n.State == store.Sent && n.Doubts == 0 && len(as) == 1 && as[0].MsgID != 0 {
			continue
		}
		if faults++; faults <= 5 {
			r.t.Errorf("%s: received %d, accepted %d; row %s seq %d doubts %d, %d attempts; want one of each", s.id,
				tally.Received, tally.Accepted, n.State, n.Seq, n.Doubts, len(as))
		}
	}
	if faults > 5 {
		r.t.Errorf("%d of %d in all", faults, len(list))
	}
}

func (r *rig) inspector() *asynq.Inspector { return asynq.NewInspectorFromRedisClient(r.rdb) }

// defaultQueue is where notices go.
const defaultQueue = "default"

// queue is what asynq says of defaultQueue.
func (r *rig) queue() (*asynq.QueueInfo, error) {
	info, err := r.inspector().GetQueueInfo(defaultQueue)
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return &asynq.QueueInfo{}, nil
	}
	return info, err
}

// awaitDrained waits until no task waits or runs.
func (r *rig) awaitDrained() {
	r.t.Helper()
	eventually(r.t, "the queue is drained", func() error {
		info, err := r.queue()
		if err != nil {
			return err
		}
		if n := info.Pending + info.Active + info.Retry + info.Scheduled; n > 0 {
			return fmt.Errorf("pending %d, active %d, retry %d, scheduled %d", info.Pending, info.Active, info.Retry, info.Scheduled)
		}
		return nil
	})
}

// ageLeases does what a minute would: asynq's leases of tasks whose worker died
// are over, and long enough for a worker that starts to take them back.
func (r *rig) ageLeases() {
	r.t.Helper()
	key := "asynq:{" + defaultQueue + "}:lease"
	ids, err := r.rdb.ZRange(r.t.Context(), key, 0, -1).Result()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, id := range ids {
		z := redis.Z{Member: id, Score: float64(time.Now().Add(-10 * time.Minute).Unix())}
		if err := r.rdb.ZAddXX(r.t.Context(), key, z).Err(); err != nil {
			r.t.Fatal(err)
		}
	}
}

// patience is how long a test waits for what must happen.
const patience = 40 * time.Second

// eventually waits until check finds no fault.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// stays fails when check finds a fault within d.
func stays(t *testing.T, what string, d time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := check(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return
		}
	}
}
