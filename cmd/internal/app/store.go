package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/producer/webhook"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker"
)

// Store is everything the program asks of either store: what worker and
// producer declare that they need, and what the commands need.
type Store interface {
	worker.Store
	ProducerStore
	CommandStore
	console.Store
	Database
}

// ProducerStore is what the front doors and the loops behind them need.
type ProducerStore interface {
	producer.Store
	producer.RelayStore
	producer.RetentionStore
	callback.Store
	GatewayStore
	webhook.Store
}

// GatewayStore is what producers' API needs.
type GatewayStore interface {
	gateway.ConsentStore
	gateway.EraseStore
	gateway.NotificationStore
	gateway.RequestStore
}

// PushStore knows when WeChat's pushes came.
type PushStore interface {
	// LastPushes are the times of each app's last verified push, to the minute.
	LastPushes(ctx context.Context) (map[string]time.Time, error)
}

// CommandStore is what commands show and change.
type CommandStore interface {
	RecordStore
	InterventionStore
	BindingStore
	TemplateStore
	PushStore
	OverviewStore
}

// RecordStore shows what happened to notifications.
type RecordStore interface {
	// Get returns a notification and its attempts in order; store.ErrNotFound
	// when there is none.
	Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error)
	// List returns one page, the newest first.
	List(ctx context.Context, f store.Filter) ([]store.Notification, error)
	// CountByState counts those of an app, or of all apps for "".
	CountByState(ctx context.Context, app string) (map[store.State]int, error)
}

// InterventionStore is what a person may do to a notification. Each method works
// in one transaction and answers item by item.
type InterventionStore interface {
	// Count counts what a filter chooses by a group, the most first.
	Count(ctx context.Context, f store.Filter, by store.Group) ([]store.Counted, error)
	// Replay starts dead notifications anew.
	Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error)
	// Discard takes dead notifications out of view.
	Discard(ctx context.Context, discards []store.Discard) ([]store.Acted, error)
	// SettleDoubts ends doubts as a person says.
	SettleDoubts(ctx context.Context, settlements []store.DoubtSettlement) ([]store.Acted, error)
	// Actions are the record of all this about one notification, in order.
	Actions(ctx context.Context, id uuid.UUID) ([]store.Action, error)
}

// BindingStore knows the openids of users.
type BindingStore interface {
	// Bind writes bindings; a later one of the slice wins over an earlier one.
	Bind(ctx context.Context, bindings []store.Binding) (store.Bound, error)
	// Resolve returns one user's binding in one app; store.ErrNotFound when there
	// is none.
	Resolve(ctx context.Context, app, userID string) (store.Binding, error)
	// Bindings are those of a user in all apps.
	Bindings(ctx context.Context, userID string) ([]store.Binding, error)
}

// TemplateStore knows the templates that WeChat listed, and which are paused.
type TemplateStore interface {
	template.SourceStore
	template.SyncStore
	// ResumeTemplate ends a pause, if there is one, and queues what waited for
	// that; released is how many notifications.
	ResumeTemplate(ctx context.Context, app, templateID string) (released int, err error)
}

// Database is the store as a thing that is opened, migrated and closed.
type Database interface {
	Migrate(ctx context.Context, progress func(string)) error
	MigrateDown(ctx context.Context) error
	// Version is the schema's version, 0 when there is none, and the one this
	// program was built for.
	Version(ctx context.Context) (have, want int64, err error)
	Ping(ctx context.Context) error
	Close()
}

// storeConns is how many connections to PostgreSQL a process keeps beside the
// committer's: Relay, health and a lookup or two. Claims and settlements of all
// calls in flight share one committer, so CONCURRENCY does not matter here.
const storeConns = 8

// OpenStore opens the store that DATABASE_URL names. It migrates nothing, and
// PostgreSQL may be away: the first call finds out.
func OpenStore(ctx context.Context, cfg *config.Config, logger *zap.Logger) (Store, error) {
	if url, ok := cfg.Database.Postgres(); ok {
		s, err := postgres.Open(ctx, postgres.Config{URL: url, MaxConns: storeConns, Logger: logger})
		if err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
		return s, nil
	}
	if path, ok := cfg.Database.SQLite(); ok {
		s, err := sqlite.Open(ctx, sqlite.Config{Path: path, Logger: logger})
		if err != nil {
			return nil, fmt.Errorf("open the store: %w", err)
		}
		return s, nil
	}
	return nil, errors.New("open the store: DATABASE_URL is not set")
}
