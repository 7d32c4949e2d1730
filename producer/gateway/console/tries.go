package console

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Wrong passwords are counted for a user at an address, so that nobody can keep
// a user out from elsewhere, and for an address, so that it cannot go through
// the users. Each process counts for itself.
const (
	triesPerUser    = 5
	triesPerAddress = 20
	// lockOut is how long the way is closed, and how long a failure counts.
	lockOut = 15 * time.Minute
	// maxTries bounds the memory: some 100 bytes each. When there are more, what
	// failed the longest ago is forgotten.
	maxTries = 10_000
)

// tries remembers wrong passwords.
type tries struct {
	now func() time.Time

	mu     sync.Mutex
	places map[string]*list.Element
	order  *list.List // of *failure, the oldest first
}

type failure struct {
	key   string
	count int
	last  time.Time
}

func newTries(now func() time.Time) *tries {
	return &tries{now: now, places: map[string]*list.Element{}, order: list.New()}
}

// locked is how long a key with so many tries is still closed; zero: it is open.
func (t *tries) locked(key string, most int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.places[key]
	if !ok {
		return 0
	}
	f := e.Value.(*failure) //nolint:forcetypeassert // nothing else is in the list
	if left := lockOut - t.now().Sub(f.last); f.count >= most && left > 0 {
		return left
	}
	return 0
}

// fail counts a wrong password and reports whether it was the one that closes
// the way.
func (t *tries) fail(key string, most int) (closes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	e, ok := t.places[key]
	if !ok {
		if t.order.Len() >= maxTries {
			oldest := t.order.Front()
			delete(t.places, oldest.Value.(*failure).key) //nolint:forcetypeassert // as above
			t.order.Remove(oldest)
		}
		e = t.order.PushBack(&failure{key: key})
		t.places[key] = e
	}
	f := e.Value.(*failure) //nolint:forcetypeassert // as above
	if now.Sub(f.last) >= lockOut {
		f.count = 0
	}
	f.count++
	f.last = now
	t.order.MoveToBack(e)
	return f.count == most
}

// forgive forgets the failures of a key.
func (t *tries) forgive(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.places[key]; ok {
		t.order.Remove(e)
		delete(t.places, key)
	}
}

// addressOf is where a request comes from: the peer, since headers can be made
// up. Of IPv6 it is the /64, which is what one customer has.
func addressOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.String()
}
