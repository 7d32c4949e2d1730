// Package tokencache keeps the apps' shared access tokens in Redis: the cache
// that a fleet fetches through, and plain keys that other systems keep or read
// (Foreign, Mirror). When to fetch, and what a token is worth, belongs to
// package wechat; lives are TTLs here, so that no clock but Redis's counts.
package tokencache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// DefaultPrefix is the default of Config.Prefix.
const DefaultPrefix = "wxnotify:token:"

// Config holds the settings and dependencies of a Cache.
type Config struct {
	// Redis is single, Sentinel or Cluster. Set ContextTimeoutEnabled in its
	// options: otherwise a server that hangs holds a caller for the client's own
	// timeouts and retries, whatever its context says.
	Redis redis.UniversalClient
	// Prefix begins every key; the appid follows in braces, so that an app's keys
	// share a slot of a cluster. Defaults to DefaultPrefix.
	Prefix string
}

// Cache is the fleet's copy of the tokens. It is safe for concurrent use.
type Cache struct {
	rdb    redis.UniversalClient
	prefix string
}

// New returns a cache; it does not ask the server yet.
func New(cfg Config) (*Cache, error) {
	if cfg.Redis == nil {
		return nil, errors.New("token cache: redis client is missing")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = DefaultPrefix
	}
	return &Cache{rdb: cfg.Redis, prefix: cfg.Prefix}, nil
}

func (c *Cache) key(appID string) string     { return c.prefix + "{" + appID + "}" }
func (c *Cache) lockKey(appID string) string { return c.key(appID) + ":lock" }

// read returns value and TTL of one instant: two commands could pair an old
// token with the TTL of a new one.
var read = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if not value then
	return false
end
return {value, redis.call('PTTL', KEYS[1])}`)

// Get returns the token and the rest of its life; "" when there is none. A key
// without a TTL was not written by Put and counts as none.
func (c *Cache) Get(ctx context.Context, appID string) (string, time.Duration, error) {
	reply, err := read.Run(ctx, c.rdb, []string{c.key(appID)}).Slice()
	if errors.Is(err, redis.Nil) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("get token: %w", err)
	}
	if len(reply) != 2 {
		return "", 0, fmt.Errorf("get token: reply of %d parts", len(reply))
	}
	value, _ := reply[0].(string)
	left, _ := reply[1].(int64)
	if value == "" || left <= 0 {
		return "", 0, nil
	}
	return value, time.Duration(left) * time.Millisecond, nil
}

// Put keeps value for life. A life that is not positive is refused: Redis would
// take it for no expiry.
func (c *Cache) Put(ctx context.Context, appID, value string, life time.Duration) error {
	return set(ctx, c.rdb, c.key(appID), value, life)
}

func set(ctx context.Context, rdb redis.UniversalClient, key, value string, life time.Duration) error {
	if value == "" {
		return errors.New("put token: no token")
	}
	if life <= 0 {
		return fmt.Errorf("put token: life of %s", life)
	}
	if err := rdb.Set(ctx, key, value, max(life, time.Millisecond)).Err(); err != nil {
		return fmt.Errorf("put token: %w", err)
	}
	return nil
}

// removeIf deletes a key only while it holds what the caller means.
var removeIf = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0`)

// Drop removes the token if it still is value.
func (c *Cache) Drop(ctx context.Context, appID, value string) error {
	if err := removeIf.Run(ctx, c.rdb, []string{c.key(appID)}, value).Err(); err != nil {
		return fmt.Errorf("drop token: %w", err)
	}
	return nil
}

// Lock takes the right to fetch for ttl; false when another owner has it.
// Nothing waits on it and a fetch too many is harmless, so one Redis decides
// and a failover may lose it.
func (c *Cache) Lock(ctx context.Context, appID, owner string, ttl time.Duration) (bool, error) {
	if owner == "" || ttl <= 0 {
		return false, fmt.Errorf("lock token: owner %q, ttl %s", owner, ttl)
	}
	err := c.rdb.SetArgs(ctx, c.lockKey(appID), owner, redis.SetArgs{Mode: "NX", TTL: max(ttl, time.Millisecond)}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock token: %w", err)
	}
	return true, nil
}

// Unlock gives the right back if it still is owner's.
func (c *Cache) Unlock(ctx context.Context, appID, owner string) error {
	if err := removeIf.Run(ctx, c.rdb, []string{c.lockKey(appID)}, owner).Err(); err != nil {
		return fmt.Errorf("unlock token: %w", err)
	}
	return nil
}
