package worker

import (
	"context"
	"slices"
	"sync"

	"github.com/wxnotify/wxnotify/store"
)

// slots bounds the calls in flight of this process and shares them between
// apps and priorities. A free slot goes to the app that holds the fewest and
// has someone waiting, so that an app whose calls are slow cannot take what the
// others need; within an app to the priority that is furthest behind its share.
type slots struct {
	mu   sync.Mutex
	free int
	apps map[string]*appSlots
}

type appSlots struct {
	inUse int
	lanes map[store.Priority]*lane
}

type lane struct {
	waiting []chan struct{}
	given   float64 // slots given, divided by the lane's weight: least goes next
}

// laneWeight is a priority's share of an app's slots while all wait.
func laneWeight(p store.Priority) float64 {
	switch p {
	case store.Critical:
		return 6
	case store.Default:
		return 3
	case store.Low:
		return 1
	}
	return 1
}

func newSlots(n int) *slots { return &slots{free: n, apps: map[string]*appSlots{}} }

// acquire waits for a slot; release must be called when err is nil.
func (s *slots) acquire(ctx context.Context, app string, p store.Priority) (release func(), err error) {
	s.mu.Lock()
	a := s.apps[app]
	if a == nil {
		a = &appSlots{lanes: map[store.Priority]*lane{}}
		s.apps[app] = a
	}
	l := a.lanes[p]
	if l == nil {
		l = &lane{}
		a.lanes[p] = l
	}
	if s.free > 0 {
		s.free--
		a.inUse++
		s.mu.Unlock()
		return func() { s.release(a) }, nil
	}
	ready := make(chan struct{}, 1)
	if len(l.waiting) == 0 {
		a.join(l)
	}
	l.waiting = append(l.waiting, ready)
	s.mu.Unlock()

	select {
	case <-ready:
		return func() { s.release(a) }, nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	if i := slices.Index(l.waiting, ready); i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
		s.mu.Unlock()
		return nil, ctx.Err()
	}
	s.mu.Unlock()
	s.release(a) // it was given in the same moment
	return nil, ctx.Err()
}

// join brings a lane that begins to wait level with the furthest behind of
// those that wait already: it must not catch up on what it did not want.
func (a *appSlots) join(l *lane) {
	level, found := 0.0, false
	for _, other := range a.lanes {
		if len(other.waiting) > 0 && (!found || other.given < level) {
			level, found = other.given, true
		}
	}
	l.given = max(l.given, level)
}

func (s *slots) release(a *appSlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.inUse--
	next, l, p := s.next()
	if next == nil {
		s.free++
		return
	}
	ready := l.waiting[0]
	l.waiting = slices.Delete(l.waiting, 0, 1)
	next.inUse++
	l.given += 1 / laneWeight(p)
	ready <- struct{}{}
}

// next chooses who gets a freed slot; nil when nobody waits.
func (s *slots) next() (app *appSlots, best *lane, prio store.Priority) {
	for _, a := range s.apps {
		if app != nil && a.inUse >= app.inUse {
			continue
		}
		var l *lane
		var lp store.Priority
		for _, p := range store.Priorities {
			c := a.lanes[p]
			if c != nil && len(c.waiting) > 0 && (l == nil || c.given < l.given) {
				l, lp = c, p
			}
		}
		if l != nil {
			app, best, prio = a, l, lp
		}
	}
	return app, best, prio
}
