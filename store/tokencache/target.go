package tokencache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
)

// Target is one key on one Redis server, as a URL names it. It prints without
// the password.
type Target struct {
	options *redis.Options
	key     string
}

// ParseURL reads redis://[user:password@]host[:port][/db]?key=KEY, or rediss://
// for TLS; go-redis's own query parameters may follow. Its errors name setting
// and repeat nothing of the URL, which may hold a password.
func ParseURL(setting, raw string) (Target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return Target{}, fmt.Errorf("%s: cannot be parsed as a URL", setting)
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return Target{}, fmt.Errorf("%s: has to begin with redis:// or rediss://", setting)
	}
	if u.Hostname() == "" {
		return Target{}, fmt.Errorf("%s: the host is missing", setting)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Target{}, fmt.Errorf("%s: the part after ? cannot be parsed", setting)
	}
	key := query.Get("key")
	if key == "" || len(query["key"]) > 1 {
		return Target{}, fmt.Errorf("%s: has to end with ?key= and the name of one key", setting)
	}
	query.Del("key")
	u.RawQuery = query.Encode()
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return Target{}, fmt.Errorf("%s: the port, the database or a parameter after ? is wrong", setting)
	}
	options.ContextTimeoutEnabled = true
	return Target{options: options, key: key}, nil
}

// String names the target without its credentials.
func (t Target) String() string {
	if t.options == nil {
		return "no key"
	}
	return fmt.Sprintf("key %q at %s, database %d", t.key, t.options.Addr, t.options.DB)
}

// GoString implements fmt.GoStringer.
func (t Target) GoString() string { return t.String() }

// Same reports whether both name the same key: a mirror on the foreign key would
// overwrite what is someone else's.
func (t Target) Same(o Target) bool {
	return t.options != nil && o.options != nil &&
		t.key == o.key && t.options.Addr == o.options.Addr && t.options.DB == o.options.DB
}

func (t Target) open() redis.UniversalClient {
	options := *t.options
	options.PoolSize = 2 // read or written once in a while, by one goroutine
	return redis.NewClient(&options)
}

// Foreign reads a key that someone else keeps. It cannot write.
type Foreign struct {
	rdb redis.UniversalClient
	key string
}

// OpenForeign returns a reader of t with a connection of its own; it does not
// connect yet.
func OpenForeign(t Target) *Foreign { return &Foreign{rdb: t.open(), key: t.key} }

// Read returns what the key holds, "" when it does not exist.
func (f *Foreign) Read(ctx context.Context) (string, error) {
	value, err := f.rdb.Get(ctx, f.key).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read foreign token: %w", err)
	}
	return value, nil
}

// Close closes the connection.
func (f *Foreign) Close() error { return f.rdb.Close() }

// Mirror writes tokens to a key that others read.
type Mirror struct {
	rdb redis.UniversalClient
	key string
}

// OpenMirror returns a writer of t with a connection of its own; it does not
// connect yet.
func OpenMirror(t Target) *Mirror { return &Mirror{rdb: t.open(), key: t.key} }

// Write puts value there as a plain string for life, which is positive.
func (m *Mirror) Write(ctx context.Context, value string, life time.Duration) error {
	return set(ctx, m.rdb, m.key, value, life)
}

// Close closes the connection.
func (m *Mirror) Close() error { return m.rdb.Close() }
