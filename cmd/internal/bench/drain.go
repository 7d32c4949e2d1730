package bench

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
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

// drained are the pipelines of a drain.
var drained = []pipeline{pipeOurs, pipeBare, pipeBare4, pipeNaive, pipeNaiveDefault}

// drain takes backlogs away at several latencies and concurrencies.
func (e *env) drain(ctx context.Context) error {
	for _, latency := range e.Latency {
		for i, concurrency := range e.Concurrency {
			// That with a concurrency of its own runs once.
			pipes := slices.DeleteFunc(slices.Clone(drained), func(p pipeline) bool {
				return !slices.Contains(e.Pipelines, p.Name) || i > 0 && p.concurrency != 0
			})
			err := e.alternate(ctx, pipes, func(p pipeline) error {
				return e.drainOnce(ctx, p, drainRun{scenario: scenarioDrain, latency: latency, concurrency: concurrency})
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// backlog is how many messages a run at some latency is about: at 100 ms so many
// that the slots are filled many times over.
func (e *env) backlog(latency time.Duration, concurrency int) int {
	if e.Messages != 0 {
		return e.Messages
	}
	seconds, most, fixed := 6, 30_000, 24_000
	if e.Quick {
		seconds, most, fixed = 3, 10_000, 6_000
	}
	if latency == 0 {
		return min(fixed, concurrency*1000)
	}
	return min(int(float64(concurrency*seconds)/latency.Seconds()), most)
}

// drainRun is one backlog that is drained.
type drainRun struct {
	scenario    string
	latency     time.Duration
	concurrency int
	// part of the usual backlog is enough for a pipeline that is slow here; 0 means
	// all of it.
	part int
	// prepare sees the scene before the worker starts; it may be nil.
	prepare func(*scene, figures) error
}

// drainOnce drains one backlog and adds what it found to the report.
func (e *env) drainOnce(ctx context.Context, p pipeline, r drainRun) error {
	slots := r.concurrency
	if p.concurrency != 0 {
		slots = p.concurrency
	}
	n := e.backlog(r.latency, slots)
	if r.part > 0 && e.Messages == 0 {
		n /= r.part
	}
	e.Progress(fmt.Sprintf("%s: %s, %d messages, API %s, %d in flight", r.scenario, p.Name, n, r.latency, slots))
	s, err := e.newScene(ctx, p, r.latency)
	if err != nil {
		return err
	}
	defer s.close()
	loaded, err := s.loadMeasured(ctx, n)
	if err != nil {
		return err
	}
	f := figures{figRedisBytes: loaded}
	if r.prepare != nil {
		if err := r.prepare(s, f); err != nil {
			return err
		}
	}
	if err := s.drain(ctx, n, r.concurrency, f); err != nil {
		return err
	}
	if r.latency > 0 {
		f[figIdeal] = f[figRate] / (float64(slots) / r.latency.Seconds())
	}
	e.add(Result{Scenario: r.scenario, Pipeline: p.Name, LatencyMS: r.latency.Milliseconds(), Concurrency: r.concurrency, Messages: n}, f)
	e.Progress(fmt.Sprintf("%s: %s: %.0f messages/s", r.scenario, p.Name, f[figRate]))
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
// worker. Rates, CPU and allocations are those between a tenth and nine tenths
// of it.
func (s *scene) drain(ctx context.Context, n, concurrency int, f figures) error {
	late, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	began, err := s.count(ctx)
	if err != nil {
		return err
	}
	if err := s.startWorker(ctx, concurrency); err != nil {
		return err
	}
	window, err := s.watch(ctx, n)
	if err != nil {
		return err
	}
	if err := s.awaitEmpty(ctx); err != nil {
		return err
	}
	ended, err := s.count(ctx)
	if err != nil {
		return err
	}
	maps.Copy(f, window)
	f.addCounts(began, ended, n)
	if peak, err := peakMemory(s.worker.pid()); err == nil {
		f[figMemory] = float64(peak)
	}
	s.stopWorker()
	end, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	f.addDurable(late, end, n)
	if err := s.addSize(ctx, n, f); err != nil {
		return err
	}
	return s.checkSettled(ctx, n)
}

// watch waits until n messages were answered and returns what happened between
// a tenth and nine tenths of them.
func (s *scene) watch(ctx context.Context, n int) (figures, error) {
	from, err := s.awaitCalls(ctx, int64(n)/10)
	if err != nil {
		return nil, err
	}
	to, err := s.awaitCalls(ctx, int64(n)*9/10)
	if err != nil {
		return nil, err
	}
	_, err = s.awaitCalls(ctx, int64(n))
	return between(from, to), err
}

// checkSettled fails when a message of ours has no final state with an attempt
// in the store: a fast pipeline that forgets is none.
func (s *scene) checkSettled(ctx context.Context, n int) error {
	if s.kind != ours {
		return nil
	}
	var sent int
	err := s.conn.QueryRow(ctx, `
		SELECT count(*)
		FROM notifications JOIN attempts ON notification_id = id
		WHERE state = 'sent'`).Scan(&sent)
	if err != nil {
		return fmt.Errorf("look at the rows: %w", err)
	}
	if sent != n {
		return fmt.Errorf("%d of %d messages are settled as sent", sent, n)
	}
	return nil
}

// addSize adds what each of n messages takes on the disk, indexes and all.
func (s *scene) addSize(ctx context.Context, n int, f figures) error {
	var bytes int64
	err := s.conn.QueryRow(ctx, `
		SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
		FROM pg_class c
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relname IN ('notifications', 'attempts', 'naive_log')`).Scan(&bytes)
	if err != nil {
		return fmt.Errorf("look at the tables: %w", err)
	}
	if bytes > 0 {
		f[figPGBytes] = float64(bytes) / float64(n)
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
