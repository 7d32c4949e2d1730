package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// devRun sends the samples and watches them.
type devRun struct {
	p       *program
	d       *app.Dev
	cfg     *config.Config
	appID   string
	start   time.Time
	results []*sampleResult
	// fresh: no sample was there before this process.
	fresh bool
	// left are the notifications that an earlier process left open and that are
	// no samples.
	left       []uuid.UUID
	leftStates map[store.State]int
}

// sampleResult is a sample with what became of it.
type sampleResult struct {
	sample
	accepted producer.Accepted
	err      error // it was not accepted
	row      store.Notification
	attempts []store.Attempt
	// faults are where it differs from what it should be.
	faults []string
}

// settled reports whether nothing more will happen to the sample by itself.
func (r *sampleResult) settled() bool {
	return r.row.State.Final() || r.parked() && r.row.State == store.Waiting
}

// handedIn reports whether the sample is on its way or at its end.
func (r *sampleResult) handedIn() bool { return r.accepted.ID != uuid.Nil }

func newDevRun(p *program, d *app.Dev, cfg *config.Config) *devRun {
	r := &devRun{p: p, d: d, cfg: cfg, appID: simulator.SeedApp().AppID, start: time.Now(), fresh: true}
	for _, s := range samples() {
		r.results = append(r.results, &sampleResult{sample: s})
	}
	return r
}

// prepare binds the users and sets the simulated WeChat up, which remembers
// nothing from before: what users allowed, and how it fails.
func (r *devRun) prepare(ctx context.Context, latency time.Duration) error {
	bindings := make([]store.Binding, len(devUsers))
	for i, u := range devUsers {
		bindings[i] = store.Binding{App: r.appID, UserID: u.id, OpenID: u.openID()}
		if err := r.d.Simulator.AddUser(r.appID, u.openID(), ""); err != nil {
			return err
		}
	}
	if _, err := r.d.Store.Bind(ctx, bindings); err != nil {
		return fmt.Errorf("bind the sample users: %w", err)
	}
	if err := r.findLeft(ctx); err != nil {
		return err
	}
	if latency > 0 {
		slow := simulator.Fault{API: simulator.APISend, Action: simulator.ActLatency, Latency: latency}
		if _, err := r.d.Simulator.AddFault(slow); err != nil {
			return err
		}
	}
	for _, s := range r.results {
		if !s.refused {
			if err := r.d.Simulator.Accept(r.appID, s.user.openID(), s.n.TemplateID, 1); err != nil {
				return err
			}
		}
		if s.busyOnce {
			if _, err := r.d.Simulator.AddFault(simulator.Fault{
				API: simulator.APISend, OpenID: s.user.openID(), TemplateID: s.n.TemplateID,
				Action: simulator.ActErrcode, Errcode: 43108, Count: 1,
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// findLeft finds what an earlier process did not get done.
func (r *devRun) findLeft(ctx context.Context) error {
	open := slices.DeleteFunc(slices.Clone(store.States), store.State.Final)
	list, err := r.d.Store.List(ctx, store.Filter{States: open, Limit: maxLeft})
	if err != nil {
		return fmt.Errorf("look for what is open: %w", err)
	}
	for _, n := range list {
		if n.Producer != app.DevProducer {
			r.left = append(r.left, n.ID)
		}
	}
	return nil
}

// maxLeft bounds what is waited for and counted; the worker delivers the rest
// as well.
const maxLeft = 500

// run sends the samples and waits for their ends. The one that needs a token
// in use comes when the others have made the worker fetch one.
func (r *devRun) run(ctx context.Context) error {
	if err := r.send(ctx, func(s sample) bool { return !s.rotated }); err != nil {
		return err
	}
	if err := r.d.Simulator.Rotate(r.appID, simulator.APIStableToken, true); err != nil {
		return err
	}
	if err := r.send(ctx, func(s sample) bool { return s.rotated }); err != nil {
		return err
	}
	calls := r.d.Simulator.Calls(0)
	for _, s := range r.results {
		s.check(r.fresh, r.start, calls)
	}
	return nil
}

// send hands in the chosen samples and waits for the end of everything.
func (r *devRun) send(ctx context.Context, chosen func(sample) bool) error {
	var list []*sampleResult
	var ns []producer.Notification
	for _, s := range r.results {
		if chosen(s.sample) {
			list, ns = append(list, s), append(ns, s.notification())
		}
	}
	answers, err := r.d.Client.SendBatch(ctx, ns)
	if len(answers) != len(list) {
		return fmt.Errorf("hand in the samples: %w", err)
	}
	for i, a := range answers {
		list[i].accepted, list[i].err = a.Accepted, a.Err
		r.fresh = r.fresh && !a.Duplicate
	}
	return r.wait(ctx)
}

// pollInterval is how often the rows are looked at: SQLite answers within a
// millisecond.
const pollInterval = 50 * time.Millisecond

// patience is how long the samples may take. The longest is one that a killed
// process was sending: its lease has to end, which is two calls' time at most,
// then its doubt, then it is sent again.
func (r *devRun) patience() time.Duration {
	return 3*r.cfg.SendTimeout + r.cfg.InDoubtWait + 40*time.Second
}

// wait returns when everything that is due soon has ended, or when that takes
// too long: then the check tells.
func (r *devRun) wait(ctx context.Context) error {
	line := r.p.newProgress()
	defer line.clear()
	deadline := time.Now().Add(r.patience())
	patient, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		open, err := r.lookAtSamples(patient)
		left, leftErr := r.lookAtLeft(patient, deadline)
		err = errors.Join(err, leftErr)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case patient.Err() != nil, err == nil && len(open)+left == 0:
			return nil
		case err != nil:
			return err
		}
		line.show(func() string { return r.progress(open, left) })
		select {
		case <-poll.C:
		case <-patient.Done():
		}
	}
}

// lookAtSamples reads the samples' rows and returns those that have not ended.
func (r *devRun) lookAtSamples(ctx context.Context) (open []*sampleResult, err error) {
	for _, s := range r.results {
		if !s.handedIn() || s.settled() {
			continue
		}
		if s.row, s.attempts, err = r.d.Store.Get(ctx, s.accepted.ID); err != nil {
			return open, fmt.Errorf("look at a sample: %w", err)
		}
		if !s.settled() {
			open = append(open, s)
		}
	}
	return open, nil
}

// lookAtLeft counts those of left that will be gone on with before deadline.
func (r *devRun) lookAtLeft(ctx context.Context, deadline time.Time) (open int, err error) {
	looks, err := r.d.Store.Look(ctx, r.left)
	if err != nil {
		return 0, fmt.Errorf("look at what was left: %w", err)
	}
	r.leftStates = map[store.State]int{}
	for _, l := range looks {
		r.leftStates[l.State]++
		if !l.State.Final() && l.DueAt.Before(deadline) {
			open++
		}
	}
	return open, nil
}

func (r *devRun) progress(open []*sampleResult, left int) string {
	if len(open) == 0 {
		return count(left, "notification") + " from before to go"
	}
	return fmt.Sprintf("%d of %d samples to go; %s is %s", len(open), len(r.results), open[0].title, open[0].row.State)
}
