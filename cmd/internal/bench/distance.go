package bench

import (
	"context"
	"errors"
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
	return e.alternate(ctx, []pipeline{pipeOurs, pipeBare, pipeBare4}, func(p pipeline) error {
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
		return e.drainOnce(ctx, scenarioDistance, p, apiLatency, distanceConcurrency, func(s *scene, f figures) error {
			f[figRoundTrip] = got.Seconds() * 1e3
			s.redisURL, err = withHost(s.redisURL, k.addr())
			return err
		})
	})
}
