package wechat

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store/tokencache"
)

// memoryCache is the Cache of one process, and a model of what Redis does.
type memoryCache struct {
	now func() time.Time

	mu   sync.Mutex
	keys map[string]memoryKey
	puts []time.Duration
}

type memoryKey struct {
	value string
	until time.Time
}

func newMemoryCache(now func() time.Time) *memoryCache {
	return &memoryCache{now: now, keys: make(map[string]memoryKey)}
}

func (c *memoryCache) get(key string) (memoryKey, bool) {
	k, ok := c.keys[key]
	return k, ok && c.now().Before(k.until)
}

func (c *memoryCache) Get(_ context.Context, appID string) (string, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.get(appID)
	if !ok {
		return "", 0, nil
	}
	return k.value, k.until.Sub(c.now()), nil
}

func (c *memoryCache) Put(_ context.Context, appID, value string, life time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value == "" || life <= 0 {
		return errors.New("put: no value or no life")
	}
	c.keys[appID] = memoryKey{value, c.now().Add(life)}
	c.puts = append(c.puts, life)
	return nil
}

func (c *memoryCache) Drop(_ context.Context, appID, value string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.get(appID); ok && k.value == value {
		delete(c.keys, appID)
	}
	return nil
}

func (c *memoryCache) Lock(_ context.Context, appID, owner string, ttl time.Duration) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if owner == "" || ttl <= 0 {
		return false, errors.New("lock: no owner or no life")
	}
	if _, ok := c.get(appID + ":lock"); ok {
		return false, nil
	}
	c.keys[appID+":lock"] = memoryKey{owner, c.now().Add(ttl)}
	return true, nil
}

func (c *memoryCache) Unlock(ctx context.Context, appID, owner string) error {
	return c.Drop(ctx, appID+":lock", owner)
}

// testRedis connects to the server of TEST_REDIS_URL. Tests share it and keep
// apart by their keys.
func testRedis(t *testing.T) *redis.Client {
	t.Helper()
	address := os.Getenv("TEST_REDIS_URL")
	if address == "" {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			t.Fatal("TEST_REDIS_URL is not set")
		}
		t.Skip("TEST_REDIS_URL is not set")
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	rdb := redis.NewClient(options)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// fleetCache returns a function that opens the cache as a process of its own
// would, all on the same keys.
type fleetCache struct {
	name string
	open func(t *testing.T) func() Cache
}

var fleetCaches = []fleetCache{
	{"memory", func(*testing.T) func() Cache {
		c := newMemoryCache(time.Now)
		return func() Cache { return c }
	}},
	{"redis", func(t *testing.T) func() Cache {
		prefix := "test:" + rand.Text() + ":"
		return func() Cache {
			c, err := tokencache.New(tokencache.Config{Redis: testRedis(t), Prefix: prefix})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
	}},
}

// eventually waits until ok, with a deadline.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out: %s", what)
		}
	}
}

func TestCacheConformance(t *testing.T) {
	t.Parallel()
	for _, fc := range fleetCaches {
		t.Run(fc.name, func(t *testing.T) {
			t.Parallel()
			c, ctx := fc.open(t)(), t.Context()
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			holds := func(appID, want string, most time.Duration) {
				t.Helper()
				value, left, err := c.Get(ctx, appID)
				if err != nil || value != want || left > most || (want != "" && left <= most/2) || (want == "" && left != 0) {
					t.Errorf("%s: got %q for %s, %v, want %q for %s", appID, value, left, err, want, most)
				}
			}
			holds("a", "", 0)
			must(c.Put(ctx, "a", "one", time.Minute))
			holds("a", "one", time.Minute)
			holds("b", "", 0)
			must(c.Put(ctx, "a", "two", 2*time.Hour))
			holds("a", "two", 2*time.Hour)
			must(c.Drop(ctx, "a", "one"))
			holds("a", "two", 2*time.Hour)
			must(c.Drop(ctx, "a", "two"))
			holds("a", "", 0)
			must(c.Drop(ctx, "a", "two"))

			for _, life := range []time.Duration{0, -time.Second} {
				if err := c.Put(ctx, "a", "x", life); err == nil {
					t.Errorf("a life of %s was taken", life)
				}
			}
			if err := c.Put(ctx, "a", "", time.Minute); err == nil {
				t.Error("an empty token was taken")
			}
			must(c.Put(ctx, "a", "short", 30*time.Millisecond))
			eventually(t, "the token's end", func() bool {
				value, _, err := c.Get(ctx, "a")
				must(err)
				return value == ""
			})

			locks := func(owner string, ttl time.Duration, want bool) {
				t.Helper()
				got, err := c.Lock(ctx, "a", owner, ttl)
				if err != nil || got != want {
					t.Errorf("lock by %s: got %t, %v, want %t", owner, got, err, want)
				}
			}
			locks("me", time.Minute, true)
			locks("you", time.Minute, false)
			locks("me", time.Minute, false)
			must(c.Unlock(ctx, "a", "you"))
			locks("you", time.Minute, false)
			must(c.Unlock(ctx, "a", "me"))
			locks("you", 30*time.Millisecond, true)
			eventually(t, "the lock's end", func() bool {
				got, err := c.Lock(ctx, "a", "me", time.Minute)
				must(err)
				return got
			})
			holds("a", "", 0)
		})
	}
}
