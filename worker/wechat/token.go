package wechat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// Source says where an app's token comes from.
type Source string

// The sources. The stable token and the classic one are independent of each
// other: fetching one never disturbs who uses the other.
const (
	// SourceStable is cgi-bin/stable_token, the default.
	SourceStable Source = "stable_token"
	// SourceClassic is cgi-bin/token. Every fetch rotates it for everybody on the
	// appid, so only one system may use it.
	SourceClassic Source = "token"
	// SourceForeign is a key that someone else keeps. While it is empty, cannot
	// be read or holds a token that WeChat refused, the stable token is used.
	SourceForeign Source = "foreign"
)

// Cache shares tokens among processes. Lives are durations, never instants, so
// that clocks of machines need not agree. Implementations are safe for
// concurrent use and honour ctx.
type Cache interface {
	// Get returns the token and the rest of its life; "" when there is none.
	Get(ctx context.Context, appID string) (value string, left time.Duration, err error)
	// Put keeps value for life, which is positive.
	Put(ctx context.Context, appID, value string, life time.Duration) error
	// Drop removes the token if it still is value.
	Drop(ctx context.Context, appID, value string) error
	// Lock takes the right to fetch for ttl; false when another owner has it.
	Lock(ctx context.Context, appID, owner string, ttl time.Duration) (bool, error)
	// Unlock gives the right back if it still is owner's.
	Unlock(ctx context.Context, appID, owner string) error
}

// Foreign reads a token that someone else keeps, as a plain or a JSON-quoted
// string; "" when there is none. It is never written.
type Foreign interface {
	Read(ctx context.Context) (string, error)
}

// Mirror writes tokens to where others read them.
type Mirror interface {
	Write(ctx context.Context, value string, life time.Duration) error
}

// ErrSameToken is the cause when a fetch returned the very token that WeChat has
// just refused. Fetching again at once cannot help, and forcing a new one is
// rationed and rotates under everybody: an administrator has to look.
var ErrSameToken = errors.New("the fetched token is the one that was refused")

// TokensConfig holds the settings and dependencies of Tokens.
type TokensConfig struct {
	App    App
	Client *Client
	// Cache shares the token; nil keeps it to this process.
	Cache Cache
	// Source defaults to SourceStable.
	Source Source
	// Foreign is needed by SourceForeign and by no other.
	Foreign Foreign
	// Mirror gets every token that this process fetches; nil for none.
	Mirror Mirror
	// Logger gets fetches and their failures, without the token. Nil logs nothing.
	Logger *zap.Logger
	// Registerer gets the metrics, labelled with the app. Nil registers none.
	Registerer prometheus.Registerer
	// Now is the clock. It has to be monotonic, as time.Now is, the default.
	Now func() time.Time
}

func (cfg TokensConfig) check() (TokensConfig, error) {
	if cfg.Source == "" {
		cfg.Source = SourceStable
	}
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	var faults []error
	if cfg.App.AppID == "" {
		faults = append(faults, errors.New("appid is missing"))
	}
	if cfg.App.Secret == "" {
		faults = append(faults, errors.New("secret is missing"))
	}
	if cfg.Client == nil {
		faults = append(faults, errors.New("client is missing"))
	}
	switch cfg.Source {
	case SourceStable, SourceClassic:
		if cfg.Foreign != nil {
			faults = append(faults, fmt.Errorf("source %q has no use for a foreign key", cfg.Source))
		}
	case SourceForeign:
		if cfg.Foreign == nil {
			faults = append(faults, errors.New("the foreign key is missing"))
		}
	default:
		faults = append(faults, fmt.Errorf("source %q is none of stable_token, token, foreign", cfg.Source))
	}
	return cfg, errors.Join(faults...)
}

// Tokens keeps one app's access token: in this process, shared with the others
// through Cache, refreshed before it ends while it still serves. It is safe for
// concurrent use.
//
// The shared copy is a help, not a need: without it every process fetches for
// itself, once. A stable token is the same for all of them then; a classic one
// is rotated by each fetch, so with SourceClassic a long loss of the cache makes
// processes disturb each other every few minutes.
type Tokens struct {
	app     App
	client  *Client
	cache   Cache
	source  Source
	foreign Foreign
	mirror  Mirror
	log     *zap.Logger
	metrics *tokenMetrics
	now     func() time.Time

	life  context.Context //nolint:containedctx // the life of the manager's own goroutines, ended by Stop
	end   context.CancelFunc
	group sync.WaitGroup

	mu       sync.Mutex
	stopped  bool
	started  bool
	held     held
	refused  refusals
	flight   *flight
	failure  *Error // of the last flight; nil after a success
	failedAt time.Time
	// quietUntil is when the next flight may start after a failed one, nextFetch
	// when the next fetch may. Looking at the shared copy is cheap, fetching is
	// rationed.
	quietUntil time.Time
	nextFetch  time.Time
	failures   int // fetches failed in a row
	unmirrored held
	fallback   string // why the foreign key is not in use, "" when it is
}

// NewTokens returns a manager that has not fetched yet.
func NewTokens(cfg TokensConfig) (*Tokens, error) {
	cfg, err := cfg.check()
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	t := &Tokens{
		app: cfg.App, client: cfg.Client, cache: cfg.Cache, source: cfg.Source, foreign: cfg.Foreign,
		mirror: cfg.Mirror, log: cfg.Logger.With(zap.String("app_id", cfg.App.AppID)), now: cfg.Now,
	}
	t.life, t.end = context.WithCancel(context.Background())
	if t.metrics, err = newTokenMetrics(cfg.Registerer, t); err != nil {
		return nil, fmt.Errorf("tokens: register metrics: %w", err)
	}
	return t, nil
}

// TokenState is what a health check asks about.
type TokenState struct {
	// Origin is fetched, shared or foreign; "" when no token is held.
	Origin string
	// ObtainedAt and ExpiresAt are zero when no token is held; for a foreign token
	// ExpiresAt is only the latest that is possible.
	ObtainedAt, ExpiresAt time.Time
	// Err is why the last try to get a token failed, nil after a success. A token
	// that is held still serves.
	Err error
	// FailedAt is when it failed.
	FailedAt time.Time
}

// State tells how the token is.
func (t *Tokens) State() TokenState {
	t.mu.Lock()
	defer t.mu.Unlock()
	var s TokenState
	if t.held.serves(t.now()) {
		s.Origin, s.ObtainedAt, s.ExpiresAt = string(t.held.origin), t.held.obtained, t.held.expires
	}
	if t.failure != nil {
		s.Err, s.FailedAt = t.failure, t.failedAt
	}
	return s
}
