package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/task"
)

// The kinds of Peer.
const (
	// Bare does one tuned POST for a task and keeps nothing.
	Bare = "bare"
	// Naive does what a first version does for a message: GET of the token from
	// Redis, SELECT of the openid, a POST by the default HTTP client, INSERT of a
	// log row.
	Naive = "naive"
)

// PeerConfig says what a Peer is like.
type PeerConfig struct {
	Kind        string
	RedisURL    string
	DatabaseURL string // of Naive
	BaseURL     string // of WeChat
	AppID       string
	Secret      string
	// Servers is how many asynq servers share Concurrency.
	Servers     int
	Concurrency int
}

// peerQueue is the queue that a Peer serves.
const peerQueue = "default"

// Peer is one of the two that the pipeline is measured beside. It serves tasks
// whose payload is that of our own until ctx ends, and says on out where its
// metrics are. asynq's settings are its defaults but for the number of slots.
func Peer(ctx context.Context, c PeerConfig, out io.Writer) error {
	opts, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		return errors.New("peer: REDIS_URL cannot be parsed")
	}
	opts.PoolSize = max(10, c.Concurrency/4)
	rdb := redis.NewClient(opts)
	defer func() { _ = rdb.Close() }()
	handler, end, err := c.handler(ctx, rdb)
	if err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	defer end()
	if err := serveMetrics(ctx, out); err != nil {
		return fmt.Errorf("peer: %w", err)
	}
	mux := asynq.NewServeMux()
	mux.Handle(task.Type, handler)
	for range c.Servers {
		server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
			Concurrency: c.Concurrency / c.Servers, Queues: map[string]int{peerQueue: 1}, LogLevel: asynq.WarnLevel,
		})
		if err := server.Start(mux); err != nil {
			return fmt.Errorf("peer: %w", err)
		}
		defer server.Shutdown()
	}
	<-ctx.Done()
	return nil
}

func (c PeerConfig) handler(ctx context.Context, rdb *redis.Client) (asynq.Handler, func(), error) {
	switch {
	case c.Servers < 1 || c.Concurrency < c.Servers:
		return nil, nil, errors.New("there is a server at least, and a slot for each")
	case c.Kind == Bare:
		h, err := newBareHandler(ctx, c)
		return h, func() {}, err
	case c.Kind == Naive:
		return newNaiveHandler(ctx, c, rdb)
	}
	return nil, nil, fmt.Errorf("no peer %q", c.Kind)
}

// serveMetrics serves Go's own figures until ctx ends.
func serveMetrics(ctx context.Context, out io.Writer) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector())
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }() // ends with ctx
	_, err = fmt.Fprintf(out, "metrics at %s\n", l.Addr())
	return err
}
