package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// serving is what a worker serves at one time. It is never changed but replaced
// as a whole: an attempt goes on with the settings that it began with.
type serving struct {
	apps    map[string]*app
	servers []*server
	// left are apps that were served before. A delivery of one may be in a
	// handler's hands still, or be on another app's queue: it is handed back.
	left map[string]bool
}

func (s *serving) add(a *app) {
	s.apps[a.ID] = a
	s.servers = append(s.servers, a.servers...)
	delete(s.left, a.ID)
}

// app is one Mini Program as it is set, with what is known of it.
type app struct {
	App
	*known
	pacer  *pacer
	onlyTo map[string]bool
}

// known is what a process has learnt of an app and what serves it. New settings
// do not touch it.
type known struct {
	servers []*server // of its queues, the highest priority first
	drain   context.CancelFunc
	gate    *gate
	ahead   *ahead
	// unreachable counts calls in a row that reached nobody.
	unreachable atomic.Int64
	addresses   *faultRing
}

// newApp makes an app whose servers do not run yet.
func (w *Worker) newApp(cfg App) *app {
	queues := task.Queues(cfg.ID, w.cfg.DefaultApp)
	k := &known{addresses: newFaultRing(), ahead: newAhead(w.slots, cfg.ID)}
	k.gate = newGate(cfg.ID, queues, w.cfg.Redis, w.cfg.Logger, w.cfg.SendTimeout+4*leaseMargin,
		func(kind string, closed bool) { w.metrics.paused(cfg.ID, kind, closed) })
	draining, drain := context.WithCancel(w.draining)
	k.drain = drain
	for i, q := range queues {
		s := &server{queue: q, w: w, appID: cfg.ID, prio: store.Priorities[i], draining: draining}
		s.intake = newIntake(q, w.cfg.ServerRedis, draining.Done(), s.room)
		w.intakes.add(s.intake)
		s.asynq = asynq.NewServerFromRedisClient(w.cfg.ServerRedis, w.asynqConfig(s))
		k.servers = append(k.servers, s)
	}
	return k.with(cfg, newPacer(cfg.ID, cfg.MaxSendRate, w.cfg.Redis))
}

// with is the app with these settings.
func (k *known) with(cfg App, p *pacer) *app {
	a := &app{App: cfg, known: k, pacer: p, onlyTo: map[string]bool{}}
	for _, s := range cfg.OnlyTo {
		a.onlyTo[s] = true
	}
	return a
}

// changed is the app with other settings. Its rate starts anew only if it is
// another one.
func (a *app) changed(cfg App, rdb redis.UniversalClient) *app {
	p := a.pacer
	if cfg.MaxSendRate != a.MaxSendRate {
		p = newPacer(cfg.ID, cfg.MaxSendRate, rdb)
	}
	return a.with(cfg, p)
}

// serve makes next what is served. Its series start at zero, and its apps share
// the slots from now on.
func (w *Worker) serve(next *serving) {
	apps, ids := make([]App, 0, len(next.apps)), make([]string, 0, len(next.apps))
	for id, a := range next.apps {
		apps, ids = append(apps, a.App), append(ids, id)
	}
	w.metrics.serve(apps)
	w.slots.serve(ids)
	w.calls.serve(ids)
	w.now.Store(next)
}

// app is the app as it is set now; nil when it is not served.
func (w *Worker) app(id string) *app { return w.now.Load().apps[id] }

// knows reports whether the app is served, or was before.
func (w *Worker) knows(id string) bool {
	now := w.now.Load()
	return now.apps[id] != nil || now.left[id]
}

// outdated reports whether another token manager has taken the place of a's: what
// the old one answers says nothing about the app any more.
func (w *Worker) outdated(a *app) bool {
	now := w.app(a.ID)
	return now == nil || now.Tokens != a.Tokens
}

func startServers(servers []*server) error {
	for _, s := range servers {
		if err := s.asynq.Start(asynq.HandlerFunc(s.process)); err != nil {
			return fmt.Errorf("start the server of queue %s: %w", s.queue, err)
		}
	}
	return nil
}

// stopServers takes nothing more and waits for the handlers, as long as asynq
// does.
func stopServers(servers []*server) {
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			s.asynq.Stop()
			s.intake.giveBack(s.w.cfg.Logger)
			s.asynq.Shutdown()
		})
	}
	wg.Wait()
}
