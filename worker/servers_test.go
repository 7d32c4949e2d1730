package worker

import (
	"context"
	"os"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
)

// testRedis is a client of the real Redis. Tests share it, so each uses an appid
// of its own, which is part of every queue and key name.
func testRedis(t *testing.T) *redis.Client {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			t.Fatal("TEST_REDIS_URL is not set")
		}
		t.Skip("TEST_REDIS_URL is not set; deploy/test.sh sets it")
	}
	opts, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled = true
	c := redis.NewClient(opts)
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ping(context.Background()).Err(); err != nil {
		t.Fatalf("Redis does not answer: %v", err)
	}
	return c
}

// testAppID is an appid that no other test uses.
func testAppID() string { return "wx" + uuid.NewString()[:8] + uuid.NewString()[:8] }
