package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// RelayStore is what Relay needs of a store; store/postgres and store/sqlite
// have it. Every limit bounds one statement.
type RelayStore interface {
	HandoverStore
	RepairStore
	CheckStore
	MarkStore
}

// HandoverStore knows what has to go on the queue.
type HandoverStore interface {
	// Lead makes the caller the one that works. ok is false while another does.
	Lead(ctx context.Context) (ok bool, release func(), err error)
	// StillLeading returns nil while leadership lasts.
	StillLeading(ctx context.Context) error
	// Unqueued are due rows in queued or retrying that nobody has put on the queue.
	Unqueued(ctx context.Context, limit int) ([]store.Handover, error)
	// Handovers are those, and the rows that were put there when they were accepted
	// or answered and that are still not known to be there after HandoverGrace.
	Handovers(ctx context.Context, limit int) ([]store.Handover, error)
	// HandedOver notes that these generations are on the queue.
	HandedOver(ctx context.Context, hs []store.Handover) error
}

// RepairStore moves on what nobody else does.
type RepairStore interface {
	// ExpireLeases moves rows whose lease is over to in_doubt, due after wait.
	ExpireLeases(ctx context.Context, wait time.Duration, limit int) (int, error)
	// ResolveDoubts ends the doubts that are due, as each row's policy says.
	ResolveDoubts(ctx context.Context, limit int) (requeued, dead int, err error)
	// ExpireOverdue ends rows whose time is over.
	ExpireOverdue(ctx context.Context, limit int) (int, error)
	// WakeWaiting queues those of the waiting rows after an id that wait for what is
	// there. A consent lets another row go only when it was left alone for grace.
	// next is where to go on; seen less than limit means that this was the end.
	WakeWaiting(ctx context.Context, after uuid.UUID, grace time.Duration, limit int) (next uuid.UUID, seen, woken int, err error)
	// RequeueOpen gives the open rows after an id a new generation and lets them
	// be handed over. next is where to go on; n less than limit means that this
	// was the end.
	RequeueOpen(ctx context.Context, after uuid.UUID, limit int) (next uuid.UUID, n int, err error)
}

// CheckStore finds tasks that are gone while Redis is healthy.
type CheckStore interface {
	// OnQueue are the open rows after an id whose task must be on the queue, in
	// the order of their ids; fewer than limit mean that this was the end.
	OnQueue(ctx context.Context, after uuid.UUID, limit int) ([]store.OnQueue, error)
	// Requeue gives rows a new generation and lets them be handed over, each
	// unless it moved on since OnQueue; n is how many.
	Requeue(ctx context.Context, list []store.OnQueue) (n int, err error)
}

// MarkStore keeps the mirror of the mark in Redis.
type MarkStore interface {
	// Mark is the last mark set; store.ErrNotFound before the first.
	Mark(ctx context.Context) (store.Mark, error)
	SetMark(ctx context.Context, m store.Mark) error
}

// Defaults of a RelayConfig.
const (
	// DefaultRelayInterval is the pause between two looks for due rows: with the
	// time of a look, a row is on the queue within a quarter of a second.
	DefaultRelayInterval = 200 * time.Millisecond
	// DefaultInDoubtWait is IN_DOUBT_WAIT.
	DefaultInDoubtWait = 90 * time.Second
)

// RelayConfig is what a Relay is made of.
type RelayConfig struct {
	// Store and Redis are required; Relay closes neither. Build Redis with
	// ContextTimeoutEnabled.
	Store RelayStore
	Redis redis.UniversalClient
	// DefaultApp is the app whose queues have no prefix.
	DefaultApp string
	// Payload is what tasks carry. Default: PayloadFull.
	Payload PayloadMode
	// InDoubtWait is how long a doubt waits for a receipt. Default:
	// DefaultInDoubtWait.
	InDoubtWait time.Duration
	// Interval is the pause between two looks for due rows when nothing is left
	// to do. Default: DefaultRelayInterval.
	Interval time.Duration
	// Concurrency is as in Config. Default: DefaultConcurrency.
	Concurrency int
	// Logger gets one line per outage and one per recovery, leadership and
	// rebuilds. Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer
	// TracerProvider gets the spans. A row does not know the trace that it was
	// accepted under: the tasks that Relay makes carry that of the hand-over.
	// Default: OpenTelemetry's global one.
	TracerProvider trace.TracerProvider
}

func (c RelayConfig) withDefaults() RelayConfig {
	if c.Payload == "" {
		c.Payload = PayloadFull
	}
	if c.InDoubtWait == 0 {
		c.InDoubtWait = DefaultInDoubtWait
	}
	if c.Interval == 0 {
		c.Interval = DefaultRelayInterval
	}
	if c.Concurrency == 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	return c
}

// check reports every bad field.
func (c RelayConfig) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("producer: RelayConfig."+format, args...))
	}
	if c.Store == nil {
		bad("Store is required")
	}
	if c.Redis == nil {
		bad("Redis is required")
	}
	if c.DefaultApp != "" && !appIDForm.MatchString(c.DefaultApp) {
		bad("DefaultApp may contain letters, digits, - and _ only")
	}
	if c.Payload != PayloadFull && c.Payload != PayloadID {
		bad("Payload must be full or id")
	}
	if c.InDoubtWait < 0 {
		bad("InDoubtWait is negative")
	}
	if c.Interval < time.Millisecond {
		bad("Interval is %v; at least a millisecond is needed", c.Interval)
	}
	if c.Concurrency < 1 {
		bad("Concurrency is %d; at least 1 is needed", c.Concurrency)
	}
	return errors.Join(errs...)
}
