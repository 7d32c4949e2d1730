package worker

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/wxnotify/wxnotify/store"
)

// slots bounds what a process does at a time and shares it between apps and
// priorities. Where several apps are served, half of the slots are set
// aside, in equal parts: an app whose calls hang cannot hold another's part, so
// that a message of an app that was quiet begins at once, whatever the others do.
// A slot that comes free goes to the app that holds the fewest of those that may
// have one and wait; within an app to the priority that is furthest behind its
// share.
//
// A slot is given for a claim first and then for the call. An app may have some
// claims on credit, which take no slot from anybody until their calls begin.
type slots struct {
	mu    sync.Mutex
	total int
	part  int // what is set aside for each app that is served
	apps  map[string]*appSlots
	// divided: serve has told which apps there are; until then all may come.
	divided bool
}

type appSlots struct {
	served   bool
	claiming int // slots in use whose calls have not begun
	calling  int // slots in use whose calls have
	credit   int // claims beyond the slots that there are
	lanes    map[store.Priority]*lane
}

// held is what the app takes of the slots that there are.
func (a *appSlots) held() int { return a.calling + max(a.claiming-a.credit, 0) }

func (a *appSlots) inUse() int { return a.claiming + a.calling }

// slot is one that was given. It is for one goroutine.
type slot struct {
	s     *slots
	a     *appSlots
	calls bool
	over  bool
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

func newSlots(n int) *slots { return &slots{total: n, apps: map[string]*appSlots{}} }

// serve divides what is set aside among these apps. What is in use stays so: who
// holds more than is left to him gets none until he does not.
func (s *slots) serve(apps []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.apps {
		a.served = false
		if a.inUse() == 0 && !a.waits() {
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

// may reports whether the app may have one more slot: on credit, of its own part,
// or of what is set aside for nobody. One that is not served any more gets none.
func (s *slots) may(a *appSlots) bool {
	switch {
	case s.divided && !a.served:
		return false
	case a.claiming < a.credit:
		return true
	}
	free, aside := s.total, 0
	for _, other := range s.apps {
		free -= other.held()
		if other.served && other != a {
			aside += max(s.part-other.held(), 0)
		}
	}
	return free > 0 && (a.held() < s.part || free > aside)
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

// acquire waits for a slot, which must be released when err is nil.
func (s *slots) acquire(ctx context.Context, app string, p store.Priority) (*slot, error) {
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
		given := s.give(a)
		s.mu.Unlock()
		return given, nil
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
		return &slot{s: s, a: a}, nil
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
		(&slot{s: s, a: a}).release()
	}
	return nil, ctx.Err()
}

// take gets a slot if there is one.
func (s *slots) take(app string) (*slot, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(app)
	if !s.may(a) {
		return nil, false
	}
	return s.give(a), true
}

// give hands out a slot that may be had.
func (s *slots) give(a *appSlots) *slot {
	a.claiming++
	return &slot{s: s, a: a}
}

// lend lets n claims of an app go beyond the slots that there are.
func (s *slots) lend(app string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.app(app).credit = n
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

// call notes that the claim is over and the call begins.
func (x *slot) call() {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.a.claiming--
	x.a.calling++
	x.calls = true
	x.s.grant()
}

// release gives the slot back; a second time it does nothing.
func (x *slot) release() {
	if x.over {
		return
	}
	x.over = true
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if x.calls {
		x.a.calling--
	} else {
		x.a.claiming--
	}
	x.s.grant()
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
		next.claiming++
		l.given += 1 / laneWeight(p)
		ready <- struct{}{}
	}
}

// next chooses who gets a free slot; nil when nobody waits who may have one.
func (s *slots) next() (app *appSlots, best *lane, prio store.Priority) {
	for _, a := range s.apps {
		if app != nil && a.inUse() >= app.inUse() || !s.may(a) {
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
