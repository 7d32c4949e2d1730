package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// RetentionStore forgets what is old; store/postgres and store/sqlite have it.
// Each call is one statement over at most limit rows that ended longer than age
// ago, the oldest first, and returns how many it changed. It passes over rows
// that are not final or that somebody else holds.
type RetentionStore interface {
	RowRetentionStore
	EventRetentionStore
}

// RowRetentionStore forgets notifications and requests.
type RowRetentionStore interface {
	// BlankData removes data, page query and payload of what is no dead letter.
	BlankData(ctx context.Context, age time.Duration, limit int) (int, error)
	// DeleteFinished deletes what BlankData was done with, and its attempts.
	DeleteFinished(ctx context.Context, age time.Duration, limit int) (int, error)
	// DeleteDead deletes dead letters, and their attempts.
	DeleteDead(ctx context.Context, age time.Duration, limit int) (int, error)
	// DeleteRequests deletes requests by their Idempotency-Key that were first
	// seen longer than age ago.
	DeleteRequests(ctx context.Context, age time.Duration, limit int) (int, error)
}

// EventRetentionStore forgets what WeChat and users told.
type EventRetentionStore interface {
	// DeletePushes deletes the keys of pushes that are finished and came longer
	// than age ago.
	DeletePushes(ctx context.Context, age time.Duration, limit int) (int, error)
	// DeleteReceipts deletes receipts that found no attempt and came longer than
	// age ago.
	DeleteReceipts(ctx context.Context, age time.Duration, limit int) (int, error)
	// DeleteConsentEvents deletes the keys of events about consents that came
	// longer than age ago.
	DeleteConsentEvents(ctx context.Context, age time.Duration, limit int) (int, error)
}

// The defaults of a RetentionConfig.
const (
	DefaultDataRetention = 7 * 24 * time.Hour
	DefaultRetention     = 90 * 24 * time.Hour
	DefaultDeadRetention = 180 * 24 * time.Hour
)

// RetentionConfig is what a Retention is made of.
type RetentionConfig struct {
	// Store is required; Retention does not close it.
	Store RetentionStore
	// Leads says whether this process is the one that works, so that the
	// database does not bear several at once; they would do no harm. nil means
	// that it always is.
	Leads func() bool
	// Data is how long after its end a notification keeps its data, the query of
	// its page and its payload, if Finished is not shorter. Default:
	// DefaultDataRetention.
	Data time.Duration
	// Finished is how long after its end a notification is kept. Default:
	// DefaultRetention.
	Finished time.Duration
	// Dead is how long a dead letter is kept, with its data, since it can be
	// replayed as long as it is there. Default: DefaultDeadRetention.
	Dead time.Duration
	// Interval is the pause between two rounds. Default: a minute.
	Interval time.Duration
	// Logger gets one line per outage and one per recovery. Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: they are not registered.
	Registerer prometheus.Registerer
}

func (c RetentionConfig) withDefaults() RetentionConfig {
	for _, d := range []struct {
		at  *time.Duration
		def time.Duration
	}{
		{&c.Data, DefaultDataRetention}, {&c.Finished, DefaultRetention}, {&c.Dead, DefaultDeadRetention}, {&c.Interval, time.Minute},
	} {
		if *d.at == 0 {
			*d.at = d.def
		}
	}
	if c.Leads == nil {
		c.Leads = func() bool { return true }
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c
}

// check reports every bad field.
func (c RetentionConfig) check() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("producer: RetentionConfig.Store is required"))
	}
	for name, d := range map[string]time.Duration{"Data": c.Data, "Finished": c.Finished, "Dead": c.Dead, "Interval": c.Interval} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("producer: RetentionConfig.%s is negative", name))
		}
	}
	return errors.Join(errs...)
}

// Retention keeps the store from growing for ever: it blanks the data of
// notifications that ended and deletes them later, and deletes what is known by
// an Idempotency-Key when the key no longer counts. It never touches what is
// open, being sent or in doubt.
//
// It is safe for concurrent use.
type Retention struct {
	config RetentionConfig
	page   int // rows per statement
	rows   *prometheus.CounterVec
	away   outage
	loop   loop
}

// forgetting is what retention does to rows, a label.
type forgetting string

const (
	dataBlanked     forgetting = "data_blanked"
	finishedDeleted forgetting = "deleted"
	deadDeleted     forgetting = "dead_deleted"
	requestsDeleted forgetting = "requests_deleted"
	pushesDeleted   forgetting = "pushes_deleted"
	receiptsDeleted forgetting = "receipts_deleted"
	consentsDeleted forgetting = "consent_events_deleted"
)

// NewRetention makes a Retention. It does not touch the network.
func NewRetention(config RetentionConfig) (*Retention, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	rows, err := register(config.Registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_retention_rows_total",
		Help: "Rows that were blanked or deleted because of their age: notifications, requests by their Idempotency-Key, WeChat's pushes and receipts, events about consents, by kind.",
	}, []string{"kind"}))
	if err != nil {
		return nil, fmt.Errorf("producer: register metrics: %w", err)
	}
	for _, kind := range []forgetting{dataBlanked, finishedDeleted, deadDeleted, requestsDeleted, pushesDeleted, receiptsDeleted, consentsDeleted} {
		rows.WithLabelValues(string(kind))
	}
	return &Retention{
		config: config, page: retentionPage, rows: rows,
		away: outage{log: config.Logger, part: partStore, now: time.Now},
	}, nil
}

// Start lets the retention run until Stop or until ctx is done. Started again it
// does nothing.
func (r *Retention) Start(ctx context.Context) error {
	return r.loop.start(ctx, r.run)
}

// Stop gives up the statement under way, which the database may carry out all the
// same, uncounted, and waits at most as long as ctx. It may be called again, and
// before Start.
func (r *Retention) Stop(ctx context.Context) error {
	return r.loop.stop(ctx, "retention")
}
