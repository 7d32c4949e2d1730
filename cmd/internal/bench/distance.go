package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	scenarioDistance = "distance"
	// distance is the round trip to a Redis in another zone.
	distance = 2400 * time.Microsecond
	// distanceConcurrency is the default of CONCURRENCY.
	distanceConcurrency = 200

	figRoundTrip = "redis_round_trip_ms"
)

// distance drains a backlog with Redis some way off.
func (e *env) distance(ctx context.Context) error {
	pipes := slices.DeleteFunc([]pipeline{pipeOurs, pipeBare, pipeBare4}, func(p pipeline) bool { return !slices.Contains(e.Pipelines, p.Name) })
	return e.alternate(ctx, pipes, func(p pipeline) error {
		opts, err := redis.ParseURL(e.servers.redisURL)
		if err != nil {
			return errors.New("REDIS_URL cannot be parsed")
		}
		k, err := newLink(ctx, opts.Addr)
		if err != nil {
			return err
		}
		defer k.close()
		got, err := k.calibrate(ctx, opts, distance)
		if err != nil {
			return err
		}
		r := drainRun{scenario: scenarioDistance, latency: apiLatency, concurrency: distanceConcurrency}
		if p.kind != ours { // one round trip for a task and server: an eighth of the pace, or a half
			r.part = 8 / p.queueServers
		}
		r.prepare = func(s *scene, f figures) error {
			f[figRoundTrip] = got.Seconds() * 1e3
			s.redisURL, err = withHost(s.redisURL, k.addr())
			return err
		}
		return e.drainOnce(ctx, p, r)
	})
}
