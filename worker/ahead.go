package worker

import (
	"context"
	"math"
	"sync"
	"time"
)

// ahead lets an app's claims run ahead of its calls, so that a place for a call does
// not stand empty while the claim of the next one is written: it gives credit for as
// many claims as calls end in the time that a claim takes. A delivery waits for a
// slot, claims, and then gets one of the places for calls, of which there are never
// more than CONCURRENCY; by then one has come free, or will in moments.
//
// Whoever dies with a claim that waits for its place leaves a doubt on a message
// that was never written. So there is no credit before calls have ended, and none
// any more as soon as one waited in vain.
type ahead struct {
	slots *slots
	app   string
	most  int

	mu    sync.Mutex
	claim time.Duration // that a claim takes, smoothed
	since time.Time     // the beginning of the window
	ended int           // calls, in the window
	rate  float64       // calls that end in a second, smoothed
	// refused are the templates that an answer has paused, and until when claims may
	// have been asked for that did not find them paused.
	refused map[string]time.Time
}

const (
	// aheadWindow is how often the rate is looked at.
	aheadWindow = 100 * time.Millisecond
	// aheadMargin: claims are granted in blocks, so calls end in blocks too, and
	// some more must be ready than end on average.
	aheadMargin = 2.0
	// claimWeight is that of the newest claim among those before, claimMost what
	// it counts for at most: one that was held for a store that was away says
	// nothing of the next.
	claimWeight = 1.0 / 16
	claimMost   = 50 * time.Millisecond
)

func newAhead(s *slots, app string) *ahead {
	return &ahead{slots: s, app: app, most: beyond(s.total), since: time.Now(), refused: map[string]time.Time{}}
}

// claimed notes how long a claim took.
func (a *ahead) claimed(took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claim += time.Duration(claimWeight * float64(min(took, claimMost)-a.claim))
}

// called notes that a call has ended.
func (a *ahead) called() {
	a.mu.Lock()
	a.ended++
	passed := time.Since(a.since)
	if passed < aheadWindow {
		a.mu.Unlock()
		return
	}
	a.rate = (a.rate + float64(a.ended)/passed.Seconds()) / 2
	a.ended, a.since = 0, time.Now()
	n := min(int(math.Round(aheadMargin*a.rate*a.claim.Seconds())), a.most)
	a.mu.Unlock()
	a.slots.lend(a.app, n)
}

// stuck notes that no place came free in time: calls do not end as they did.
func (a *ahead) stuck() {
	a.mu.Lock()
	a.rate, a.ended, a.since = 0, 0, time.Now()
	a.mu.Unlock()
	a.slots.lend(a.app, 0)
}

// refuse notes that an answer pauses a template; written must be called when the
// pause is.
func (a *ahead) refuse(template string) (written func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for t, until := range a.refused {
		if time.Since(until) > leaseMargin { // no such claim is left
			delete(a.refused, t)
		}
	}
	a.refused[template] = time.Now().Add(leaseMargin)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refused[template] = time.Now()
	}
}

// misses reports whether a claim may not have found its template paused, since it
// was asked for before the pause was written.
func (a *ahead) misses(template string, asked time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.refused[template]
	return ok && asked.Before(until)
}

// begin gets the place for the call of a claimed delivery. Where there is none
// the claim is given back, and answer is what asynq is told.
func (d *delivery) begin(app *app, c *claim, permit *permit) (place *slot, answer error) {
	calls := d.s.w.calls
	place, ok := calls.take(c.look.App)
	if !ok {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), patience)
		defer cancel()
		var err error
		if place, err = calls.acquire(ctx, c.look.App, c.look.Priority); err != nil {
			app.ahead.stuck()
			return nil, d.giveBack(c, "the calls before it last longer")
		}
	}
	switch {
	case c.age() > leaseMargin:
		place.release()
		return nil, d.giveBack(c, "the claim came too late")
	case permit.probe == "" && app.gate.closedFor() > 0:
		// The answer that closed it came while this one waited, as below.
		place.release()
		return nil, d.giveBack(c, "the app is paused")
	case app.ahead.misses(c.look.TemplateID, c.asked):
		place.release()
		return nil, d.giveBack(c, "the template is paused")
	}
	return place, nil
}
