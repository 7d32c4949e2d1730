package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// life is what a worker is at: it changes what it serves only while it runs, and
// what was set before then is what it starts with.
type life int

const (
	fresh life = iota
	runs
	ended
)

// ErrStopped is returned when a worker is to change that was stopped.
var ErrStopped = errors.New("worker: stopped before")

// leftWait is when the delivery of an app that is not served any more comes back,
// where another app's queue brings it.
const leftWait = time.Minute

// Reload prepares to serve these apps from now on; apply does it and takes no
// longer than a look at Redis. An error names all that is wrong, and nothing has
// changed.
//
// An app that stays is not interrupted: its servers go on, and what is under way
// ends with the settings that it began with. With another Tokens its pause ends,
// unless it is a limit that no secret lifts. One that comes is served at once.
//
// One that goes takes nothing more, and what is under way ends as when a worker
// stops: calls finish and their answers are written. Its notifications stay as
// they are, in the store and on the queue; they go on when the app is served
// again, and expire when nobody serves it until then. Until the process ends,
// one that another app's queue brings is handed back, not buried.
//
// The default app cannot change, since other queues would be its own.
func (w *Worker) Reload(apps []App) (apply func(context.Context) error, err error) {
	cfg := w.cfg
	cfg.Apps = apps
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return w.change(ctx, apps) }, nil
}

func (w *Worker) change(ctx context.Context, apps []App) error {
	w.changing.Lock()
	defer w.changing.Unlock()
	if w.life == ended {
		return ErrStopped
	}
	before := w.now.Load()
	next := &serving{apps: map[string]*app{}, left: maps.Clone(before.left)}
	var come, mended, gone []*app
	for _, cfg := range apps {
		old := before.apps[cfg.ID]
		if old == nil {
			a := w.newApp(cfg)
			next.add(a)
			come = append(come, a)
			continue
		}
		next.add(old.changed(cfg, w.cfg.Redis))
		if old.Tokens != cfg.Tokens {
			mended = append(mended, old)
		}
	}
	for id, a := range before.apps {
		if next.apps[id] == nil {
			next.left[id] = true
			gone = append(gone, a)
		}
	}
	w.serve(next)
	for _, a := range gone {
		w.leave(a)
	}
	for _, a := range mended {
		a.gate.mended(ctx)
	}
	if w.life == fresh {
		return nil
	}
	return w.begin(ctx, come)
}

// begin serves new apps. They are told of their pauses before the first message;
// without Redis there is nothing to be taken from a queue either.
func (w *Worker) begin(ctx context.Context, come []*app) error {
	ctx, cancel := context.WithTimeout(ctx, careTimeout)
	defer cancel()
	var errs []error
	for _, a := range come {
		if err := a.gate.refresh(ctx); err != nil {
			w.cfg.Logger.Debug("gate not refreshed", zap.String("app", a.ID), zap.Error(err))
		}
		errs = append(errs, startServers(a.servers))
	}
	return errors.Join(errs...)
}

// leave drains an app in the background.
func (w *Worker) leave(a *app) {
	a.drain()
	w.leaving.Go(func() {
		stopServers(a.servers)
		w.changing.Lock()
		defer w.changing.Unlock()
		if w.app(a.ID) == nil { // it may be back
			w.metrics.forget(a.ID)
		}
		w.cfg.Logger.Info("app drained: it is no longer served", zap.String("app", a.ID))
	})
}

// limits are pauses that say nothing about a secret.
var limits = []string{wechat.KindThrottled.String(), wechat.KindThrottledDay.String()}

// mended ends the pause of an app whose token comes from elsewhere now: the next
// answer shows whether it works. It is told to the fleet, as every end of a pause
// is.
func (g *gate) mended(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sharingTimeout)
	defer cancel()
	if err := g.refresh(ctx); err != nil {
		g.logger.Debug("gate not refreshed", zap.String("app", g.app), zap.Error(err))
	}
	if p := g.state(); p != nil && !slices.Contains(limits, p.Kind) {
		g.open(ctx)
	}
}
