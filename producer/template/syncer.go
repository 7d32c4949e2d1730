package template

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// SyncStore is what a Syncer needs of a store; store/postgres and store/sqlite
// have it.
type SyncStore interface {
	Templates(ctx context.Context, app string) ([]store.Template, error)
	// BeginTemplateSync lets one of all processes begin, in its time.
	BeginTemplateSync(ctx context.Context, app string, next time.Duration, forced bool) (began time.Time, ok bool, err error)
	FailTemplateSync(ctx context.Context, app string, errcode int, problem string, next time.Duration) error
	SaveTemplates(ctx context.Context, list store.TemplateList) (store.TemplatesSynced, error)
}

// FetchFunc asks WeChat for an app's templates. errcode is WeChat's when err is
// its answer, else 0. The text of err is kept in the store: it must not carry a
// token.
type FetchFunc func(ctx context.Context, app string) (list []store.Template, errcode int, err error)

// gettemplate has a small daily quota that WeChat does not tell, and answers with
// errcode 1700 now and then.
const (
	// DefaultEvery is how often an app is synced: four calls a day.
	DefaultEvery = 6 * time.Hour
	// DefaultAsk is how often a Syncer asks the store whether it is time.
	DefaultAsk = time.Minute
	// afterRefusal is when to try again after an errcode, which spends quota:
	// a call an hour at most.
	afterRefusal = time.Hour
	// afterSilence is when to try again after no answer at all, as when the
	// token could not be fetched.
	afterSilence = 5 * time.Minute
	// endTimeout bounds telling the store that a sync failed, which also happens
	// while the process stops.
	endTimeout = 5 * time.Second
	// maxProblem bounds the text that is kept of a failure, in bytes.
	maxProblem = 500
)

// errcodeDayQuota is WeChat's "reach max api daily quota limit".
const errcodeDayQuota = 45009

// errListsNothing is a list without a template where there is one to lose. WeChat
// allows that, but it is likelier to be a fault: a person's sync takes it.
var errListsNothing = errors.New("WeChat lists no template at all; run `wxnotify templates sync` if that is so")

// SyncerConfig is what a Syncer is made of.
type SyncerConfig struct {
	// Store and FetchFunc are required.
	Store     SyncStore
	FetchFunc FetchFunc
	// Apps are the appids to sync.
	Apps []string
	// Every is how often an app is synced. Default: DefaultEvery.
	Every time.Duration
	// Ask is how often the store is asked whether it is time. Default:
	// DefaultAsk.
	Ask time.Duration
	// Synced is called after a sync that succeeded; give it Source.Wake. It must
	// not block. Default: nothing.
	Synced func()
	// Logger gets a line for each sync. Default: none.
	Logger *zap.Logger
	// Registerer gets the metrics. Default: none.
	Registerer prometheus.Registerer
}

func (c SyncerConfig) check() (SyncerConfig, error) {
	var faults []error
	if c.Store == nil {
		faults = append(faults, errors.New("no Store"))
	}
	if c.FetchFunc == nil {
		faults = append(faults, errors.New("no FetchFunc"))
	}
	if c.Every < 0 || c.Ask < 0 {
		faults = append(faults, errors.New("a negative interval"))
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Ask == 0 {
		c.Ask = DefaultAsk
	}
	if c.Synced == nil {
		c.Synced = func() {}
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c, errors.Join(faults...)
}

// Syncer keeps the store's templates as WeChat lists them. Every process may run
// one: the store lets one of them begin. It is safe for concurrent use.
type Syncer struct {
	cfg   SyncerConfig
	apps  atomic.Pointer[[]string]
	wake  chan struct{}
	syncs *prometheus.CounterVec // by result
}

// The results of a sync, as a label.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// NewSyncer makes a Syncer. [Syncer.Run] syncs in time, [Syncer.Sync] now.
func NewSyncer(c SyncerConfig) (*Syncer, error) {
	c, err := c.check()
	if err != nil {
		return nil, fmt.Errorf("template syncer: %w", err)
	}
	s := &Syncer{cfg: c, wake: make(chan struct{}, 1), syncs: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wxnotify_producer_template_syncs_total",
		Help: "Syncs of an app's templates with WeChat, by how they ended.",
	}, []string{"result"})}
	s.apps.Store(&c.Apps)
	for _, result := range []string{resultOK, resultFailed} {
		s.syncs.WithLabelValues(result)
	}
	if c.Registerer != nil {
		if err := c.Registerer.Register(s.syncs); err != nil {
			return nil, fmt.Errorf("template syncer: %w", err)
		}
	}
	return s, nil
}

// Reload makes Run sync these apps, a new one as soon as it may.
func (s *Syncer) Reload(apps []string) {
	s.apps.Store(&apps)
	select {
	case s.wake <- struct{}{}:
	default: // Run looks anyway
	}
}

// Run syncs each app in its time until ctx is done.
func (s *Syncer) Run(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Ask)
	defer tick.Stop()
	for {
		for _, app := range *s.apps.Load() {
			if ctx.Err() == nil {
				s.ifDue(ctx, app)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// ifDue syncs an app when it is time.
func (s *Syncer) ifDue(ctx context.Context, app string) {
	began, ok, err := s.cfg.Store.BeginTemplateSync(ctx, app, afterRefusal, false)
	if err != nil || !ok {
		// A store that is away is told by whoever needs it for more than this.
		return
	}
	logger := s.cfg.Logger.With(zap.String("app", app))
	synced, err := s.sync(ctx, app, began, false)
	if err != nil {
		logger.Warn("cannot sync the templates; the last list stays", zap.Error(err))
		return
	}
	logger.Info("templates synced", zap.Int("total", synced.Total), zap.Int("added", len(synced.Added)),
		zap.Int("changed", len(synced.Changed)), zap.Int("gone", len(synced.Gone)),
		zap.Strings("resumed", synced.Resumed), zap.Int("released", synced.Released))
}

// Sync asks WeChat now, whatever the time, because a person wants it: it also
// takes a list without any template, and ends the pauses of every template that
// is listed, banned ones included.
func (s *Syncer) Sync(ctx context.Context, app string) (store.TemplatesSynced, error) {
	began, _, err := s.cfg.Store.BeginTemplateSync(ctx, app, afterRefusal, true)
	if err != nil {
		return store.TemplatesSynced{}, err
	}
	return s.sync(ctx, app, began, true)
}

// sync is one sync that has begun.
func (s *Syncer) sync(ctx context.Context, app string, began time.Time, asked bool) (store.TemplatesSynced, error) {
	list, errcode, err := s.cfg.FetchFunc(ctx, app)
	if err == nil && len(list) == 0 && !asked {
		err = s.nothingToLose(ctx, app)
	}
	if err != nil {
		return store.TemplatesSynced{}, errors.Join(err, s.fail(ctx, app, errcode, err))
	}
	synced, err := s.cfg.Store.SaveTemplates(ctx, store.TemplateList{
		App: app, Templates: list, Began: began, Next: s.cfg.Every, ResumeAll: asked,
	})
	if err != nil {
		return store.TemplatesSynced{}, errors.Join(err, s.fail(ctx, app, 0, err))
	}
	s.syncs.WithLabelValues(resultOK).Inc()
	s.cfg.Synced()
	return synced, nil
}

// nothingToLose is errListsNothing when an empty list would take templates away.
func (s *Syncer) nothingToLose(ctx context.Context, app string) error {
	stored, err := s.cfg.Store.Templates(ctx, app)
	if slices.ContainsFunc(stored, func(t store.Template) bool { return t.GoneAt.IsZero() }) {
		return errListsNothing
	}
	return err
}

// fail tells the store when to try again.
func (s *Syncer) fail(ctx context.Context, app string, errcode int, cause error) error {
	s.syncs.WithLabelValues(resultFailed).Inc()
	next := afterSilence
	switch {
	case errcode == errcodeDayQuota:
		next = max(s.cfg.Every, afterRefusal)
	case errcode != 0, errors.Is(cause, errListsNothing):
		next = afterRefusal
	}
	problem := strings.ToValidUTF8(cause.Error(), "")
	if len(problem) > maxProblem {
		problem = strings.ToValidUTF8(problem[:maxProblem], "")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	return s.cfg.Store.FailTemplateSync(ctx, app, errcode, strings.ReplaceAll(problem, "\x00", ""), next)
}
