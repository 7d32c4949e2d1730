package app

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// EmbeddedRedis is a Redis inside this process, on a free port of the loopback,
// so that other processes can put tasks on its queues. It remembers nothing
// beyond Stop: Relay rebuilds the queues from the store.
type EmbeddedRedis struct {
	server   *miniredis.Miniredis
	password string
}

// StartEmbeddedRedis starts one. Clients need the password, unless it is "".
func StartEmbeddedRedis(password string) (*EmbeddedRedis, error) {
	m := miniredis.NewMiniRedis()
	if password != "" {
		m.RequireAuth(password)
	}
	if err := m.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	// Made for tests, it ends no key by itself: pauses, leases of keys and the
	// cached token would last for ever.
	m.ClockTTL(true)
	return &EmbeddedRedis{server: m, password: password}, nil
}

// Addr is host and port.
func (r *EmbeddedRedis) Addr() string { return r.server.Addr() }

// URL is what another process of this machine sets as REDIS_URL; it holds the
// password.
func (r *EmbeddedRedis) URL() string {
	if r.password == "" {
		return "redis://" + r.Addr() + "/0"
	}
	return "redis://:" + r.password + "@" + r.Addr() + "/0"
}

// NewClient makes a client; it is a Parts.Redis.
func (r *EmbeddedRedis) NewClient(t config.RedisTuning) redis.UniversalClient {
	return redis.NewClient(&redis.Options{
		Addr: r.Addr(), Password: r.password, ContextTimeoutEnabled: true,
		DialTimeout: t.DialTimeout, ReadTimeout: t.ReadTimeout, WriteTimeout: t.WriteTimeout,
		MaxRetries: t.MaxRetries, MaxRetryBackoff: t.MaxRetryBackoff, PoolSize: t.PoolSize, ClientName: t.ClientName,
	})
}

// Stop ends it, with everything it held, at once: ctx is there for the form.
func (r *EmbeddedRedis) Stop(context.Context) error {
	r.server.Close()
	return nil
}
