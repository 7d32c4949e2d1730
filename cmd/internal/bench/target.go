package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Target is what a figure should be.
type Target struct {
	Name string `json:"name"`
	// Wants is the bound, and Shown the figure, in words.
	Wants string `json:"wants"`
	Shown string `json:"shown"`
	// Got is the figure; nil when what it is made of was not measured.
	Got *float64 `json:"got"`
	Met bool     `json:"met"`
}

// target is one line of the table of targets, which hold on a machine of two
// cores that all processes share.
type target struct {
	name  string
	least bool // the figure has to be the bound at least; otherwise at most
	bound float64
	unit  string // as for fmt, with one verb
	// The figure is that of a scenario, at a latency and a concurrency; at 0 that
	// of the worst concurrency there is.
	scenario    string
	latency     time.Duration
	concurrency int
	figure      func(point) (float64, bool)
}

const (
	atLeast = true
	atMost  = false
)

var targets = []target{
	{"drain, 0 ms: rate against bare", atLeast, 0.9, "%.2fx", scenarioDrain, 0, 0, ratio(figRate, pipeOurs, pipeBare)},
	{"drain, 0 ms: rate against naive", atLeast, 2, "%.2fx", scenarioDrain, 0, 0, ratio(figRate, pipeOurs, pipeNaive)},
	{"drain, 0 ms: CPU of our own bookkeeping", atMost, 100, "%.0f µs", scenarioDrain, 0, 0, bookkeeping},
	{"drain, 100 ms, 200 in flight: share of the ideal rate", atLeast, 0.97, "%.3f", scenarioDrain, apiLatency, 200, median(figIdeal, pipeOurs)},
	{"drain, 100 ms, 500 in flight: share of the ideal rate", atLeast, 0.90, "%.3f", scenarioDrain, apiLatency, 500, median(figIdeal, pipeOurs)},
	{"drain, 100 ms, 1,000 in flight: rate against bare x4", atLeast, 0.65, "%.2fx", scenarioDrain, apiLatency, 1000, ratio(figRate, pipeOurs, pipeBare4)},
	{"drain, 0 ms: SQL transactions", atMost, 0.1, "%.3f", scenarioDrain, 0, 0, median(figTransactions, pipeOurs)},
	{"drain, 100 ms, 200 in flight: SQL transactions", atMost, 0.5, "%.3f", scenarioDrain, apiLatency, 200, median(figTransactions, pipeOurs)},
	{"drain, 0 ms: Redis commands beyond asynq's own", atMost, 0.1, "%.3f", scenarioDrain, 0, 0, difference(figCommands, pipeOurs, pipeBare)},
	{"accept: batches of 1,000, four in flight, against a loop of Enqueue", atLeast, 1.5, "%.2fx", scenarioAccept, 0, batchCallers, acceptRatio},
	{"idle: acceptance to WeChat's first byte, p50", atMost, 15, "%.1f ms", scenarioIdle, 0, 0, median(figP50, pipeOurs)},
	{"idle: acceptance to WeChat's first byte, p99", atMost, 50, "%.1f ms", scenarioIdle, 0, 0, median(figP99, pipeOurs)},
	{"idle: share of a core, worker with three queues", atMost, 0.04, "%.3f", scenarioIdle, 0, 0, median(figIdleCore+partWorker, pipeOurs)},
	{"growth: CPU of a message, largest backlog against least", atMost, 1.1, "%.2fx", scenarioGrowth, 0, 0, growth},
	{"drain, 100 ms, 1,000 in flight: worker's memory", atMost, 100, "%.0f MiB", scenarioDrain, apiLatency, 1000, mebibytes},
	{"drain: Redis bytes of a message against a bare task", atMost, 1.3, "%.2fx", scenarioDrain, 0, 0, ratio(figRedisBytes, pipeOurs, pipeBare)},
	{"distance, 100 ms, 200 in flight: share of the ideal rate", atLeast, 0.8, "%.3f", scenarioDistance, apiLatency, 200, median(figIdeal, pipeOurs)},
}

// targets holds the report against the table. What was not asked for is left out;
// where runs have failed, what their scenario could have said stays in, without a
// figure.
func (r *Report) targets() []Target {
	list := make([]Target, 0, len(targets))
	for _, t := range targets {
		word := "at most "
		if t.least {
			word = "at least "
		}
		line := Target{Name: t.name, Wants: word + fmt.Sprintf(t.unit, t.bound), Shown: "not measured"}
		got, ok := t.worst(r)
		switch {
		case ok:
			line.Got, line.Shown = &got, fmt.Sprintf(t.unit, got)
			line.Met = t.least && got >= t.bound || !t.least && got <= t.bound
		case len(r.Failures) == 0 || !r.asked(t.scenario):
			continue
		}
		list = append(list, line)
	}
	return list
}

// asked reports whether a scenario was run, with or without success.
func (r *Report) asked(scenario string) bool {
	return slices.ContainsFunc(r.Took, func(t Took) bool { return t.Scenario == scenario })
}

// worst is the figure at the concurrency at which it is worst.
func (t target) worst(r *Report) (worst float64, found bool) {
	for _, res := range r.Results {
		if res.Scenario != t.scenario || res.LatencyMS != t.latency.Milliseconds() || t.concurrency != 0 && res.Concurrency != t.concurrency {
			continue
		}
		got, ok := t.figure(point{r, t.scenario, t.latency, res.Concurrency})
		if !ok {
			continue
		}
		if !found || t.least && got < worst || !t.least && got > worst {
			worst, found = got, true
		}
	}
	return worst, found
}

// point is where in a report a figure is looked for.
type point struct {
	*Report
	scenario    string
	latency     time.Duration
	concurrency int
}

func (p point) figure(name string, of pipeline) (Figure, bool) {
	res := p.find(p.scenario, of.Name, p.latency, p.concurrency)
	if res == nil {
		return Figure{}, false
	}
	f, ok := res.Figures[name]
	return f, ok
}

func median(name string, of pipeline) func(point) (float64, bool) {
	return func(p point) (float64, bool) {
		f, ok := p.figure(name, of)
		return f.Median, ok
	}
}

// ratio compares what ran side by side: the median of the rounds' ratios.
func ratio(name string, of, to pipeline) func(point) (float64, bool) {
	return compare(name, of, to, func(a, b float64) float64 { return a / b })
}

func difference(name string, of, to pipeline) func(point) (float64, bool) {
	return compare(name, of, to, func(a, b float64) float64 { return a - b })
}

func compare(name string, of, to pipeline, how func(a, b float64) float64) func(point) (float64, bool) {
	return func(p point) (float64, bool) {
		a, ok := p.figure(name, of)
		b, there := p.figure(name, to)
		if !ok || !there {
			return 0, false
		}
		return a.against(b, how)
	}
}

// against compares round by round, and takes the median of that.
func (f Figure) against(g Figure, how func(a, b float64) float64) (float64, bool) {
	if len(f.Runs) != len(g.Runs) { // a run failed
		return finite(how(f.Median, g.Median))
	}
	rounds := make([]float64, len(f.Runs))
	for i := range rounds {
		rounds[i] = how(f.Runs[i], g.Runs[i])
	}
	return finite(middle(rounds))
}

// acceptRatio compares doorBatch with doorEnqueue, which has one caller.
func acceptRatio(p point) (float64, bool) {
	batch, ok := p.figure(figRate, doorBatch)
	p.concurrency = 1
	loop, there := p.figure(figRate, doorEnqueue)
	if !ok || !there {
		return 0, false
	}
	return batch.against(loop, func(a, b float64) float64 { return a / b })
}

func finite(x float64) (float64, bool) { return x, !math.IsNaN(x) && !math.IsInf(x, 0) }

// bookkeeping is what a message takes beyond what the bare pipeline takes for
// it; WeChat's part is nobody's.
func bookkeeping(p point) (float64, bool) {
	var sum float64
	for _, part := range []string{partWorker, partRedis, partPostgres} {
		more, ok := difference(figCPU+part, pipeOurs, pipeBare)(p)
		if !ok {
			return 0, false
		}
		sum += more
	}
	return sum, true
}

// growth compares the CPU of a message before the largest backlog with that
// before the least: the median of the rounds' ratios.
func growth(p point) (float64, bool) {
	var sizes []Result
	for _, res := range p.Results {
		if res.Scenario == scenarioGrowth {
			sizes = append(sizes, res)
		}
	}
	if len(sizes) < 2 {
		return 0, false
	}
	slices.SortFunc(sizes, func(a, b Result) int { return cmp.Compare(a.Messages, b.Messages) })
	most, least := sizes[len(sizes)-1].costs(), sizes[0].costs()
	if len(most) == 0 || len(least) == 0 {
		return 0, false
	}
	if len(most) != len(least) { // a run failed
		return finite(middle(most) / middle(least))
	}
	for i := range most {
		most[i] /= least[i]
	}
	return finite(middle(most))
}

// costs are the CPU of a message in each round, WeChat's part left out.
func (r Result) costs() []float64 {
	var sums []float64
	for _, part := range []string{partWorker, partRedis, partPostgres} {
		for i, cost := range r.Figures[figCPU+part].Runs {
			if i == len(sums) {
				sums = append(sums, 0)
			}
			sums[i] += cost
		}
	}
	return sums
}

func mebibytes(p point) (float64, bool) {
	f, ok := p.figure(figMemory, pipeOurs)
	return f.Median / (1 << 20), ok
}
