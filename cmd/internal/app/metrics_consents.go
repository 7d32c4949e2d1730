package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

var (
	consentMessagesDesc = prometheus.NewDesc("wxnotify_store_consent_messages",
		"Messages of one-time templates that users have allowed and that are left, as far as the ledger knows; added up every five minutes, of a large ledger by a part of it; other: templates that neither the file nor WeChat lists; shown by the process whose relay leads.",
		[]string{"app", "template"}, nil)
	consentOpenIDsDesc = prometheus.NewDesc("wxnotify_store_consent_openids",
		"Openids by what they have left of a template: some messages, none, or any number; as wxnotify_store_consent_messages.",
		[]string{"app", "template", "left"}, nil)
)

const (
	// consentsEvery is how often the ledger is added up: it may take seconds of
	// the database, and balances move with hours.
	consentsEvery = 5 * time.Minute
	// consentsAgain is when it is tried again after a failure.
	consentsAgain = time.Minute
	// consentsLook is how often a process looks whether it leads by now.
	consentsLook = time.Second
	// consentsTimeout bounds one adding up.
	consentsTimeout = 15 * time.Second
	// otherTemplate is the label of all templates that are not in the catalog.
	otherTemplate = "other"
)

// consentCollector shows what users have left. It is added up in the background,
// by the process that leads: a scrape does not wait for it.
type consentCollector struct {
	process *Process
	cancel  context.CancelFunc
	done    chan struct{}

	mu    sync.Mutex
	known map[string]map[string]store.Balance // by app and template; nil: nothing is
}

// startConsents adds the ledger up until the process stops.
func (p *Process) startConsents(ctx context.Context) *consentCollector {
	c := &consentCollector{process: p, done: make(chan struct{})}
	ctx, c.cancel = context.WithCancel(ctx)
	go c.run(ctx)
	p.stops.add("balances", c.stop)
	return c
}

func (c *consentCollector) stop(ctx context.Context) error {
	c.cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *consentCollector) run(ctx context.Context) {
	defer close(c.done)
	look := time.NewTicker(consentsLook)
	defer look.Stop()
	var next time.Time
	for {
		switch {
		case !c.process.leads():
			next = time.Time{}
			c.set(nil)
		case time.Now().After(next):
			pause := consentsEvery
			if !c.addUp(ctx) {
				pause = consentsAgain
			}
			next = time.Now().Add(pause)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *consentCollector) set(known map[string]map[string]store.Balance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = known
}

// addUp asks the store. What it does not tell is not shown: an old figure would
// look like a new one.
func (c *consentCollector) addUp(ctx context.Context) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, consentsTimeout)
	defer cancel()
	balances, err := c.process.parts.Store.Balances(ctx)
	if err != nil {
		c.set(nil)
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(ctx.Err(), context.Canceled) {
			c.process.parts.Logger.Warn("balances not added up", zap.Error(err))
		}
		return false
	}
	cfg := c.process.settings()
	listed := c.process.countedTemplates(ctx, cfg)
	known := map[string]map[string]store.Balance{}
	for _, a := range cfg.Apps {
		known[a.AppID] = map[string]store.Balance{otherTemplate: {}}
		for _, t := range listed[a.AppID] {
			known[a.AppID][t] = store.Balance{}
		}
	}
	for _, b := range balances {
		of := known[b.App]
		if of == nil {
			continue // an app that is not served
		}
		label := b.TemplateID
		if _, there := of[label]; !there {
			label = otherTemplate
		}
		of[label] = of[label].Add(b)
	}
	c.set(known)
	return true
}

// Describe implements prometheus.Collector.
func (c *consentCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- consentMessagesDesc
	ch <- consentOpenIDsDesc
}

// Collect implements prometheus.Collector.
func (c *consentCollector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for app, templates := range c.known {
		if _, served := c.process.settings().App(app); !served {
			continue // since it was added up
		}
		for t, b := range templates {
			ch <- gauge(consentMessagesDesc, float64(b.Messages), app, t)
			ch <- gauge(consentOpenIDsDesc, float64(b.Some), app, t, "some")
			ch <- gauge(consentOpenIDsDesc, float64(b.None), app, t, "none")
			ch <- gauge(consentOpenIDsDesc, float64(b.LongTerm), app, t, "any")
		}
	}
}
