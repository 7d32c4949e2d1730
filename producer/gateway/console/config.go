package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// Role is what a user may do.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // sees everything but data, page queries, user ids and openids
	Operator Role = "operator" // sees everything and acts
)

// Roles lists every role.
var Roles = []Role{Viewer, Operator}

// User is who may log in.
type User struct {
	Name     string // required, unique; at most 64 bytes
	Password password.Hash
	Role     Role
}

// RecordStore shows notifications.
type RecordStore interface {
	// Get returns a notification and its attempts in order; store.ErrNotFound when
	// there is none.
	Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error)
	// List returns one page, the newest first.
	List(ctx context.Context, f store.Filter) ([]store.Notification, error)
	// Count counts what a filter chooses by a group, the most first.
	Count(ctx context.Context, f store.Filter, by store.Group) ([]store.Counted, error)
	// Receipts are those of a notification.
	Receipts(ctx context.Context, id uuid.UUID) ([]store.ReceiptRecord, error)
	// Actions are what people did to it.
	Actions(ctx context.Context, id uuid.UUID) ([]store.Action, error)
}

// ActStore acts on notifications, item by item.
type ActStore interface {
	Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error)
	Discard(ctx context.Context, discards []store.Discard) ([]store.Acted, error)
	SettleDoubts(ctx context.Context, settlements []store.DoubtSettlement) ([]store.Acted, error)
	Cancel(ctx context.Context, cancels []store.Cancel) ([]store.Acted, error)
}

// PeopleStore knows users and what they allowed.
type PeopleStore interface {
	Bindings(ctx context.Context, userID string) ([]store.Binding, error)
	Consents(ctx context.Context, app, openID string) ([]store.Consent, error)
}

// TemplateStore knows the templates.
type TemplateStore interface {
	Templates(ctx context.Context, app string) ([]store.Template, error)
	TemplateSyncs(ctx context.Context) ([]store.TemplateSync, error)
	PausedTemplates(ctx context.Context, app string) ([]store.TemplatePause, error)
	ResumeTemplate(ctx context.Context, app, templateID string) (released int, err error)
}

// AuditStore keeps sessions and what people did.
type AuditStore interface {
	RecordAudit(ctx context.Context, e store.AuditEntry) error
	Audit(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error)
	BeginSession(ctx context.Context, c store.ConsoleSession, life time.Duration) error
	Session(ctx context.Context, key [32]byte, rule store.SessionRule) (store.ConsoleSession, error)
	EndSession(ctx context.Context, key [32]byte) error
}

// OverviewStore counts.
type OverviewStore interface {
	Overview(ctx context.Context) (store.Overview, error)
	Outcomes(ctx context.Context, d time.Duration) ([]store.Outcome, error)
}

// Store is what the console needs of a store; store/postgres and store/sqlite
// have it.
type Store interface {
	RecordStore
	ActStore
	PeopleStore
	TemplateStore
	AuditStore
	OverviewStore
}

// Pause is why and until when WeChat's answers have paused an app.
type Pause struct {
	Kind, Why    string
	Errcode      int
	Since, Until time.Time
}

// Token is how the access token of an app is in this process.
type Token struct {
	App                   string
	Origin                string    // fetched, shared or foreign; "" when none is held
	ObtainedAt, ExpiresAt time.Time // zero when none is held
	Problem               string    // why the last try to get one failed; "" after a success
}

// Explanation is what an errcode means and what a person does about it.
type Explanation struct{ Meaning, Do string }

// Config is what a Console is made of.
type Config struct {
	// Users are who may log in. Required: without one there is no console.
	Users []User
	// Store is required.
	Store Store
	// Redis is asynq's; required.
	Redis redis.UniversalClient
	// Queues is asynqmon, mounted at QueuesPath. Nil: there is none.
	Queues http.Handler
	// Apps are the appids that this deployment serves, DefaultApp among them.
	Apps       []string
	DefaultApp string
	// Entries and Strict are the catalog of the settings file.
	Entries []template.Entry
	Strict  template.Strict
	// MaxAge is how long a replayed notification may take; required.
	MaxAge time.Duration
	// Pause tells why an app is paused, nil when it is not, and EndPause ends that
	// before its time. Required.
	Pause    func(ctx context.Context, app string) (*Pause, error)
	EndPause func(ctx context.Context, app string) error
	// Tokens tells how the apps' tokens are. Nil: it is not shown.
	Tokens func() []Token
	// Explain explains an errcode of a send, in English or in Chinese. Nil: nothing
	// is explained.
	Explain func(errcode int, chinese bool) Explanation
	// Wake makes Relay look for what was queued. Nil: it finds it by itself.
	Wake func()
	// Zone is that of the times shown and entered. Default: time.Local.
	Zone *time.Location
	// Now is for the lock-out. Default: time.Now.
	Now func() time.Time
	// Logger gets failures of the store and of Redis. Default: none.
	Logger *zap.Logger
}

// maxName bounds a user's name, in bytes.
const maxName = 64

func (c Config) check() (Config, error) {
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	fault(len(c.Users) == 0, "no Users")
	fault(c.Store == nil, "no Store")
	fault(c.Redis == nil, "no Redis")
	fault(c.MaxAge <= 0, "no MaxAge")
	fault(c.Pause == nil || c.EndPause == nil, "no Pause or no EndPause")
	names := map[string]bool{}
	for _, u := range c.Users {
		fault(u.Name == "" || len(u.Name) > maxName || names[u.Name], "a user without a name of its own")
		fault(u.Role != Viewer && u.Role != Operator, "a user without a role")
		names[u.Name] = true
	}
	if len(faults) > 0 {
		return c, fmt.Errorf("console: %w", errors.Join(faults...))
	}
	if c.Tokens == nil {
		c.Tokens = func() []Token { return nil }
	}
	if c.Explain == nil {
		c.Explain = func(int, bool) Explanation { return Explanation{} }
	}
	if c.Wake == nil {
		c.Wake = func() {}
	}
	if c.Zone == nil {
		c.Zone = time.Local
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c, nil
}
