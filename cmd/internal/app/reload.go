package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// reloadResult is what became of a reload, a label.
type reloadResult string

const (
	reloadApplied reloadResult = "applied"
	reloadRefused reloadResult = "refused" // a fault in the settings; those before stay in force
	reloadFailed  reloadResult = "failed"  // taken over, but not everything came up
)

// reloadMetrics say whether the settings in force are those of the files.
type reloadMetrics struct {
	reloads    *prometheus.CounterVec
	successful prometheus.Gauge
	lastGood   prometheus.Gauge
	restart    prometheus.Gauge
}

func newReloadMetrics(r prometheus.Registerer) *reloadMetrics {
	m := &reloadMetrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wxnotify_config_reloads_total", Help: "Reloads of the settings, by result.",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wxnotify_config_last_reload_successful", Help: "1 when the last reload was applied, or there was none; 0 when the settings are not those of the files.",
		}),
		lastGood: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wxnotify_config_last_reload_success_timestamp_seconds", Help: "When the settings in force were taken over.",
		}),
		restart: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "wxnotify_config_restart_needed", Help: "How many settings have changed that are taken over by a restart only.",
		}),
	}
	for _, result := range []reloadResult{reloadApplied, reloadRefused, reloadFailed} {
		m.reloads.WithLabelValues(string(result))
	}
	m.successful.Set(1)
	m.lastGood.SetToCurrentTime()
	r.MustRegister(m.reloads, m.successful, m.lastGood, m.restart)
	return m
}

func (m *reloadMetrics) count(result reloadResult) {
	m.reloads.WithLabelValues(string(result)).Inc()
	good := 0.0
	if result == reloadApplied {
		good = 1
		m.lastGood.SetToCurrentTime()
	}
	m.successful.Set(good)
}

// Reload takes over other settings while the process runs: apps, producers,
// templates, webhooks, the console's users. load reads them. When it fails, or
// anything in them cannot be taken over, all is as before, and the log has every
// fault. Settings that a process keeps as long as it runs are named in the log;
// the others are taken over all the same.
//
// Nothing that is under way is interrupted: each part goes on with what it began
// with. Reload is for one caller at a time.
func (p *Process) Reload(ctx context.Context, load func() (*config.Config, error)) error {
	log := p.parts.Logger.Named("reload")
	apply, restart, err := p.prepareReload(ctx, load)
	if err != nil {
		p.reloads.count(reloadRefused)
		logFaults(log, err)
		return err
	}
	if len(restart) > 0 {
		log.Warn("settings have changed that need a restart; the others are taken over", zap.Strings("settings", restart))
	}
	p.reloads.restart.Set(float64(len(restart)))
	if err := apply(ctx); err != nil {
		p.reloads.count(reloadFailed)
		log.Error("settings taken over, but not everything came up", zap.Error(err))
		return err
	}
	p.reloads.count(reloadApplied)
	cfg := p.settings()
	log.Info("settings taken over", zap.Int("apps", len(cfg.Apps)), zap.Int("producers", len(cfg.Producers)),
		zap.Int("templates", len(cfg.Templates)))
	return nil
}

func logFaults(log *zap.Logger, err error) {
	const refused = "settings refused; those before stay in force"
	faults, ok := errors.AsType[*config.Error](err)
	if !ok {
		log.Error(refused, zap.Error(err))
		return
	}
	for _, f := range faults.Faults {
		log.Error(refused, zap.String("fault", f.String()))
	}
}

// prepareReload makes all that can fail before anything is changed.
func (p *Process) prepareReload(ctx context.Context, load func() (*config.Config, error)) (apply func(context.Context) error, restart []string, err error) {
	loaded, err := load()
	if err != nil {
		return nil, nil, err
	}
	before := p.now.Load()
	cfg, restart, err := before.config.Reloaded(loaded)
	if err != nil {
		return nil, nil, err
	}
	accounts, made, err := p.accountsFor(cfg)
	if err != nil {
		return nil, nil, err
	}
	next := &current{config: cfg, accounts: accounts}
	parts, err := p.prepareParts(ctx, next)
	if err != nil {
		return nil, nil, errors.Join(err, endAll(ctx, made))
	}
	return func(ctx context.Context) error { return p.takeOver(ctx, next, made, parts) }, restart, nil
}

// takeOver puts next in force, whose new accounts are made.
func (p *Process) takeOver(ctx context.Context, next *current, made []*account, parts []func(context.Context) error) error {
	var old []*account
	for id, a := range p.now.Load().accounts {
		if next.accounts[id] == a {
			continue
		}
		old = append(old, a)
		a.metrics.unregisterFrom(p.Registry)
		if next.accounts[id] == nil {
			p.delivered.DeleteLabelValues(id)
		}
	}
	for _, a := range made {
		a.begin(p.Registry)
	}
	p.now.Store(next)
	startDelivered(p.delivered, next.config.Apps)
	var errs []error
	for _, part := range parts {
		errs = append(errs, part(ctx))
	}
	// Nobody asks the old ones for a token any more.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), accountTimeout)
	defer cancel()
	return errors.Join(append(errs, endAll(ctx, old))...)
}

// prepareParts lets each part of the process prepare, and returns what they do
// then, in order: who comes in is let in to what is ready.
func (p *Process) prepareParts(ctx context.Context, next *current) ([]func(context.Context) error, error) {
	var parts []func(context.Context) error
	add := func(apply func(), err error) error {
		if err == nil {
			parts = append(parts, func(context.Context) error { apply(); return nil })
		}
		return err
	}
	cfg := next.config
	if p.Worker != nil {
		apply, err := p.Worker.Reload(workerApps(next, p.countedTemplates(ctx, cfg)))
		if err != nil {
			return nil, err
		}
		parts = append(parts, apply)
	}
	if p.api != nil {
		if err := errors.Join(
			add(p.Templates.Reload(cfg.Templates, cfg.StrictTemplates)),
			add(func() { p.syncer.Reload(appIDs(cfg)) }, nil),
			add(p.webhooks.Reload(subscriptions(cfg), cfg.WebhookAllow)),
			add(p.push.Reload(callbackApps(cfg))),
			add(p.api.Reload(gatewayProducers(cfg), gatewayApps(next))),
		); err != nil {
			return nil, err
		}
	}
	if p.console.Load() != nil {
		pages, err := p.newConsole(cfg)
		if err != nil {
			return nil, err
		}
		_ = add(func() { p.console.Store(pages) }, nil)
	}
	return parts, nil
}

func appIDs(cfg *config.Config) []string {
	ids := make([]string, len(cfg.Apps))
	for i, a := range cfg.Apps {
		ids[i] = a.AppID
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

var errNotServed = errors.New("the app is not served")

// notServed is the error of who asks for an app that a reload took away.
func notServed(appID string) error { return fmt.Errorf("%w: %s", errNotServed, appID) }
