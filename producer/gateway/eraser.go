package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// EraseStore is what an Eraser needs of a store; store/postgres and store/sqlite
// have it.
type EraseStore interface {
	Addresses(ctx context.Context, userID string, apps []string) ([]store.Address, error)
	BeginErasure(ctx context.Context, e store.Erasure) (store.ErasureBegun, error)
	EraseRows(ctx context.Context, ids []uuid.UUID) ([]store.ErasedRow, error)
	Erasures(ctx context.Context, after uuid.UUID, limit int) ([]store.Erasing, error)
	EndErasures(ctx context.Context, ids []uuid.UUID) error
}

// EraserConfig is what an Eraser is made of.
type EraserConfig struct {
	// Store is required.
	Store EraseStore
	// Redis is the queue's; required.
	Redis redis.UniversalClient
	// DefaultApp is the app whose queues have no prefix.
	DefaultApp string
	// Leads says whether this process is the one that finishes what others began;
	// several do no harm. nil means that it always is.
	Leads func() bool
	// Interval is the pause between two rounds. Default: 5 s.
	Interval time.Duration
	// Logger gets a line for each erasure: by whom, when, and how much. Default:
	// none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer

	settled time.Duration // Default: eraseSettled
}

// eraseSettled is how long after its erasure began a notification is looked for in
// Redis again: whoever had read the row before may still put its task on the
// queue, for no longer than two seconds of ours and the timeouts of a connection.
const eraseSettled = time.Minute

// erasePage is how many notifications one transaction erases.
const erasePage = 500

func (c EraserConfig) withDefaults() EraserConfig {
	if c.Leads == nil {
		c.Leads = func() bool { return true }
	}
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.settled == 0 {
		c.settled = eraseSettled
	}
	return c
}

func (c EraserConfig) check() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("gateway: EraserConfig.Store is required"))
	}
	if c.Redis == nil {
		errs = append(errs, errors.New("gateway: EraserConfig.Redis is required"))
	}
	if c.Interval < 0 {
		errs = append(errs, errors.New("gateway: EraserConfig.Interval is negative"))
	}
	return errors.Join(errs...)
}

// Eraser erases users: from the store, and from the queues in Redis. What it
// cannot erase at once (messages being sent or in doubt, tasks in a worker's
// hands) it erases in the background when it has ended, in whichever process
// [Eraser.Start] was called, also when the one that began it is gone. It is safe
// for concurrent use.
//
// What stays of a notification is that it was: its id and ref, app, template,
// page without query, state, reason, errcode, times and the number of attempts,
// and the hash of its content, by which a producer that repeats an old request
// finds it instead of making it anew.
type Eraser struct {
	cfg       EraserConfig
	inspector *asynq.Inspector
	users     prometheus.Counter
	pending   prometheus.Gauge

	mu      sync.Mutex
	cancel  context.CancelFunc // nil until started
	stopped bool
	done    chan struct{}
}

// NewEraser makes an Eraser. It does not touch the network.
func NewEraser(c EraserConfig) (*Eraser, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	e := &Eraser{
		cfg: c, inspector: asynq.NewInspectorFromRedisClient(c.Redis),
		users: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wxnotify_gateway_erasures_total",
			Help: "Requests to erase a user that were carried out.",
		}),
		pending: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wxnotify_gateway_erasures_pending",
			Help: "Notifications of erased users of which something may be left, as of the last round of this process.",
		}),
	}
	if c.Registerer != nil {
		if err := errors.Join(c.Registerer.Register(e.users), c.Registerer.Register(e.pending)); err != nil {
			return nil, fmt.Errorf("gateway: register metrics: %w", err)
		}
	}
	return e, nil
}

// EraseRequest says who is to be erased, and who says so.
type EraseRequest struct {
	UserID string
	Apps   []string // in these apps only; nil: in all
	By     string   // for the log
}

// Erased counts what Erase did.
type Erased struct {
	Cancelled int // notifications that were open: cancelled, reason erased
	Blanked   int // notifications that had ended
	InFlight  int // notifications being sent or in doubt: erased when they ended
	Unbound   int // bindings removed
	Consents  int // entries of the consent ledger removed
	Pushes    int // receipts and events removed that were not worked off
	Tasks     int // tasks taken out of the queues
}

// Erase erases a user. After an error, or a crash, it can be repeated; what it had
// done by then is done. The order sees to that: what is known by the user's
// openids only goes before the bindings do, and what is left after them is on a
// list.
func (e *Eraser) Erase(ctx context.Context, r EraseRequest) (Erased, error) {
	var erased Erased
	addresses, err := e.cfg.Store.Addresses(ctx, r.UserID, r.Apps)
	if err != nil {
		return erased, err
	}
	who := store.Erasure{UserID: r.UserID, Apps: r.Apps, Addresses: addresses}
	erased.Tasks, who.Raw, err = e.clearRaw(ctx, who)
	if err != nil {
		return erased, err
	}
	begun, err := e.cfg.Store.BeginErasure(ctx, who)
	if err != nil {
		return erased, err
	}
	erased.Unbound, erased.Consents, erased.Pushes = begun.Unbound, begun.Consents, begun.Pushes
	for ids := range pages(begun.IDs) {
		rows, err := e.cfg.Store.EraseRows(ctx, ids)
		if err != nil {
			return erased, err
		}
		for _, row := range rows {
			erased.count(row.Result)
		}
	}
	removed, _, err := e.clearTasks(ctx, begun.IDs)
	erased.Tasks += removed
	if err != nil {
		return erased, err
	}
	e.users.Inc()
	e.cfg.Logger.Info("user erased", zap.String("by", r.By), zap.Strings("apps", r.Apps),
		zap.Int("cancelled", erased.Cancelled), zap.Int("blanked", erased.Blanked), zap.Int("in_flight", erased.InFlight),
		zap.Int("unbound", erased.Unbound), zap.Int("consents", erased.Consents), zap.Int("pushes", erased.Pushes),
		zap.Int("tasks", erased.Tasks))
	return erased, nil
}

func (n *Erased) count(r store.EraseResult) {
	switch r {
	case store.EraseCancelled:
		n.Cancelled++
	case store.EraseBlanked:
		n.Blanked++
	case store.EraseInFlight:
		n.InFlight++
	case store.EraseBefore, store.EraseNotFound:
	}
}

// pages cuts ids into what one transaction takes.
func pages(ids []uuid.UUID) func(yield func([]uuid.UUID) bool) {
	return func(yield func([]uuid.UUID) bool) {
		for len(ids) > 0 {
			n := min(len(ids), erasePage)
			if !yield(ids[:n]) {
				return
			}
			ids = ids[n:]
		}
	}
}

// Finish erases what has ended since its erasure began, in the store and in
// Redis. left is how many notifications it has to come back for.
func (e *Eraser) Finish(ctx context.Context) (left int, err error) {
	ripe := map[uuid.UUID]bool{} // erased from the store; whether for long enough
	var ended []uuid.UUID
	for after := uuid.Nil; ; {
		list, err := e.cfg.Store.Erasures(ctx, after, erasePage)
		if err != nil {
			return left, err
		}
		if len(list) == 0 {
			break
		}
		ids := make([]uuid.UUID, len(list))
		for i, n := range list {
			ids[i] = n.ID
		}
		rows, err := e.cfg.Store.EraseRows(ctx, ids)
		if err != nil {
			return left, err
		}
		for i, row := range rows {
			if row.Result.Done() {
				ripe[row.ID] = list[i].Age >= e.cfg.settled
				ended = append(ended, row.ID)
			}
		}
		left += len(list)
		after = ids[len(ids)-1]
	}
	if len(ended) == 0 {
		return left, nil
	}
	_, kept, err := e.clearTasks(ctx, ended)
	if err != nil {
		return left, err
	}
	var over []uuid.UUID
	for _, id := range ended {
		if ripe[id] && !kept[id] {
			over = append(over, id)
		}
	}
	for ids := range pages(over) {
		if err := e.cfg.Store.EndErasures(ctx, ids); err != nil {
			return left, err
		}
		left -= len(ids)
	}
	return left, nil
}

// Start finishes erasures in the background until Stop or until ctx is done.
// Started again it does nothing.
func (e *Eraser) Start(ctx context.Context) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cancel != nil || e.stopped {
		return
	}
	ctx, e.cancel = context.WithCancel(ctx)
	e.done = make(chan struct{})
	go e.run(ctx, e.done)
}

// finishTimeout bounds one round: a scan of some millions of tasks takes a minute.
const finishTimeout = 10 * time.Minute

func (e *Eraser) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	away := false
	for {
		t := time.NewTimer(e.cfg.Interval + rand.N(e.cfg.Interval/2+1)) //nolint:gosec // only keeps processes apart
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		if !e.cfg.Leads() {
			e.pending.Set(0)
			continue
		}
		round, cancel := context.WithTimeout(ctx, finishTimeout)
		left, err := e.Finish(round)
		cancel()
		switch {
		case err == nil:
			away = false
			e.pending.Set(float64(left))
		case ctx.Err() == nil && !away:
			away = true
			e.cfg.Logger.Warn("erasures not finished; trying again", zap.Error(err))
		}
	}
}

// Stop ends the work in the background and waits for it, at most as long as ctx.
// It may be called again, and before Start.
func (e *Eraser) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true
	cancel, done := e.cancel, e.done
	e.mu.Unlock()
	if cancel == nil {
		return nil
	}
	cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("gateway: stop eraser: %w", ctx.Err())
	}
}
