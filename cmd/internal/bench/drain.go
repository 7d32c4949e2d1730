package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

const (
	scenarioDrain = "drain"
	// apiLatency is what a call of WeChat takes in the runs that are not about
	// what the pipeline itself costs.
	apiLatency = 100 * time.Millisecond
)

// The pipelines of a drain.
var (
	pipeOurs  = pipeline{Name: "ours", kind: ours}
	pipeBare  = pipeline{Name: "bare", kind: Bare, queueServers: 1}
	pipeBare4 = pipeline{Name: "bare x4", kind: Bare, queueServers: 4}
	pipeNaive = pipeline{Name: "naive", kind: Naive, queueServers: 1}
	// asynq's default is one slot for each core.
	pipeNaiveDefault = pipeline{Name: "naive default", kind: Naive, queueServers: 1, concurrency: runtime.NumCPU()}
)

// drain takes backlogs away at two latencies and several concurrencies.
func (e *env) drain(ctx context.Context) error {
	for _, latency := range []time.Duration{0, apiLatency} {
		for i, concurrency := range e.concurrencies {
			pipes := []pipeline{pipeOurs, pipeBare, pipeBare4, pipeNaive}
			if i == 0 {
				pipes = append(pipes, pipeNaiveDefault)
			}
			err := e.alternate(pipes, func(p pipeline) error {
				return e.drainOnce(ctx, scenarioDrain, p, latency, concurrency, nil)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// alternate runs every pipeline in every round, each round beginning with
// another one, so that what changes on the machine meanwhile meets all.
func (e *env) alternate(pipes []pipeline, run func(pipeline) error) error {
	for round := range e.rounds {
		for k := range pipes {
			if err := run(pipes[(k+round)%len(pipes)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// backlog is how many messages a run at some latency is about: at 100 ms so many
// that the slots are filled many times over.
func (e *env) backlog(latency time.Duration, concurrency int) int {
	seconds, most, fixed := 8, 40_000, 30_000
	if e.quick {
		seconds, most, fixed = 4, 10_000, 8_000
	}
	if latency == 0 {
		return fixed
	}
	return min(int(float64(concurrency*seconds)/latency.Seconds()), most)
}

// drainOnce drains one backlog and adds what it found to the report. prepare,
// which may be nil, sees the scene before the worker starts.
func (e *env) drainOnce(ctx context.Context, scenario string, p pipeline, latency time.Duration, concurrency int, prepare func(*scene) error) error {
	slots := concurrency
	if p.concurrency != 0 {
		slots = p.concurrency
	}
	n := e.backlog(latency, slots)
	e.progress(fmt.Sprintf("%s: %s, %d messages, API %s, %d in flight", scenario, p.Name, n, latency, slots))
	s, err := e.newScene(ctx, p, latency)
	if err != nil {
		return err
	}
	defer s.close()
	loaded, err := s.loadMeasured(ctx, n)
	if err != nil {
		return err
	}
	if prepare != nil {
		if err := prepare(s); err != nil {
			return err
		}
	}
	f, err := s.drain(ctx, n, concurrency)
	if err != nil {
		return err
	}
	f[figRedisBytes] = loaded
	if latency > 0 {
		f[figIdeal] = f[figRate] / (float64(slots) / latency.Seconds())
	}
	e.add(Result{Scenario: scenario, Pipeline: p.Name, LatencyMS: latency.Milliseconds(), Concurrency: concurrency, Messages: n}, f)
	e.progress(fmt.Sprintf("%s: %s: %.0f messages/s", scenario, p.Name, f[figRate]))
	return nil
}

// loadMeasured loads a backlog and returns the bytes of Redis's memory that one
// message takes.
func (s *scene) loadMeasured(ctx context.Context, n int) (float64, error) {
	before, err := s.redisMemory(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.load(ctx, n); err != nil {
		return 0, err
	}
	after, err := s.redisMemory(ctx)
	return float64(after-before) / float64(n), err
}

// drain starts the worker, waits for the end of the backlog and stops the
// worker. Rates and costs are those between a tenth and nine tenths of it.
func (s *scene) drain(ctx context.Context, n, concurrency int) (figures, error) {
	before, err := countDurable(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	if err := s.startWorker(ctx, concurrency); err != nil {
		return nil, err
	}
	from, err := s.awaitCalls(ctx, int64(n)/10)
	if err != nil {
		return nil, err
	}
	to, err := s.awaitCalls(ctx, int64(n)*9/10)
	if err != nil {
		return nil, err
	}
	f := between(from, to)
	if _, err := s.awaitCalls(ctx, int64(n)); err != nil {
		return nil, err
	}
	if err := s.awaitEmpty(ctx); err != nil {
		return nil, err
	}
	if peak, err := peakMemory(s.worker.pid()); err == nil {
		f[figMemory] = float64(peak)
	}
	s.stopWorker()
	after, err := countDurable(ctx, s.conn)
	if err != nil {
		return nil, err
	}
	f[figTransactions] = float64(after.transactions-before.transactions) / float64(n)
	f[figFsyncs] = float64(after.fsyncs-before.fsyncs) / float64(n)
	f[figWAL] = float64(after.walBytes-before.walBytes) / float64(n)
	return f, s.checkSettled(ctx, n, f)
}

// checkSettled fails when a message of ours has no final state with an attempt
// in the store: a fast pipeline that forgets is none. It adds what the rows
// take on the disk.
func (s *scene) checkSettled(ctx context.Context, n int, f figures) error {
	if s.kind != ours {
		return nil
	}
	var sent int
	var bytes int64
	err := s.conn.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM notifications JOIN attempts ON notification_id = id WHERE state = 'sent'),
			pg_total_relation_size('notifications') + pg_total_relation_size('attempts')`).Scan(&sent, &bytes)
	if err != nil {
		return fmt.Errorf("look at the rows: %w", err)
	}
	f[figPGBytes] = float64(bytes) / float64(n)
	if sent != n {
		return fmt.Errorf("%d of %d messages are settled as sent", sent, n)
	}
	return nil
}

// redisMemory is what Redis's data takes.
func (s *scene) redisMemory(ctx context.Context) (int64, error) {
	info, err := s.servers.rdb.InfoMap(ctx, "memory").Result()
	if err != nil {
		return 0, fmt.Errorf("redis: %w", err)
	}
	var used int64
	if _, err := fmt.Sscan(info["Memory"]["used_memory"], &used); err != nil {
		return 0, fmt.Errorf("redis: used_memory: %w", err)
	}
	return used, nil
}
