package worker

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/wxnotify/wxnotify/store"
)

// slots bounds the calls in flight of this process and shares them between
// apps and priorities. Where several apps are served, half of the slots are set
// aside, in equal parts: an app whose calls hang cannot hold another's part, so
// that a message of an app that was quiet begins at once, whatever the others do.
// A slot that comes free goes to the app that holds the fewest of those that may
// have one and wait; within an app to the priority that is furthest behind its
// share.
type slots struct {
	mu    sync.Mutex
	total int
	free  int // below 0 while more are in use than there are: what was lent is gone
	lent  int // beyond total
	part  int // what is set aside for each app that is served
	apps  map[string]*appSlots
	// divided: serve has told which apps there are; until then all may come.
	divided bool
}

type appSlots struct {
	served bool
	inUse  int
	lanes  map[store.Priority]*lane
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

func newSlots(n int) *slots { return &slots{total: n, free: n, apps: map[string]*appSlots{}} }

// serve divides what is set aside among these apps. What is in use stays so: who
// holds more than is left to him gets none until he does not.
func (s *slots) serve(apps []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.apps {
		a.served = false
		if a.inUse == 0 && !a.waits() {
			delete(s.apps, id)
		}
	}
	for _, id := range apps {
		s.app(id).served = true
	}
	for _, a := range s.apps {
		if !a.served {
			a.turnAway()
		}
	}
	s.divided, s.part = true, 0
	if len(apps) > 1 {
		s.part = s.total / 2 / len(apps)
	}
	s.grant()
}

// app is what is known of an app's slots.
func (s *slots) app(id string) *appSlots {
	a := s.apps[id]
	if a == nil {
		a = &appSlots{lanes: map[store.Priority]*lane{}}
		s.apps[id] = a
	}
	return a
}

// may reports whether the app may have one more slot: of its own part, or of what
// is set aside for nobody. One that is not served any more gets none.
func (s *slots) may(a *appSlots) bool {
	switch {
	case s.free <= 0 || s.divided && !a.served:
		return false
	case a.inUse < s.part:
		return true
	}
	aside := 0
	for _, other := range s.apps {
		if other.served {
			aside += max(s.part-other.inUse, 0)
		}
	}
	return s.free > aside
}

func (a *appSlots) waits() bool {
	for _, l := range a.lanes {
		if len(l.waiting) > 0 {
			return true
		}
	}
	return false
}

// turnAway ends the waiting for slots of an app that is not served any more.
func (a *appSlots) turnAway() {
	for _, l := range a.lanes {
		for _, ready := range l.waiting {
			close(ready)
		}
		l.waiting = nil
	}
}

// errNotServed is what who waits for a slot of an app gets that a reload took out
// of the settings.
var errNotServed = errors.New("the app is not served any more")

// acquire waits for a slot; release must be called when err is nil.
func (s *slots) acquire(ctx context.Context, app string, p store.Priority) (release func(), err error) {
	s.mu.Lock()
	a := s.app(app)
	l := a.lanes[p]
	if l == nil {
		l = &lane{}
		a.lanes[p] = l
	}
	if s.divided && !a.served {
		s.mu.Unlock()
		return nil, errNotServed
	}
	if s.may(a) {
		release = s.give(a)
		s.mu.Unlock()
		return release, nil
	}
	ready := make(chan struct{}, 1)
	if len(l.waiting) == 0 {
		a.join(l)
	}
	l.waiting = append(l.waiting, ready)
	s.mu.Unlock()

	select {
	case _, given := <-ready:
		if !given {
			return nil, errNotServed
		}
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
	if _, given := <-ready; given { // in the same moment
		s.release(a)
	}
	return nil, ctx.Err()
}

// take gets a slot if there is one.
func (s *slots) take(app string) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(app)
	if !s.may(a) {
		return nil, false
	}
	return s.give(a), true
}

// give hands out a slot that may be had.
func (s *slots) give(a *appSlots) (release func()) {
	s.free--
	a.inUse++
	return func() { s.release(a) }
}

// lend lets n more be in use than there are. Those in use beyond a smaller n stay
// so until they are released.
func (s *slots) lend(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n - s.lent
	s.lent = n
	s.grant()
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
	s.free++
	s.grant()
}

// grant gives free slots to those who wait for one and may have it.
func (s *slots) grant() {
	for {
		next, l, p := s.next()
		if next == nil {
			return
		}
		ready := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		s.free--
		next.inUse++
		l.given += 1 / laneWeight(p)
		ready <- struct{}{}
	}
}

// next chooses who gets a free slot; nil when nobody waits who may have one.
func (s *slots) next() (app *appSlots, best *lane, prio store.Priority) {
	for _, a := range s.apps {
		if app != nil && a.inUse >= app.inUse || !s.may(a) {
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
