package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

const (
	scenarioIdle = "idle"
	// idleConcurrency is the default of CONCURRENCY.
	idleConcurrency = 200

	figP50      = "latency_p50_ms"
	figP99      = "latency_p99_ms"
	figSlowest  = "latency_max_ms"
	figIdleCore = "idle_core_" // and the part: the share of a core that it takes to wait
)

// sampling is how a pipeline's wake-up is measured.
type sampling struct {
	settle, rest time.Duration // before the rest, and how long that is watched
	samples      int
	// gap is the most that lies between two messages, and half of it the mean.
	// asynq's server sleeps up to 1.5 s, and messages in a shorter distance would
	// not meet it at any moment of that sleep alike.
	gap time.Duration
}

func (e *env) sampling(p pipeline) sampling {
	s := sampling{settle: 5 * time.Second, rest: 10 * time.Second, samples: 200, gap: 300 * time.Millisecond}
	if e.Quick {
		s.settle, s.rest, s.samples = 2*time.Second, 5*time.Second, 40
	}
	if p.kind != ours {
		s.samples, s.gap = s.samples/10, 3*time.Second
	}
	return s
}

// idle measures what it costs to wait, and how long a message takes from its
// acceptance to WeChat's first byte when nothing else is to do.
func (e *env) idle(ctx context.Context) error {
	return e.alternate(ctx, []pipeline{pipeOurs, pipeBare}, func(p pipeline) error { return e.idleOnce(ctx, p) })
}

func (e *env) idleOnce(ctx context.Context, p pipeline) error {
	how := e.sampling(p)
	e.Progress(fmt.Sprintf("idle: %s, %d messages one at a time", p.Name, how.samples))
	s, err := e.newScene(ctx, p, 0)
	if err != nil {
		return err
	}
	defer s.close()
	send, end, err := s.sender()
	if err != nil {
		return err
	}
	defer end()
	if err := s.startWorker(ctx, idleConcurrency); err != nil {
		return err
	}
	if err := pause(ctx, how.settle); err != nil {
		return err
	}
	f, err := s.watchRest(ctx, how.rest)
	if err != nil {
		return err
	}
	accepted := make([]time.Time, how.samples)
	for i := range accepted {
		if err := pause(ctx, rand.N(how.gap)); err != nil { //nolint:gosec // a distance, not a secret
			return err
		}
		if accepted[i], err = send(ctx, i); err != nil {
			return err
		}
	}
	if _, err := s.awaitCalls(ctx, int64(how.samples)); err != nil {
		return err
	}
	waits, err := s.waits(ctx, accepted)
	if err != nil {
		return err
	}
	f[figP50], f[figP99], f[figSlowest] = percentile(waits, 50), percentile(waits, 99), percentile(waits, 100)
	e.add(Result{Scenario: scenarioIdle, Pipeline: p.Name, Concurrency: idleConcurrency, Messages: how.samples}, f)
	e.Progress(fmt.Sprintf("idle: %s: p50 %.1f ms, p99 %.1f ms", p.Name, f[figP50], f[figP99]))
	return nil
}

// watchRest is the share of a core that each part takes while nothing happens.
func (s *scene) watchRest(ctx context.Context, d time.Duration) (figures, error) {
	from, err := s.count(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, d); err != nil {
		return nil, err
	}
	to, err := s.count(ctx)
	if err != nil {
		return nil, err
	}
	f := figures{}
	for part, used := range to.cpu {
		if before, ok := from.cpu[part]; ok && part != partSimulator {
			f[figIdleCore+part] = (used - before).Seconds() / to.at.Sub(from.at).Seconds()
		}
	}
	return f, nil
}

// sender hands in one message and returns when it was accepted: for ours the
// COMMIT was confirmed, for asynq alone Redis took it.
func (s *scene) sender() (send func(context.Context, int) (time.Time, error), end func(), err error) {
	if s.kind != ours {
		return func(ctx context.Context, i int) (time.Time, error) {
			err := enqueue(ctx, s.queue, i)
			return time.Now(), err
		}, func() {}, nil
	}
	opts, err := redis.ParseURL(s.redisURL)
	if err != nil {
		return nil, nil, errors.New("REDIS_URL cannot be parsed")
	}
	opts.ContextTimeoutEnabled = true
	rdb := redis.NewClient(opts)
	timed := &timedStore{Store: s.store}
	c, err := producer.New(producer.Config{Redis: rdb, Store: timed, DefaultApp: s.app.AppID})
	if err != nil {
		return nil, nil, errors.Join(err, rdb.Close())
	}
	send = func(ctx context.Context, i int) (time.Time, error) {
		accepted, err := c.Send(ctx, notification(i))
		return timed.confirmed, errors.Join(err, accepted.QueueErr)
	}
	return send, func() { _, _ = c.Close(), rdb.Close() }, nil
}

// timedStore notes when an Insert was confirmed. One caller at a time.
type timedStore struct {
	producer.Store
	confirmed time.Time
}

// Insert implements producer.Store.
func (t *timedStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	inserted, err := t.Store.Insert(ctx, batch)
	t.confirmed = time.Now()
	return inserted, err
}

// waits are the times, in milliseconds, from each acceptance to the moment at
// which the simulator had the request; in order of length. A task may be taken
// before its producer knows that it is on the queue; that is no wait.
func (s *scene) waits(ctx context.Context, accepted []time.Time) ([]float64, error) {
	resp, err := get(ctx, s.base+"/_sim/truth")
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var truth struct {
		Calls []simulator.Call `json:"calls"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&truth); err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	arrived := make(map[string]time.Time, len(truth.Calls))
	for _, c := range truth.Calls {
		arrived[c.OpenID] = c.At
	}
	waits := make([]float64, len(accepted))
	for i, at := range accepted {
		first, ok := arrived[openID(i)]
		if !ok {
			return nil, fmt.Errorf("message %d did not arrive", i)
		}
		waits[i] = max(0, first.Sub(at).Seconds()*1e3)
	}
	slices.Sort(waits)
	return waits, nil
}

// percentile is the value that so many percent of an ordered list do not
// exceed.
func percentile(sorted []float64, percent int) float64 {
	k := (len(sorted)*percent + 99) / 100
	return sorted[max(k, 1)-1]
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
