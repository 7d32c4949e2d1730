package worker

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// rig is one app with a store, a simulator, and as many worker processes as a
// test starts.
type rig struct {
	t        *testing.T
	ctx      context.Context //nolint:containedctx // the test's own
	appID    string
	app      simulator.App
	sim      *simulator.Simulator
	baseURL  string
	store    *postgres.Store
	storeURL string
	redis    *redis.Client
	client   *asynq.Client
	logs     *observer.ObservedLogs
	logger   *zap.Logger

	// Settings of the workers that start from now on.
	concurrency int
	sendTimeout time.Duration
	maxAttempts int
	edit        func(*Config)
	editTiming  func(*timing)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	app := simulator.SeedApp()
	app.AppID = testAppID()
	r := &rig{t: t, ctx: t.Context(), appID: app.AppID, app: app, redis: testRedis(t), concurrency: 20, sendTimeout: 5 * time.Second}
	core, logs := observer.New(zapcore.DebugLevel)
	r.logs, r.logger = logs, zap.New(core)
	r.sim, r.baseURL = simulatortest.Start(t, simulator.Config{Apps: []simulator.App{app}, AutoConsent: true})
	r.store, r.storeURL = postgrestest.Open(t)
	r.client = asynq.NewClientFromRedisClient(r.redis)
	t.Cleanup(r.wipe)
	return r
}

// wipe removes what the test left in the shared Redis.
func (r *rig) wipe() {
	ctx := context.Background()
	for _, pattern := range []string{"*{" + r.appID + ":*", "wxnotify:*" + r.appID + "*"} {
		iter := r.redis.Scan(ctx, 0, pattern, 1000).Iterator()
		for iter.Next(ctx) {
			r.redis.Del(ctx, iter.Val())
		}
	}
	for _, q := range task.Queues(r.appID, "") {
		r.redis.SRem(ctx, "asynq:queues", q)
	}
}

// process is one worker process with clients of its own.
type process struct {
	*Worker
	tokens   *wechat.Tokens
	registry *prometheus.Registry
	stop     func()
}

// newRedis is one more client of the same Redis.
func (r *rig) newRedis() *redis.Client {
	opts := *r.redis.Options()
	c := redis.NewClient(&opts)
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) start() *process {
	r.t.Helper()
	p := r.prepare()
	if err := p.Start(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// prepare wires a process without starting it.
func (r *rig) prepare() *process {
	r.t.Helper()
	reg := prometheus.NewRegistry()
	client, err := wechat.New(wechat.Config{BaseURL: r.baseURL, MaxConns: r.concurrency, Timeout: r.sendTimeout, Registerer: reg})
	if err != nil {
		r.t.Fatal(err)
	}
	shared := r.newRedis()
	cache, err := tokencache.New(tokencache.Config{Redis: shared})
	if err != nil {
		r.t.Fatal(err)
	}
	tokens, err := wechat.NewTokens(wechat.TokensConfig{
		App: wechat.App{AppID: r.appID, Secret: r.app.Secret}, Client: client, Cache: cache, Logger: r.logger,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := Config{
		Apps:  []App{{ID: r.appID, Tokens: tokens, MiniprogramState: "formal", Lang: "zh_CN"}},
		Store: r.store, Sender: client, Redis: shared, ServerRedis: r.newRedis(),
		Concurrency: r.concurrency, SendTimeout: r.sendTimeout, MaxAttempts: r.maxAttempts,
		Logger: r.logger, Registerer: reg,
	}
	if r.edit != nil {
		r.edit(&cfg)
	}
	w, err := New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.editTiming != nil {
		r.editTiming(&w.timing)
	}
	p := &process{Worker: w, tokens: tokens, registry: reg}
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			r.t.Errorf("stop the worker: %v", err)
		}
		if err := tokens.Stop(ctx); err != nil {
			r.t.Errorf("stop the tokens: %v", err)
		}
		client.Close()
	}
	r.t.Cleanup(p.stop)
	return p
}

// reportData is well-formed data of the long-term template SeedReport.
var reportData = map[string]string{"thing1": "设备领用月报", "thing2": "2026年10月"}

// accept inserts a notification without putting it on the queue.
func (r *rig) accept(edits ...func(*store.Notification)) store.Notification {
	r.t.Helper()
	n := store.Notification{
		ID: uuid.Must(uuid.NewV7()), App: r.appID, TemplateID: simulator.SeedReport, Page: "pages/report?id=7",
		OpenID: simulator.OpenID(uuid.NewString()), Data: reportData, Priority: store.Default,
		Duplicates: store.DuplicatesAllow, Generation: 1,
	}
	for _, e := range edits {
		e(&n)
	}
	ins, err := r.store.Insert(r.ctx, []store.Acceptance{{Notification: n, MaxAge: time.Hour, HandoverIn: store.HandoverGrace}})
	if err != nil || ins[0].Err != nil {
		r.t.Fatalf("insert: %v %v", err, ins)
	}
	return r.get(n.ID)
}

// enqueue puts the delivery of a row on the queue.
func (r *rig) enqueue(n store.Notification) {
	r.t.Helper()
	b, err := task.Payload{ID: n.ID, App: n.App, TemplateID: n.TemplateID, UserID: n.UserID, OpenID: n.OpenID, Data: n.Data}.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.client.EnqueueContext(r.ctx, task.New(n.ID, n.Generation, task.Queue(n.App, "", n.Priority), b))
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		r.t.Fatalf("enqueue: %v", err)
	}
}

// send accepts and enqueues.
func (r *rig) send(edits ...func(*store.Notification)) store.Notification {
	r.t.Helper()
	n := r.accept(edits...)
	r.enqueue(n)
	return n
}

// raw enqueues a task as any asynq client would, and returns the id of its row.
func (r *rig) raw(payload any, opts ...asynq.Option) (id uuid.UUID, taskID string) {
	r.t.Helper()
	b, ok := payload.([]byte)
	if !ok {
		var err error
		if b, err = json.Marshal(payload); err != nil {
			r.t.Fatal(err)
		}
	}
	queue := task.Queue(r.appID, "", store.Default)
	info, err := r.client.EnqueueContext(r.ctx, asynq.NewTask(task.Type, b), append([]asynq.Option{asynq.Queue(queue)}, opts...)...)
	if err != nil {
		r.t.Fatalf("enqueue raw: %v", err)
	}
	return task.RawID(queue, info.ID), info.ID
}

func (r *rig) get(id uuid.UUID) store.Notification {
	r.t.Helper()
	n, _, err := r.store.Get(context.Background(), id)
	if err != nil {
		r.t.Fatalf("get: %v", err)
	}
	return n
}

func (r *rig) attempts(id uuid.UUID) []store.Attempt {
	r.t.Helper()
	_, as, err := r.store.Get(context.Background(), id)
	if err != nil {
		r.t.Fatalf("get: %v", err)
	}
	return as
}

// await waits until the row satisfies cond.
func (r *rig) await(id uuid.UUID, what string, cond func(store.Notification) bool) store.Notification {
	r.t.Helper()
	var last store.Notification
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		n, _, err := r.store.Get(context.Background(), id)
		switch {
		case err == nil:
			last = n
			if cond(n) {
				return n
			}
		case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUnavailable):
			r.t.Fatalf("get: %v", err)
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			r.t.Fatalf("not in time: %s; the row is %s class %q reason %q errcode %d seq %d spent %d", what,
				last.State, last.Class, last.Reason, last.Errcode, last.Seq, last.Spent)
		}
	}
}

func (r *rig) awaitState(id uuid.UUID, s store.State) store.Notification {
	r.t.Helper()
	return r.await(id, "state "+string(s), func(n store.Notification) bool { return n.State == s })
}

func (r *rig) inspector() *asynq.Inspector { return asynq.NewInspectorFromRedisClient(r.redis) }

func (r *rig) queue() string { return task.Queue(r.appID, "", store.Default) }

func (r *rig) fault(f simulator.Fault) {
	r.t.Helper()
	if _, err := r.sim.AddFault(f); err != nil {
		r.t.Fatal(err)
	}
}

// awaitSim waits for the simulator.
func (r *rig) awaitSim(what string, ok func(simulator.State) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := r.sim.Await(ctx, ok); err != nil {
		r.t.Fatalf("not in time: %s: %v; %+v", what, err, r.sim.State())
	}
}
