package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// current is how a process is set now. It is replaced as a whole.
type current struct {
	config   *config.Config
	accounts map[string]*account // by appid
}

// account is the access of this process to one app at WeChat.
type account struct {
	app     config.App
	tokens  *wechat.Tokens
	metrics *pending
	others  []redis.UniversalClient // of Redis that are not ours
}

// accountTimeout bounds the end of an account that another one takes the place of:
// its fetch under way is broken off.
const accountTimeout = 5 * time.Second

// newAccount makes the access to an app; nothing runs and nothing is counted
// before begin.
func (p *Process) newAccount(a config.App) (*account, error) {
	cache, err := tokencache.New(tokencache.Config{Redis: p.shared})
	if err != nil {
		return nil, err
	}
	made := &account{app: a, metrics: &pending{}}
	other := func(key config.RedisKey) redis.UniversalClient {
		c := key.Redis.NewClient(sharedTuning())
		made.others = append(made.others, c)
		return c
	}
	cfg := wechat.TokensConfig{
		App:    wechat.App{AppID: a.AppID, Secret: a.Secret.Reveal()},
		Client: p.wechat, Cache: cache, Logger: p.parts.Logger, Registerer: made.metrics,
	}
	switch a.TokenSource.Kind {
	case config.TokenStable:
		cfg.Source = wechat.SourceStable
	case config.TokenClassic:
		cfg.Source = wechat.SourceClassic
	case config.TokenForeign:
		key := a.TokenSource.Foreign
		cfg.Source, cfg.Foreign = wechat.SourceForeign, tokencache.NewForeign(other(key), key.Key)
	}
	if key := a.TokenMirror; !key.IsZero() {
		cfg.Mirror = tokencache.NewMirror(other(key), key.Key)
	}
	if made.tokens, err = wechat.NewTokens(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("token of app %s: %w", a.AppID, err), made.close())
	}
	return made, nil
}

// serves reports whether the account is the one that these settings ask for.
func (a *account) serves(b config.App) bool {
	return a.app.Secret == b.Secret && reflect.DeepEqual(a.app.TokenSource, b.TokenSource) && reflect.DeepEqual(a.app.TokenMirror, b.TokenMirror)
}

func (a *account) begin(r *prometheus.Registry) {
	a.metrics.registerWith(r)
	a.tokens.Start()
}

// end stops the account. A token that it handed out still serves.
func (a *account) end(ctx context.Context) error {
	err := a.tokens.Stop(ctx)
	if err != nil {
		err = fmt.Errorf("token of app %s: %w", a.app.AppID, err)
	}
	return errors.Join(err, a.close())
}

func (a *account) close() error {
	var errs []error
	for _, c := range a.others {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// accountsFor are those that the settings ask for: as many as possible of those
// that there are, and new ones, which did not begin. After an error nothing is
// left of these.
func (p *Process) accountsFor(cfg *config.Config) (all map[string]*account, made []*account, err error) {
	all = map[string]*account{}
	before := p.now.Load().accounts
	for _, a := range cfg.Apps {
		if old := before[a.AppID]; old != nil && old.serves(a) {
			all[a.AppID] = old
			continue
		}
		acc, err := p.newAccount(a)
		if err != nil {
			return nil, nil, errors.Join(err, endAll(context.Background(), made))
		}
		all[a.AppID], made = acc, append(made, acc)
	}
	return all, made, nil
}

func endAll(ctx context.Context, accounts []*account) error {
	var errs []error
	for _, a := range accounts {
		errs = append(errs, a.end(ctx))
	}
	return errors.Join(errs...)
}

// endAccounts ends those that are in use.
func (p *Process) endAccounts(ctx context.Context) error {
	return endAll(ctx, slices.Collect(maps.Values(p.now.Load().accounts)))
}

// settings are those in force.
func (p *Process) settings() *config.Config { return p.now.Load().config }

// tokensOf are the tokens of an app; nil for one that is not served.
func (p *Process) tokensOf(appID string) *wechat.Tokens {
	if a := p.now.Load().accounts[appID]; a != nil {
		return a.tokens
	}
	return nil
}

// pending is a Registerer that keeps what it gets until it is known where that
// belongs: the successor of an account has the same metrics.
type pending struct{ collectors []prometheus.Collector }

// Register implements prometheus.Registerer.
func (m *pending) Register(c prometheus.Collector) error {
	m.collectors = append(m.collectors, c)
	return nil
}

// MustRegister implements prometheus.Registerer.
func (m *pending) MustRegister(cs ...prometheus.Collector) {
	m.collectors = append(m.collectors, cs...)
}

// Unregister implements prometheus.Registerer.
func (m *pending) Unregister(c prometheus.Collector) bool {
	i := slices.Index(m.collectors, c)
	if i < 0 {
		return false
	}
	m.collectors = slices.Delete(m.collectors, i, i+1)
	return true
}

func (m *pending) registerWith(r *prometheus.Registry) { r.MustRegister(m.collectors...) }

func (m *pending) unregisterFrom(r *prometheus.Registry) {
	for _, c := range m.collectors {
		r.Unregister(c)
	}
}
