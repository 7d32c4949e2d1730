package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Parts are what a process is made of that differs between production and dev.
type Parts struct {
	Config *config.Config
	Store  Store
	// Redis makes a client with the given tuning; each call makes a new one that
	// the process closes.
	Redis  func(config.RedisTuning) redis.UniversalClient
	Logger *zap.Logger
}

// Worker is a running worker process: the asynq servers, Relay, and the admin
// listener.
type Worker struct {
	Worker   *worker.Worker
	Relay    *producer.Relay
	Registry *prometheus.Registry
	// AdminAddr is the address the admin listener is bound to; "" without one.
	AdminAddr string

	started time.Time
	stops   stops
}

// Clients of one Redis differ in what they wait for: see the settings that
// asynq's servers need when a connection breaks in the middle of an
// acknowledgement.
const (
	redisDialTimeout = 3 * time.Second
	redisReadTimeout = 2 * time.Second
	// An acknowledgement is worth waiting for: five tries within the lease of a
	// task (30 s).
	serverReadTimeout     = 3 * time.Second
	serverRetries         = 5
	serverMaxRetryBackoff = 2 * time.Second
)

// sharedTuning is that of every client but asynq's servers'.
func sharedTuning() config.RedisTuning {
	return config.RedisTuning{DialTimeout: redisDialTimeout, ReadTimeout: redisReadTimeout, MaxRetries: 3, ClientName: "wxnotify"}
}

func serverTuning() config.RedisTuning {
	return config.RedisTuning{
		DialTimeout: redisDialTimeout, ReadTimeout: serverReadTimeout,
		MaxRetries: serverRetries, MaxRetryBackoff: serverMaxRetryBackoff, ClientName: "wxnotify-server",
	}
}

// StartWorker starts a worker process. It waits for neither Redis nor the
// store, but refuses a schema that is not this program's.
func StartWorker(ctx context.Context, p Parts) (_ *Worker, err error) {
	w := &Worker{Registry: newRegistry(), started: time.Now()}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stops.run(context.WithoutCancel(ctx)))
		}
	}()
	if err := checkSchema(ctx, p.Store); err != nil {
		return nil, err
	}
	shared, server := w.client(p, sharedTuning()), w.client(p, serverTuning())

	client, err := wechat.New(wechat.Config{
		BaseURL: p.Config.APIBaseURL, MaxConns: p.Config.Concurrency, Timeout: p.Config.SendTimeout,
		Logger: p.Logger, Registerer: w.Registry,
	})
	if err != nil {
		return nil, err
	}
	w.stops.add("WeChat client", func(context.Context) error { client.Close(); return nil })

	apps, err := w.apps(p, client, shared)
	if err != nil {
		return nil, err
	}
	def, _ := p.Config.App("")
	w.Worker, err = worker.New(worker.Config{
		Apps: apps, DefaultApp: def.AppID, Store: p.Store, Sender: client, Redis: shared, ServerRedis: server,
		Concurrency: p.Config.Concurrency, SendTimeout: p.Config.SendTimeout, InDoubtWait: p.Config.InDoubtWait,
		MaxAttempts: p.Config.MaxAttempts, MaxAge: p.Config.MaxAge, Logger: p.Logger, Registerer: w.Registry,
	})
	if err != nil {
		return nil, err
	}
	if err := w.Worker.Start(ctx); err != nil {
		return nil, err
	}
	w.stops.add("worker", w.Worker.Stop)

	w.Relay, err = producer.NewRelay(producer.RelayConfig{
		Store: p.Store, Redis: shared, DefaultApp: def.AppID, Payload: producer.PayloadMode(p.Config.TaskPayload),
		InDoubtWait: p.Config.InDoubtWait, Logger: p.Logger, Registerer: w.Registry,
	})
	if err != nil {
		return nil, err
	}
	if err := w.Relay.Start(ctx); err != nil {
		return nil, err
	}
	w.stops.add("relay", w.Relay.Stop)
	if err := w.retention(ctx, p); err != nil {
		return nil, err
	}
	return w, w.admin(ctx, p)
}

// retention lets the process whose relay leads forget what is old.
func (w *Worker) retention(ctx context.Context, p Parts) error {
	r, err := producer.NewRetention(producer.RetentionConfig{
		Store: p.Store, Leads: func() bool { return w.Relay.Health().Leader },
		Data: p.Config.DataRetention, Finished: p.Config.Retention, Dead: p.Config.DeadRetention,
		Logger: p.Logger, Registerer: w.Registry,
	})
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	w.stops.add("retention", r.Stop)
	return nil
}

// Stop ends the process in order: no new work, calls in flight finished and
// written, connections closed.
func (w *Worker) Stop(ctx context.Context) error { return w.stops.run(ctx) }

func (w *Worker) client(p Parts, t config.RedisTuning) redis.UniversalClient {
	c := p.Redis(t)
	w.stops.add("Redis client", func(ctx context.Context) error {
		// With ctx over the servers may still run, and asynq's subscriber does not
		// survive that its client closes. The process ends anyway.
		if ctx.Err() == nil {
			return c.Close()
		}
		return nil
	})
	return c
}

// apps makes the token manager of every app.
func (w *Worker) apps(p Parts, client *wechat.Client, shared redis.UniversalClient) ([]worker.App, error) {
	cache, err := tokencache.New(tokencache.Config{Redis: shared})
	if err != nil {
		return nil, err
	}
	apps := make([]worker.App, 0, len(p.Config.Apps))
	for _, a := range p.Config.Apps {
		tokens, err := w.tokens(p, a, client, cache)
		if err != nil {
			return nil, fmt.Errorf("token of app %s: %w", a.AppID, err)
		}
		apps = append(apps, worker.App{
			ID: a.AppID, Tokens: tokens, MaxSendRate: a.MaxSendRate,
			MiniprogramState: string(a.MiniprogramState), Lang: string(a.Lang), OnlyTo: a.OnlyTo,
		})
	}
	return apps, nil
}

// tokens is the token manager of one app.
func (w *Worker) tokens(p Parts, a config.App, client *wechat.Client, cache wechat.Cache) (*wechat.Tokens, error) {
	cfg := wechat.TokensConfig{
		App:    wechat.App{AppID: a.AppID, Secret: a.Secret.Reveal()},
		Client: client, Cache: cache, Logger: p.Logger, Registerer: w.Registry,
	}
	switch a.TokenSource.Kind {
	case config.TokenStable:
		cfg.Source = wechat.SourceStable
	case config.TokenClassic:
		cfg.Source = wechat.SourceClassic
	case config.TokenForeign:
		key := a.TokenSource.Foreign
		cfg.Source, cfg.Foreign = wechat.SourceForeign, tokencache.NewForeign(w.otherRedis(key), key.Key)
	}
	if key := a.TokenMirror; !key.IsZero() {
		cfg.Mirror = tokencache.NewMirror(w.otherRedis(key), key.Key)
	}
	tokens, err := wechat.NewTokens(cfg)
	if err != nil {
		return nil, err
	}
	tokens.Start()
	w.stops.add("token of app "+a.AppID, tokens.Stop)
	return tokens, nil
}

// otherRedis is a client of a Redis that is not ours.
func (w *Worker) otherRedis(key config.RedisKey) redis.UniversalClient {
	c := key.Redis.NewClient(sharedTuning())
	w.stops.add("Redis client of a shared token", func(context.Context) error { return c.Close() })
	return c
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// checkSchema refuses to run on a schema of another version. A store that is
// away is no reason: the process waits for it.
func checkSchema(ctx context.Context, s Store) error {
	have, want, err := s.Version(ctx)
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return nil
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case have < want:
		return fmt.Errorf("%w: the database is at %d, this program needs %d: run `wxnotify migrate up`", store.ErrSchema, have, want)
	case have > want:
		return fmt.Errorf("%w: the database is at %d, this program knows %d: run a newer wxnotify", store.ErrSchema, have, want)
	}
	return nil
}
