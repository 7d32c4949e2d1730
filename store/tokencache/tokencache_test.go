package tokencache_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/store/tokencache"
)

// The cache's conformance, with a model in memory beside it, is tested in
// worker/wechat, which declares the interface. Here is what only Redis can show.

func testRedis(t *testing.T) (*redis.Client, string) {
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
	return rdb, "test:" + rand.Text() + ":"
}

func newCache(t *testing.T, rdb redis.UniversalClient, prefix string) *tokencache.Cache {
	t.Helper()
	c, err := tokencache.New(tokencache.Config{Redis: rdb, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewNeedsAClient(t *testing.T) {
	t.Parallel()
	if _, err := tokencache.New(tokencache.Config{}); err == nil {
		t.Error("a cache without a client was made")
	}
}

// TestKeys: what an administrator sees and other programs may rely on.
func TestKeys(t *testing.T) {
	t.Parallel()
	rdb, prefix := testRedis(t)
	c, ctx := newCache(t, rdb, prefix), t.Context()
	if err := c.Put(ctx, "wx1", "TOKEN", time.Minute); err != nil {
		t.Fatal(err)
	}
	if ok, err := c.Lock(ctx, "wx1", "OWNER", time.Minute); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for key, want := range map[string]string{prefix + "{wx1}": "TOKEN", prefix + "{wx1}:lock": "OWNER"} {
		if got := rdb.Get(ctx, key).Val(); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
		if left := rdb.PTTL(ctx, key).Val(); left <= 50*time.Second || left > time.Minute {
			t.Errorf("%s: got a TTL of %s, want a minute", key, left)
		}
	}
}

// TestKeyWithoutEnd: nothing of ours is without a TTL, so such a key is no token.
func TestKeyWithoutEnd(t *testing.T) {
	t.Parallel()
	rdb, prefix := testRedis(t)
	c, ctx := newCache(t, rdb, prefix), t.Context()
	if err := rdb.Set(ctx, prefix+"{wx1}", "OLD", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if value, left, err := c.Get(ctx, "wx1"); err != nil || value != "" || left != 0 {
		t.Errorf("got %q for %s, %v, want none", value, left, err)
	}
	if err := c.Put(ctx, "wx1", "NEW", time.Minute); err != nil {
		t.Fatal(err)
	}
	if value, _, err := c.Get(ctx, "wx1"); err != nil || value != "NEW" {
		t.Errorf("got %q, %v, want the new one", value, err)
	}
}

// TestSubMillisecondLife: Redis counts in milliseconds, and nought would be for
// ever.
func TestSubMillisecondLife(t *testing.T) {
	t.Parallel()
	rdb, prefix := testRedis(t)
	c, ctx := newCache(t, rdb, prefix), t.Context()
	if err := c.Put(ctx, "wx1", "TOKEN", time.Microsecond); err != nil {
		t.Fatal(err)
	}
	if ok, err := c.Lock(ctx, "wx1", "OWNER", time.Microsecond); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for _, key := range []string{prefix + "{wx1}", prefix + "{wx1}:lock"} {
		// -2: gone already.
		if left := rdb.PTTL(ctx, key).Val(); left > time.Millisecond || left == -1 {
			t.Errorf("%s: got a TTL of %s, want a millisecond at most", key, left)
		}
	}
}

func TestForeignAndMirror(t *testing.T) {
	t.Parallel()
	rdb, prefix := testRedis(t)
	ctx, key := t.Context(), prefix+"AppletToken"
	foreign, mirror := tokencache.NewForeign(rdb, key), tokencache.NewMirror(rdb, key)
	if got, err := foreign.Read(ctx); err != nil || got != "" {
		t.Errorf("got %q, %v of a key that does not exist", got, err)
	}
	if err := mirror.Write(ctx, "TOKEN", 90*time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, err := foreign.Read(ctx); err != nil || got != "TOKEN" {
		t.Errorf("got %q, %v, want what was written", got, err)
	}
	if left := rdb.PTTL(ctx, key).Val(); left <= 89*time.Minute || left > 90*time.Minute {
		t.Errorf("got a TTL of %s, want 90 minutes", left)
	}
	for _, life := range []time.Duration{0, -time.Second} {
		if err := mirror.Write(ctx, "TOKEN", life); err == nil {
			t.Errorf("a life of %s was taken", life)
		}
	}
	if err := rdb.RPush(ctx, key+"2", "x").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := tokencache.NewForeign(rdb, key+"2").Read(ctx); err == nil {
		t.Error("a list was read as a token")
	}
}

// TestErrorsHoldNoToken runs every operation against a server that is away.
func TestErrorsHoldNoToken(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	c := newCache(t, rdb, "")
	const token = "TOKENTOKENTOKEN"
	for name, op := range map[string]func(context.Context) error{
		"get":     func(ctx context.Context) error { _, _, err := c.Get(ctx, "wx1"); return err },
		"put":     func(ctx context.Context) error { return c.Put(ctx, "wx1", token, time.Minute) },
		"drop":    func(ctx context.Context) error { return c.Drop(ctx, "wx1", token) },
		"lock":    func(ctx context.Context) error { _, err := c.Lock(ctx, "wx1", token, time.Minute); return err },
		"unlock":  func(ctx context.Context) error { return c.Unlock(ctx, "wx1", token) },
		"foreign": func(ctx context.Context) error { _, err := tokencache.NewForeign(rdb, "k").Read(ctx); return err },
		"mirror": func(ctx context.Context) error {
			return tokencache.NewMirror(rdb, "k").Write(ctx, token, time.Minute)
		},
	} {
		err := op(t.Context())
		if err == nil || strings.Contains(err.Error(), token) {
			t.Errorf("%s: got %v, want an error without the token", name, err)
		}
	}
}
