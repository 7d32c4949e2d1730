package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Store is what the worker needs of a store.
type Store interface {
	Look(ctx context.Context, ids []uuid.UUID) ([]store.Look, error)
	Adopt(ctx context.Context, a store.Acceptance) (store.Look, error)
	Commit(ctx context.Context, b store.Batch) (store.Results, error)
}

// Sender calls subscribe/send; *wechat.Client is one.
type Sender interface {
	Send(ctx context.Context, token string, m wechat.Message) (wechat.Receipt, error)
}

// Tokens hands out the shared access token of one app; *wechat.Tokens is one.
type Tokens interface {
	Token(ctx context.Context) (string, error)
	Drop(ctx context.Context, bad string) error
}

// App is one Mini Program that this process serves.
type App struct {
	ID     string
	Tokens Tokens
	// MaxSendRate is messages a second for the whole fleet; 0 is no limit.
	MaxSendRate int
	// MiniprogramState and Lang are used where the notification has none.
	MiniprogramState string
	Lang             string
	// Templates are those that are counted one by one; all others together.
	Templates []string
	// OnlyTo lists user ids and openids that may get messages; everyone else's
	// end cancelled. Empty means everybody.
	OnlyTo []string
	// QuietHours are those of templates, by id: what comes within them is put off
	// until their end.
	QuietHours map[string]store.QuietHours
}

// Config holds a worker's settings and dependencies.
type Config struct {
	Apps []App
	// DefaultApp is the one whose queues are critical, default and low; "" for
	// none, then a raw task must be put on the queue of an app.
	DefaultApp string
	Store      Store
	Sender     Sender
	// Redis is for pauses, rates and queue care.
	Redis redis.UniversalClient
	// ServerRedis is for asynq's servers and nothing else: New adds a hook that
	// would be wrong on a client with other users.
	ServerRedis redis.UniversalClient

	Concurrency int           // calls in flight of this process; default 200
	SendTimeout time.Duration // of one call; default 10s
	InDoubtWait time.Duration // before a doubt is resolved; default 90s
	MaxAttempts int           // that the budget counts; default 8
	MaxAge      time.Duration // of a raw task from its adoption on; default 72h

	Logger     *zap.Logger
	Registerer prometheus.Registerer // nil: no metrics
	// TracerProvider gets the spans; nil: OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
	// Delivered is told how long after its acceptance the receipt of a delivered
	// message came, where that came before the answer to the call; it must not
	// block. nil: nobody is told.
	Delivered func(appID string, after time.Duration)
}

func (c *Config) check() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("worker: "+what))
		}
	}
	need(len(c.Apps) > 0, "no app to serve")
	need(c.Store != nil, "Store is required")
	need(c.Sender != nil, "Sender is required")
	need(c.Redis != nil && c.ServerRedis != nil, "Redis and ServerRedis are required")
	need(c.Redis != c.ServerRedis || c.Redis == nil, "ServerRedis must be a client of its own")
	need(c.Concurrency >= 0 && c.SendTimeout >= 0 && c.InDoubtWait >= 0 && c.MaxAttempts >= 0 && c.MaxAge >= 0, "a setting is negative")
	seen := map[string]bool{}
	for _, a := range c.Apps {
		need(a.ID != "" && a.Tokens != nil, "an app has no ID or no Tokens")
		need(!seen[a.ID], fmt.Sprintf("app %s is listed twice", a.ID))
		seen[a.ID] = true
	}
	need(c.DefaultApp == "" || seen[c.DefaultApp], "DefaultApp is not among Apps")
	return errors.Join(errs...)
}

func (c *Config) setDefaults() {
	def := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	def(&c.SendTimeout, 10*time.Second)
	def(&c.InDoubtWait, 90*time.Second)
	def(&c.MaxAge, 72*time.Hour)
	if c.Concurrency == 0 {
		c.Concurrency = 200
	}
	if c.MaxAttempts == 0 {
		c.MaxAttempts = 8
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
}

// Worker serves the queues of its apps.
type Worker struct {
	cfg       Config
	slots     *slots // for deliveries, from before the claim to the end of the call
	calls     *slots // for calls in flight, without credit
	openIDs   *keyedLock
	committer *committer
	looker    *looker
	inspector *asynq.Inspector
	intakes   *intakes
	metrics   *metrics
	tracer    trace.Tracer
	sweeps    *sweepMetrics
	timing    timing

	// now is what is served; changing is held while that changes, and guards life.
	now      atomic.Pointer[serving]
	changing sync.Mutex
	life     life
	leaving  sync.WaitGroup // apps that are no longer served and not drained yet

	// draining ends every wait that comes before a claim.
	draining context.Context //nolint:containedctx // the lifetime of the process's intake, not of a call
	drain    context.CancelFunc
	// sends counts deliveries between their claim and their settlement.
	sends   sync.WaitGroup
	running *handlers                 // of raw tasks
	away    atomic.Pointer[time.Time] // since when the store does not answer
	noRedis atomic.Pointer[time.Time] // since when Redis does not answer
	beat    atomic.Int64              // unix seconds of the last turn of the care loop

	loops    sync.WaitGroup
	stopLoop context.CancelFunc
	start    sync.Once
	stop     sync.Once
	stopErr  error
}

// server is one asynq server: one queue of one app, since one server is one
// dequeue loop and a queue of its own keeps priorities apart.
type server struct {
	queue  string
	asynq  *asynq.Server
	intake *intake
	w      *Worker
	appID  string
	prio   store.Priority
	// busy counts the handlers that run.
	busy atomic.Int64
	// draining ends every wait of the app's deliveries that comes before a claim.
	draining context.Context //nolint:containedctx // the lifetime of the app's intake, not of a call
}

const (
	// taskCheckInterval is how long an idle asynq server sleeps: not at all, since
	// its intake waits for the bell.
	taskCheckInterval = time.Nanosecond
	// delayedCheckInterval is how often short retries are looked for.
	delayedCheckInterval = time.Second
	// leaseMargin is what a claim lasts longer than the call, twice: once for
	// the way from the claim to the call, once to write the answer.
	leaseMargin = 5 * time.Second
)

// New checks cfg and wires a worker; nothing runs before Start.
func New(cfg Config) (*Worker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	w := &Worker{
		cfg: cfg, slots: newSlots(cfg.Concurrency), calls: newSlots(cfg.Concurrency), openIDs: newKeyedLock(),
		looker: newLooker(cfg.Store), inspector: asynq.NewInspectorFromRedisClient(cfg.Redis),
		metrics: newMetrics(cfg.Registerer, nil), sweeps: newSweepMetrics(cfg.Registerer), timing: defaultTiming(),
		running: newHandlers(handlerMemory), intakes: &intakes{}, tracer: cfg.TracerProvider.Tracer(tracerName),
	}
	w.committer = newCommitter(cfg.Store, cfg.Logger, w.tracer, w.storeAway)
	w.draining, w.drain = context.WithCancel(context.Background())
	cfg.ServerRedis.AddHook(serverHook{failPause: scriptFailPause, intakes: w.intakes, acks: &acks{redis: cfg.ServerRedis}})
	next := &serving{apps: map[string]*app{}, left: map[string]bool{}}
	for _, a := range cfg.Apps {
		next.add(w.newApp(a))
	}
	w.serve(next)
	return w, nil
}

// handlersPerServer is more than the calls in flight, so that looking, claiming
// and settling do not take from the time of sending.
func (w *Worker) handlersPerServer() int { return w.cfg.Concurrency + beyond(w.cfg.Concurrency) }

// beyond is how many deliveries may be at work beside a number of calls: half as
// many, and where there are few calls enough that a transaction is shared by some
// dozens of claims and settlements.
func beyond(calls int) int { return max(64, calls/2) }

// room is how many tasks the server could begin now.
func (s *server) room() int { return s.w.handlersPerServer() - int(s.busy.Load()) }

func (w *Worker) asynqConfig(s *server) asynq.Config {
	return asynq.Config{
		Concurrency:              w.handlersPerServer(),
		Queues:                   map[string]int{s.queue: 1},
		TaskCheckInterval:        taskCheckInterval,
		DelayedTaskCheckInterval: delayedCheckInterval,
		ShutdownTimeout:          w.cfg.SendTimeout + leaseMargin,
		LogLevel:                 asynq.WarnLevel,
		Logger:                   &asynqLogger{w.cfg.Logger.Named("asynq").With(zap.String("queue", s.queue))},
		IsFailure:                func(err error) bool { return guarded(true, func() bool { return isFailure(err) }) },
		RetryDelayFunc: func(n int, err error, t *asynq.Task) time.Duration {
			return guarded(defaultRetryDelay, func() time.Duration { return retryDelay(n, err, t) })
		},
		ErrorHandler: asynq.ErrorHandlerFunc(func(ctx context.Context, t *asynq.Task, err error) {
			guarded(struct{}{}, func() struct{} { s.neverRun(ctx, t, err); return struct{}{} })
		}),
	}
}

// Start begins to take work. It returns once the servers run, whether or not
// Redis and the store answer: a worker waits for them.
func (w *Worker) Start(ctx context.Context) error {
	var err error
	w.start.Do(func() {
		w.changing.Lock()
		defer w.changing.Unlock()
		w.life = runs
		loopCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		w.stopLoop = cancel
		w.care(loopCtx, true)
		w.committer.start()
		if err = startServers(w.now.Load().servers); err != nil {
			return
		}
		w.loops.Go(func() { w.careLoop(loopCtx) })
		w.loops.Go(func() { w.sweepLoop(loopCtx) })
		w.loops.Go(func() { w.intakes.listen(loopCtx, w.cfg.Redis) })
	})
	return err
}

// Stop takes no new work, lets the calls in flight finish and writes what is
// known of them, however long the store is away, until ctx ends.
func (w *Worker) Stop(ctx context.Context) error {
	w.stop.Do(func() { w.stopErr = w.shutdown(ctx) })
	return w.stopErr
}

func (w *Worker) shutdown(ctx context.Context) error {
	w.changing.Lock()
	w.life = ended
	servers := w.now.Load().servers
	w.changing.Unlock()
	w.drain()
	settled := make(chan struct{})
	go func() {
		stopServers(servers)
		w.leaving.Wait()
		w.sends.Wait()
		close(settled)
	}()
	if w.stopLoop != nil {
		w.stopLoop()
	}
	select {
	case <-settled:
	case <-ctx.Done():
		return fmt.Errorf("worker stopped before every known answer was written: %w", ctx.Err())
	}
	w.loops.Wait()
	if w.stopLoop != nil {
		return w.committer.stop(ctx)
	}
	return nil
}

// careLoop keeps the gates and the queues.
func (w *Worker) careLoop(ctx context.Context) {
	gates := time.NewTicker(refreshInterval)
	defer gates.Stop()
	queues := time.NewTicker(sweepInterval)
	defer queues.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-gates.C:
			w.care(ctx, false)
		case <-queues.C:
			w.care(ctx, true)
		}
	}
}

// careTimeout bounds one turn, so that a Redis that hangs does not stop the loop.
const careTimeout = 5 * time.Second

func (w *Worker) care(ctx context.Context, queues bool) {
	w.beat.Store(time.Now().Unix())
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, careTimeout)
	defer cancel()
	now := w.now.Load()
	for _, a := range now.apps {
		err := a.gate.refresh(ctx)
		if whole.Err() == nil {
			since(&w.noRedis, err != nil)
		}
		if err != nil {
			w.cfg.Logger.Debug("gate not refreshed", zap.String("app", a.ID), zap.Error(err))
		}
	}
	if !queues {
		return
	}
	for _, s := range now.servers {
		if err := sweep(ctx, w.cfg.Redis, s.queue, time.Now(), w.cfg.Logger); err != nil {
			w.cfg.Logger.Warn("queue not looked after: Redis does not answer", zap.String("queue", s.queue), zap.Error(err))
			return
		}
	}
}

func (w *Worker) storeAway(away bool) { since(&w.away, away) }

// since keeps when something began to last; nil while it does not.
func since(from *atomic.Pointer[time.Time], lasts bool) {
	if !lasts {
		from.Store(nil)
		return
	}
	now := time.Now()
	from.CompareAndSwap(nil, &now)
}

// Degraded is one part that works less than it should.
type Degraded struct {
	Part   string    `json:"part"`
	App    string    `json:"app,omitempty"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Degraded lists paused apps and what does not answer of store and Redis.
func (w *Worker) Degraded() []Degraded {
	var out []Degraded
	if t := w.away.Load(); t != nil {
		out = append(out, Degraded{Part: "store", Reason: "does not answer", Since: *t})
	}
	if t := w.noRedis.Load(); t != nil {
		out = append(out, Degraded{Part: "redis", Reason: "does not answer", Since: *t})
	}
	for _, a := range w.now.Load().apps {
		if p := a.gate.state(); p != nil {
			out = append(out, Degraded{Part: "app", App: a.ID, Reason: p.Why, Since: p.since})
		}
	}
	return out
}

// StoreAway reports whether the store has stopped answering.
func (w *Worker) StoreAway() bool { return w.away.Load() != nil }

// Alive reports whether the care loop still turns.
func (w *Worker) Alive() bool {
	return time.Since(time.Unix(w.beat.Load(), 0)) < 4*careTimeout
}
