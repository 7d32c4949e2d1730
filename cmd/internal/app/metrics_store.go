package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/store"
)

// OverviewStore says how things stand.
type OverviewStore interface {
	// Overview counts what is open; its cost grows with that alone.
	Overview(ctx context.Context) (store.Overview, error)
	// Balances adds up what users have left, by app and template.
	Balances(ctx context.Context) ([]store.Balance, error)
}

var (
	storeUpDesc = prometheus.NewDesc("wxnotify_store_up", "1 when the store answered this scrape.", nil, nil)

	storeOpenDesc = prometheus.NewDesc("wxnotify_store_notifications",
		"Notifications in each state that is not final; shown by the process whose relay leads.", []string{"state"}, nil)
	storeDeadDesc = prometheus.NewDesc("wxnotify_store_dead_letters",
		"Dead letters that nobody replayed or discarded; shown by the process whose relay leads.", nil, nil)
	storeOldestDesc = prometheus.NewDesc("wxnotify_store_oldest_due_seconds",
		"How long the longest overdue notification could have been sent already; shown by the process whose relay leads.", nil, nil)
	storePausedDesc = prometheus.NewDesc("wxnotify_store_templates_paused",
		"Templates that are paused until a person resumes them; shown by the process whose relay leads.", []string{"app"}, nil)
	storePushDesc = prometheus.NewDesc("wxnotify_store_last_push_timestamp_seconds",
		"When WeChat's last verified push came, to the minute; 0: never. Of apps whose pushes are received; shown by the process whose relay leads.",
		[]string{"app"}, nil)
)

// storeCollector asks the store at each scrape: every process whether it
// answers, and the one that leads how things stand, so that the figures cost one
// process of all something and add up.
type storeCollector struct{ process *Process }

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{storeUpDesc, storeOpenDesc, storeDeadDesc, storeOldestDesc, storePausedDesc, storePushDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s := c.process.parts.Store
	err := s.Ping(ctx)
	ch <- gauge(storeUpDesc, up(err))
	if err != nil || !c.process.leads() {
		return
	}
	if o, err := s.Overview(ctx); err == nil {
		emitOverview(ch, o)
	}
	c.templates(ctx, ch)
	c.pushes(ctx, ch)
}

func emitOverview(ch chan<- prometheus.Metric, o store.Overview) {
	for _, state := range store.OpenStates {
		ch <- gauge(storeOpenDesc, float64(o.Open[state]), string(state))
	}
	ch <- gauge(storeDeadDesc, float64(o.DeadLetters))
	overdue := 0.0
	if !o.OldestDue.IsZero() {
		overdue = o.Now.Sub(o.OldestDue).Seconds()
	}
	ch <- gauge(storeOldestDesc, overdue)
}

func (c *storeCollector) templates(ctx context.Context, ch chan<- prometheus.Metric) {
	pauses, err := c.process.parts.Store.PausedTemplates(ctx, "")
	if err != nil {
		return
	}
	paused := map[string]int{}
	for _, p := range pauses {
		paused[p.App]++
	}
	for _, a := range c.process.settings().Apps {
		ch <- gauge(storePausedDesc, float64(paused[a.AppID]), a.AppID)
	}
}

func (c *storeCollector) pushes(ctx context.Context, ch chan<- prometheus.Metric) {
	last, err := c.process.parts.Store.LastPushes(ctx)
	if err != nil {
		return
	}
	for _, a := range c.process.settings().Apps {
		if !a.Callback.Receives() {
			continue
		}
		at := 0.0
		if t := last[a.AppID]; !t.IsZero() {
			at = float64(t.Unix())
		}
		ch <- gauge(storePushDesc, at, a.AppID)
	}
}
