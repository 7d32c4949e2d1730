package storetest

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// newRequest is a claim of the request with a key.
func newRequest(key string, edits ...func(*store.RequestClaim)) store.RequestClaim {
	c := store.RequestClaim{
		Producer: "billing", Key: key, Hash: []byte("hash"), Seed: uuid.New(), Owner: uuid.New(),
		Lease: time.Hour, Window: store.RequestWindow,
	}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

func (f *fixture) request(c store.RequestClaim) store.RequestClaimed {
	f.Helper()
	return must[store.RequestClaimed](f)(f.ClaimRequest(f.ctx, c))
}

func (f *fixture) endRequest(c store.RequestClaim, edits ...func(*store.RequestEnd)) {
	f.Helper()
	e := store.RequestEnd{Producer: c.Producer, Key: c.Key, Owner: c.Owner}
	for _, edit := range edits {
		edit(&e)
	}
	if err := f.EndRequest(f.ctx, e); err != nil {
		f.Fatalf("end request: %v", err)
	}
}

func testRequest(f *fixture) {
	first := newRequest("key")
	yours := store.RequestClaimed{State: store.RequestYours, Seed: first.Seed}
	f.diff("first", yours, f.request(first))
	f.diff("first again, its reply was lost", yours, f.request(first))
	f.diff("somebody else", store.RequestClaimed{State: store.RequestRunning}, f.request(newRequest("key")))
	f.diff("another request", store.RequestClaimed{State: store.RequestOther},
		f.request(newRequest("key", func(c *store.RequestClaim) { c.Hash = []byte("other") })))
	other := newRequest("key", func(c *store.RequestClaim) { c.Producer = "reports" })
	f.diff("another producer's", store.RequestClaimed{State: store.RequestYours, Seed: other.Seed}, f.request(other))

	answer := store.RequestAnswer{Status: 202, Location: "/v1/notifications/1", Body: []byte(`{"id":"1"}`)}
	f.endRequest(newRequest("key"), func(e *store.RequestEnd) { e.Answer = &store.RequestAnswer{Status: 500} }) // not its owner
	f.diff("running still", store.RequestRunning, f.request(newRequest("key")).State)
	f.endRequest(first, func(e *store.RequestEnd) { e.Answer = &answer })
	f.endRequest(first, func(e *store.RequestEnd) { e.Forget = true }) // too late
	f.diff("repeated", store.RequestClaimed{State: store.RequestAnswered, Answer: answer}, f.request(newRequest("key")))
	f.diff("another request", store.RequestOther,
		f.request(newRequest("key", func(c *store.RequestClaim) { c.Hash = []byte("other") })).State)

	if n := must[int](f)(f.DeleteRequests(f.ctx, time.Hour, 10)); n != 0 {
		f.Errorf("deleted %d requests of just now", n)
	}
	if n := must[int](f)(f.DeleteRequests(f.ctx, 0, 1)); n != 1 {
		f.Errorf("deleted %d requests, want the limit", n)
	}
	if n := must[int](f)(f.DeleteRequests(f.ctx, 0, 10)); n != 1 {
		f.Errorf("deleted %d requests, want the one that was left", n)
	}

	for name, bad := range map[string]store.RequestClaim{
		"key":    newRequest(""),
		"text":   newRequest("a\x00b"),
		"lease":  newRequest("key", func(c *store.RequestClaim) { c.Lease = 0 }),
		"window": newRequest("key", func(c *store.RequestClaim) { c.Window = 0 }),
		"owner":  newRequest("key", func(c *store.RequestClaim) { c.Owner = uuid.Nil }),
		"hash":   newRequest("key", func(c *store.RequestClaim) { c.Hash = nil }),
	} {
		if _, err := f.ClaimRequest(f.ctx, bad); err == nil {
			f.Errorf("a request with a bad %s was taken", name)
		}
	}
}

// testRequestTakenOver: whoever goes on with a request whose owner fell silent
// has its seed; what is older than the window begins anew.
func testRequestTakenOver(f *fixture) {
	silent := newRequest("key", func(c *store.RequestClaim) { c.Lease = time.Microsecond })
	f.request(silent)
	f.diff("another request all the same", store.RequestOther,
		f.request(newRequest("key", func(c *store.RequestClaim) { c.Hash = []byte("other") })).State)
	next := newRequest("key")
	f.diff("taken over", store.RequestClaimed{State: store.RequestYours, Seed: silent.Seed}, f.request(next))
	f.endRequest(silent, func(e *store.RequestEnd) { e.Answer = &store.RequestAnswer{Status: 202} }) // no longer its owner
	f.diff("running", store.RequestRunning, f.request(newRequest("key")).State)

	f.endRequest(next) // unknown how it ended: the next one goes on
	f.diff("given up", store.RequestClaimed{State: store.RequestYours, Seed: silent.Seed}, f.request(newRequest("key")))

	old := newRequest("key", func(c *store.RequestClaim) { c.Hash, c.Window = []byte("other"), time.Microsecond })
	f.diff("window over", store.RequestClaimed{State: store.RequestYours, Seed: old.Seed}, f.request(old))
}

// testRequestForgotten: a request that did nothing leaves its key to others.
func testRequestForgotten(f *fixture) {
	first := newRequest("key")
	f.request(first)
	f.endRequest(first, func(e *store.RequestEnd) { e.Forget = true })
	other := newRequest("key", func(c *store.RequestClaim) { c.Hash = []byte("other") })
	f.diff("another request", store.RequestClaimed{State: store.RequestYours, Seed: other.Seed}, f.request(other))
}

// testRequestRace: of many who come with one request one carries it out.
func testRequestRace(f *fixture) { requestRace(f, f) }

func testPairRequestRace(a, b *fixture) { requestRace(a, b) }

func requestRace(fixtures ...*fixture) {
	var (
		mu     sync.Mutex
		states = map[store.RequestState]int{}
		group  sync.WaitGroup
	)
	for _, f := range fixtures {
		for range 10 {
			group.Go(func() {
				claimed, err := f.ClaimRequest(f.ctx, newRequest("key"))
				mu.Lock()
				defer mu.Unlock()
				states[claimed.State]++
				if err != nil {
					f.Errorf("claim request: %v", err)
				}
			})
		}
	}
	group.Wait()
	fixtures[0].diff("states", map[store.RequestState]int{store.RequestYours: 1, store.RequestRunning: 10*len(fixtures) - 1}, states)
}
