package console

import (
	"context"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// overviewWindow is what the throughput is measured over: long enough to be
// steady, short enough to show what is going on.
const overviewWindow = 5 * time.Minute

// lastErrors is how many of each kind the overview shows.
const lastErrors = 5

type overviewPage struct {
	store.Overview
	Ended     store.Outcome // within the window
	PerMinute float64       // sent
	Window    time.Duration
	Backlog   int
	Waiting   int
	Doubts    int
	Age       time.Duration // of the backlog
	Apps      []appState
	Templates []store.TemplatePause
	Errors    []store.Notification
	Titles    titles
}

// appState is how an app and its queues are.
type appState struct {
	ID     string
	Token  *Token
	Pause  *Pause
	Queues []queueState
	// Problem is why Redis did not tell; "" when it did.
	Problem string
}

// queueState is how a queue is.
type queueState struct {
	Name            string
	Pending, Active int
	Retry           int           // for later: retried, or scheduled
	Latency         time.Duration // of the oldest that is pending
	Paused          bool
	// Until is when an automatic pause ends; zero for a person's.
	Until time.Time
	By    *store.AuditEntry // who paused it, when that is on record
}

func (c *Console) showOverview(v *visit) error {
	o, err := c.cfg.Store.Overview(v.ctx)
	if err != nil {
		return err
	}
	ended, err := c.cfg.Store.Outcomes(v.ctx, overviewWindow)
	if err != nil {
		return err
	}
	page := overviewPage{Overview: o, Window: overviewWindow}
	for _, one := range ended {
		page.Ended = page.Ended.Add(one)
	}
	page.PerMinute = float64(page.Ended.Sent) / overviewWindow.Minutes()
	page.Backlog = o.Open[store.Queued] + o.Open[store.Retrying]
	page.Waiting, page.Doubts = o.Open[store.Waiting], o.Open[store.InDoubt]
	if !o.OldestDue.IsZero() {
		page.Age = o.Now.Sub(o.OldestDue)
	}
	if page.Templates, err = c.cfg.Store.PausedTemplates(v.ctx, ""); err != nil {
		return err
	}
	if page.Errors, err = c.latestErrors(v.ctx); err != nil {
		return err
	}
	if page.Titles, err = c.titles(v.ctx); err != nil {
		return err
	}
	page.Apps = c.appStates(v.ctx)
	v.show("overview", "Overview", http.StatusOK, page)
	return nil
}

// latestErrors are the newest dead letters and those that are tried again.
func (c *Console) latestErrors(ctx context.Context) ([]store.Notification, error) {
	letters := store.DeadLetters()
	letters.Limit = lastErrors
	list, err := c.cfg.Store.List(ctx, letters)
	if err != nil {
		return nil, err
	}
	retrying, err := c.cfg.Store.List(ctx, store.Filter{States: []store.State{store.Retrying, store.InDoubt}, Limit: lastErrors})
	if err != nil {
		return nil, err
	}
	list = append(list, retrying...)
	slices.SortFunc(list, func(a, b store.Notification) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	return list, nil
}

// appStates asks Redis how every app is. What it does not tell is said on the
// page, which shows the rest.
func (c *Console) appStates(ctx context.Context) []appState {
	tokens := map[string]*Token{}
	for _, t := range c.cfg.Tokens() {
		tokens[t.App] = &t
	}
	// Asked about a queue that nothing was ever on, asynq answers with an error.
	known, queuesErr := c.inspector.Queues()
	var states []appState
	for _, app := range c.cfg.Apps {
		s := appState{ID: app, Token: tokens[app]}
		err := queuesErr
		if err == nil {
			err = c.fill(ctx, &s, known)
		}
		if err != nil {
			c.cfg.Logger.Warn("console: Redis did not tell how an app is", zap.String("app", app), zap.Error(err))
			s.Problem = "Redis does not answer."
		}
		states = append(states, s)
	}
	return states
}

func (c *Console) fill(ctx context.Context, s *appState, known []string) (err error) {
	if s.Pause, err = c.cfg.Pause(ctx, s.ID); err != nil {
		return err
	}
	for _, name := range c.queues(s.ID) {
		q, err := c.queueState(ctx, name, slices.Contains(known, name))
		if err != nil {
			return err
		}
		s.Queues = append(s.Queues, q)
	}
	return nil
}

func (c *Console) queueState(ctx context.Context, name string, known bool) (queueState, error) {
	q := queueState{Name: name}
	if known {
		info, err := c.inspector.GetQueueInfo(name)
		if err != nil {
			return q, err
		}
		q.Pending, q.Active, q.Retry, q.Latency = info.Pending, info.Active, info.Retry+info.Scheduled, info.Latency
	}
	left, err := c.cfg.Redis.PTTL(ctx, pauseKey(name)).Result()
	if err != nil {
		return q, err
	}
	switch {
	case left == -1: // without an end: a person's
		q.Paused = true
		return c.pausedBy(ctx, q)
	case left > 0:
		q.Paused, q.Until = true, c.cfg.Now().Add(left)
	}
	return q, nil
}

// pausedBy finds who paused a queue.
func (c *Console) pausedBy(ctx context.Context, q queueState) (queueState, error) {
	entries, err := c.cfg.Store.Audit(ctx, store.AuditFilter{Verb: store.VerbPause, Subject: q.Name, Limit: 1})
	if err == nil && len(entries) > 0 {
		q.By = &entries[0]
	}
	return q, err
}
