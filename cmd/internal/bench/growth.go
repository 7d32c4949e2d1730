package bench

import (
	"context"
	"fmt"
	"slices"
)

const (
	scenarioGrowth = "growth"
	// growthConcurrency is the default of CONCURRENCY.
	growthConcurrency = 200
)

// growth takes as many messages off backlogs of several sizes: what one costs
// must not depend on how many wait behind it.
func (e *env) growth(ctx context.Context) error {
	sizes := slices.Sorted(slices.Values(e.Backlogs))
	pipes := make([]pipeline, len(sizes))
	size := map[string]int{}
	for i, n := range sizes {
		pipes[i] = pipeOurs
		pipes[i].Name = fmt.Sprintf("ours of %d", n)
		size[pipes[i].Name] = n
	}
	return e.alternate(ctx, pipes, func(p pipeline) error { return e.growthOnce(ctx, p, size[p.Name], sizes[0]) })
}

// growthOnce measures the same number of messages whatever the backlog.
func (e *env) growthOnce(ctx context.Context, p pipeline, backlog, least int) error {
	e.Progress(fmt.Sprintf("growth: a backlog of %d", backlog))
	s, err := e.newScene(ctx, p, 0)
	if err != nil {
		return err
	}
	defer s.close()
	loaded, err := s.loadMeasured(ctx, backlog)
	if err != nil {
		return err
	}
	late, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	if err := s.startWorker(ctx, growthConcurrency); err != nil {
		return err
	}
	from, err := s.awaitCalls(ctx, int64(least)/10)
	if err != nil {
		return err
	}
	to, err := s.awaitCalls(ctx, int64(least)*9/10)
	if err != nil {
		return err
	}
	f := between(from, to)
	f.addCounts(from, to, int(to.sends-from.sends))
	f[figRedisBytes] = loaded
	s.stopWorker()
	done, err := s.state(ctx)
	if err != nil {
		return err
	}
	end, err := countDurable(ctx, s.conn)
	if err != nil {
		return err
	}
	f.addDurable(late, end, int(done.Sends))
	if err := s.addSize(ctx, backlog, f); err != nil {
		return err
	}
	e.add(Result{Scenario: scenarioGrowth, Pipeline: p.Name, Concurrency: growthConcurrency, Messages: backlog}, f)
	e.Progress(fmt.Sprintf("growth: %s: %.0f messages/s, %.0f µs each", p.Name, f[figRate], f.cpu(partWorker, partRedis, partPostgres)))
	return nil
}
