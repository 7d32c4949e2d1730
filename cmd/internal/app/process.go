package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/producer/webhook"
	"github.com/wxnotify/wxnotify/store"
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
	// TracerProvider gets the spans of all parts; nil: nothing is traced.
	TracerProvider trace.TracerProvider
	// Listener is what LISTEN_ADDR is bound to already; nil lets the gateway bind
	// it.
	Listener net.Listener
}

// Process is a running process: a worker, a gateway, or both on one Relay, one
// registry and one admin listener.
type Process struct {
	Worker   *worker.Worker   // nil in a gateway that sends nothing itself
	Client   *producer.Client // of a gateway; For gives one that is a producer's
	Relay    *producer.Relay
	Registry *prometheus.Registry
	// Templates is the current catalog; nil in a process that takes nothing in.
	Templates *template.Source
	// AdminAddr, ListenAddr and CallbackAddr are what the listeners are bound to;
	// "" without one. CallbackAddr is ListenAddr when one listener serves both.
	AdminAddr, ListenAddr, CallbackAddr string

	parts    Parts
	shared   redis.UniversalClient
	wechat   *wechat.Client
	now      atomic.Pointer[current]
	reloads  *reloadMetrics
	syncer   *template.Syncer // this and the three below: of a gateway
	webhooks *webhook.Sender
	push     *callback.Handler
	api      *gateway.Gateway
	console  atomic.Pointer[consolePages] // nil without an admin listener
	queues   http.Handler                 // asynqmon, once there was a console
	// listed are WeChat's templates as the store had them last.
	listed  atomic.Pointer[[]store.Template]
	eraser  *gateway.Eraser
	started time.Time
	// delivered is the histogram that worker and callback share.
	delivered *prometheus.HistogramVec
	draining  atomic.Bool
	noRedis   atomic.Pointer[time.Time] // since when /readyz of a process without a worker finds it silent
	stops     stops
}

// Clients of one Redis differ in what they wait for: see the settings that
// asynq's servers need when a connection breaks in the middle of an
// acknowledgement.
const (
	redisDialTimeout = 3 * time.Second
	redisReadTimeout = 2 * time.Second
	// What becomes of a task is worth waiting for: five tries within its lease
	// (30 s). Acknowledgements go in blocks of the worker's, which have less.
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
func StartWorker(ctx context.Context, parts Parts) (*Process, error) {
	return start(ctx, parts, true, false)
}

// StartGateway starts a gateway process, which also sends if withWorker. Like a
// worker it waits for neither Redis nor the store.
func StartGateway(ctx context.Context, parts Parts, withWorker bool) (*Process, error) {
	return start(ctx, parts, withWorker, true)
}

// start starts everything in the order in which it is not to be stopped: what is
// there first ends last. Nothing ends with ctx.
func start(ctx context.Context, parts Parts, sends, listens bool) (_ *Process, err error) {
	if parts.TracerProvider == nil {
		parts.TracerProvider = off{}
	}
	p := &Process{
		parts: parts, Registry: newRegistry(), started: time.Now(),
		delivered: newDelivered(parts.Config.Apps),
	}
	p.now.Store(&current{config: parts.Config})
	p.reloads = newReloadMetrics(p.Registry)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := checkSchema(ctx, parts.Store); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	admin := &listener{name: "admin listener"}
	p.stops.add(admin.name, admin.stop)
	p.shared = p.client(sharedTuning())
	for _, step := range []struct {
		wanted bool
		start  func(context.Context) error
	}{
		{true, p.startWeChat},
		{sends, p.startWorker},
		{true, p.startRelay},
		{true, p.startRetention},
		{true, p.startEraser},
		{true, p.startMetrics},
		{listens, p.startTemplates},
		{listens, p.startWebhooks},
		{listens, p.startGateway},
	} {
		if !step.wanted {
			continue
		}
		if err := step.start(ctx); err != nil {
			return nil, err
		}
	}
	return p, p.startAdmin(ctx, admin)
}

func (p *Process) startRelay(ctx context.Context) (err error) {
	cfg := p.settings()
	p.Relay, err = producer.NewRelay(producer.RelayConfig{
		Store: p.parts.Store, Redis: p.shared, DefaultApp: p.defaultApp(), Payload: producer.PayloadMode(cfg.TaskPayload),
		InDoubtWait: cfg.InDoubtWait, Logger: p.parts.Logger, Registerer: p.Registry, TracerProvider: p.parts.TracerProvider,
	})
	if err != nil {
		return err
	}
	p.stops.add("relay", p.Relay.Stop)
	return p.Relay.Start(ctx)
}

// startRetention lets the process whose relay leads forget what is old.
func (p *Process) startRetention(ctx context.Context) error {
	cfg := p.settings()
	r, err := producer.NewRetention(producer.RetentionConfig{
		Store: p.parts.Store, Leads: p.leads,
		Data: cfg.DataRetention, Finished: cfg.Retention, Dead: cfg.DeadRetention,
		Logger: p.parts.Logger, Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.stops.add("retention", r.Stop)
	return r.Start(ctx)
}

// startEraser lets the process whose relay leads finish what erasures left.
func (p *Process) startEraser(ctx context.Context) (err error) {
	p.eraser, err = gateway.NewEraser(gateway.EraserConfig{
		Store: p.parts.Store, Redis: p.shared, DefaultApp: p.defaultApp(), Leads: p.leads,
		Logger: p.parts.Logger.Named("eraser"), Registerer: p.Registry,
	})
	if err != nil {
		return err
	}
	p.stops.add("eraser", p.eraser.Stop)
	p.eraser.Start(ctx)
	return nil
}

// leads reports whether this process does what one process of all does.
func (p *Process) leads() bool { return p.Relay.Health().Leader }

func (p *Process) defaultApp() string {
	def, _ := p.settings().App("")
	return def.AppID
}

// Stop ends the process in order: nothing new is let in, what is under way is
// finished and written, connections are closed. Until its end the admin listener
// tells that the process is not ready.
func (p *Process) Stop(ctx context.Context) error {
	p.draining.Store(true)
	return p.stops.run(ctx)
}

func (p *Process) client(t config.RedisTuning) redis.UniversalClient {
	c := p.parts.Redis(t)
	p.stops.add("Redis client", func(ctx context.Context) error {
		// With ctx over the servers may still run, and asynq's subscriber does not
		// survive that its client closes. The process ends anyway.
		if ctx.Err() == nil {
			return c.Close()
		}
		return nil
	})
	return c
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// checkSchema refuses to start on a schema of another version. A store that is
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

// lacksSchema says what is missing to a process that runs; "" when nothing is.
// One that was migrated on does no harm: every migration leaves what the version
// before it uses, so that an upgrade takes no process out of service before the
// next one is there.
func lacksSchema(ctx context.Context, s Store) string {
	have, want, err := s.Version(ctx)
	if err == nil && have >= want {
		return ""
	}
	if err = checkSchema(ctx, s); err != nil {
		return err.Error()
	}
	return ""
}
