package app_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// chaos is a deployment under load: a rig with a producer in this process and
// two workers in their own, each joined to its servers by links.
type chaos struct {
	*rig
	size     chaosSize
	db       *ownPostgres // nil when the database is not ours to stop
	links    []*link
	producer *producer.Client
	workers  [2]*child
	clocks   [2]time.Duration // how far the workers' clocks are ahead
	envs     [2]map[string]string

	list     []producer.Notification // what is handed in
	fed      chan struct{}           // closed when all of list is accepted
	mu       sync.Mutex
	accepted map[string]uuid.UUID // by openid
	calls    []acceptance         // of SendBatch
	hits     map[string]bool      // openids that have a fault of their own
}

// newChaos makes the deployment without starting anything in it.
func newChaos(t *testing.T, size chaosSize, db *ownPostgres, s scenario) *chaos {
	t.Helper()
	latency := size.latency
	if s.latency > 0 {
		latency = s.latency
	}
	env := map[string]string{
		"SEND_TIMEOUT": "1s", "IN_DOUBT_WAIT": "1s", "CONCURRENCY": strconv.Itoa(chaosConcurrency), "LOG_LEVEL": "info",
	}
	maps.Copy(env, s.env)
	c := &chaos{
		rig:  newRig(t, simulator.Config{Latency: latency}, env),
		size: size, db: db, clocks: s.clocks,
		fed: make(chan struct{}), accepted: map[string]uuid.UUID{}, hits: map[string]bool{},
	}
	for i := range c.workers {
		c.envs[i] = maps.Clone(c.env)
		for _, name := range []string{"DATABASE_URL", "REDIS_URL", "WECHAT_API_BASE_URL"} {
			c.envs[i][name] = c.linked(fmt.Sprintf("worker %d, %s", i+1, name), c.env[name])
		}
		c.envs[i]["ADMIN_ADDR"] = net.JoinHostPort("127.0.0.1", sparePort(t))
		if c.clocks[i] != 0 {
			c.envs[i][clockVariable] = strconv.Itoa(int(c.clocks[i].Seconds()))
		}
	}
	rows, err := postgres.Open(t.Context(), postgres.Config{
		URL: c.linked("producer, DATABASE_URL", c.databaseURL), MaxConns: 4, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rows.Close)
	opts, err := redis.ParseURL(c.linked("producer, REDIS_URL", c.redis.url()))
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	queue := redis.NewClient(opts)
	t.Cleanup(func() { _ = queue.Close() })
	if c.producer, err = producer.New(producer.Config{Redis: queue, Store: rows, DefaultApp: c.app.AppID, Producer: "chaos"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.producer.Close() })
	c.makeList(s)
	return c
}

// chaosConcurrency is how many calls a worker has in flight: few, so that tasks
// wait on the queue while things go wrong.
const chaosConcurrency = 8

// linked puts a link in front of a server and returns the URL that leads
// through it.
func (c *chaos) linked(name, address string) string {
	c.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		c.t.Fatal(err)
	}
	k := newLink(c.t, name, u.Host)
	c.links = append(c.links, k)
	u.Host = k.addr()
	return u.String()
}

// makeList writes the notifications, each with an openid of its own: half of
// them may be sent twice after a doubt, half may not.
func (c *chaos) makeList(s scenario) {
	c.list = make([]producer.Notification, c.size.rows)
	for i := range c.list {
		n := notice()
		n.Ref = "chaos-" + strconv.Itoa(i)
		n.Duplicates = store.DuplicatesAllow
		if i%2 == 1 {
			n.Duplicates = store.DuplicatesAvoid
		}
		c.list[i] = n
		if s.fault == nil || i%chaosFaultEvery != 0 && i%chaosFaultEvery != 1 {
			continue
		}
		f := s.fault(i)
		f.API, f.OpenID, f.Count = simulator.APISend, n.OpenID, 1
		c.fault(f)
		c.hits[n.OpenID] = true
	}
}

// chaosFaultEvery is how many notifications share two that have a fault of
// their own, one of each policy.
const chaosFaultEvery = 10

// spawnWorker starts worker i as a process.
func (c *chaos) spawnWorker(i int) {
	c.t.Helper()
	path := binary(c.t)
	if c.clocks[i] != 0 {
		path = shiftedBinary(c.t)
	}
	c.workers[i] = spawn(c.t, path, c.envs[i], "worker")
}

// feedPage is how many notifications are handed in at once.
const feedPage = 25

// acceptance is one call of SendBatch.
type acceptance struct {
	at       time.Time
	took     time.Duration
	accepted int // of its notifications
}

// worst is the longest call.
func (c *chaos) worst() (d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.calls {
		d = max(d, a.took)
	}
	return d
}

// feed hands the list in, spread over the time that size says. It does what a
// producer has to do: what was not accepted is handed in again with its ref.
func (c *chaos) feed(ctx context.Context) error {
	defer close(c.fed)
	start, size := time.Now(), c.size.page
	if size == 0 {
		size = feedPage
	}
	for from := 0; from < len(c.list); from += size {
		page := c.list[from:min(from+size, len(c.list))]
		due := time.Duration(float64(c.size.span) * float64(from) / float64(len(c.list)))
		if !wait(ctx, due-time.Since(start)) {
			return ctx.Err()
		}
		for len(page) > 0 {
			called := time.Now()
			results, _ := c.producer.SendBatch(ctx, page) // what failed is told by the results
			var left []producer.Notification
			call := acceptance{at: called, took: time.Since(called)}
			c.mu.Lock()
			for i, n := range page {
				if i >= len(results) || results[i].Err != nil {
					left = append(left, n)
					continue
				}
				c.accepted[n.OpenID] = results[i].ID
				call.accepted++
			}
			c.calls = append(c.calls, call)
			c.mu.Unlock()
			if page = left; len(page) > 0 && !wait(ctx, 100*time.Millisecond) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// wait waits for d and reports whether ctx is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// pause lets d of the load go by; it reports false when no load is left.
func (c *chaos) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.fed:
		return false
	}
}

// leastActs is how often something is broken at least, even when the machine is
// so slow that the load has ended by then.
const leastActs = 2

// more waits for the next time to break something, after acts times; it reports
// false when that was the last.
func (c *chaos) more(d time.Duration, acts int) bool { return c.pause(d) || acts < leastActs }

// share is that part of the time in which the list is handed in.
func (c *chaos) share(part float64) time.Duration {
	return time.Duration(part * float64(c.size.span))
}

// settled waits until every accepted notification is in a final state, at most
// within the run's deadline when none is given. The store is asked directly, past
// the links.
func (c *chaos) settled(within time.Duration) error {
	if within == 0 {
		within = c.size.deadline
	}
	deadline := time.Now().Add(within)
	var states map[store.State]int
	var err error
	for {
		if states, err = c.store.CountByState(c.t.Context(), ""); err == nil {
			final := 0
			for s, n := range states {
				if s.Final() {
					final += n
				}
			}
			if final == len(c.list) {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("not all are final %v after the last was accepted: %v", within, states), err)
		}
		if !wait(c.t.Context(), 50*time.Millisecond) {
			return c.t.Context().Err()
		}
	}
}

// answered waits until no task is left on the queue: the old deliveries of
// workers that were killed come back late, and must not be sent then.
func (c *chaos) answered() error {
	deadline := time.Now().Add(c.size.deadline)
	for {
		info, err := c.queue()
		if err == nil {
			if n := info.Pending + info.Active + info.Retry + info.Scheduled; n == 0 {
				return nil
			}
			err = fmt.Errorf("pending %d, active %d, retry %d, scheduled %d", info.Pending, info.Active, info.Retry, info.Scheduled)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("tasks are left on the queue %v after the last row was final: %w", c.size.deadline, err)
		}
		if !wait(c.t.Context(), 100*time.Millisecond) {
			return c.t.Context().Err()
		}
	}
}
