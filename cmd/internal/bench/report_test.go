package bench

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestFiguresAreMediansOfTheRounds(t *testing.T) {
	t.Parallel()
	var r Result
	for _, rate := range []float64{300, 100, 250} {
		r.add(figures{figRate: rate})
	}
	r.add(figures{figRate: 200, figIdeal: 0.5, figCPU + partWorker: math.NaN(), figAllocs: math.Inf(1)})
	want := map[string]Figure{
		figRate:  {Median: 225, Min: 100, Max: 300, Runs: []float64{300, 100, 250, 200}},
		figIdeal: {Median: 0.5, Min: 0.5, Max: 0.5, Runs: []float64{0.5}},
	}
	if diff := cmp.Diff(want, r.Figures); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, tc := range []struct {
		sorted  []float64
		percent int
		want    float64
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:40], 99, 40},
		{hundred[:1], 50, 1},
	} {
		if got := percentile(tc.sorted, tc.percent); got != tc.want {
			t.Errorf("percentile %d of %d: got %v, want %v", tc.percent, len(tc.sorted), got, tc.want)
		}
	}
}

func TestCostsAreThoseBetweenTwoMoments(t *testing.T) {
	t.Parallel()
	start := time.Now()
	from := counters{
		at: start, sends: 1000, mallocs: 5000, statements: 10,
		cpu:   map[string]time.Duration{partWorker: time.Second, partRedis: time.Second},
		redis: map[string]int64{"evalsha": 100, "info": 1, "get": 7},
	}
	to := counters{
		at: start.Add(2 * time.Second), sends: 3000, mallocs: 25_000, statements: 210,
		cpu:   map[string]time.Duration{partWorker: 1200 * time.Millisecond, partRedis: 1100 * time.Millisecond, partPostgres: time.Hour},
		redis: map[string]int64{"evalsha": 4100, "info": 9, "get": 7, "ping": 20},
	}
	got := between(from, to)
	got.addCounts(from, to, 2000)
	got.addDurable(durable{transactions: 5}, durable{transactions: 205, fsyncs: 20, walBytes: 4000}, 2000)
	// PostgreSQL was not there at the first moment, and INFO is the bench's own.
	want := figures{
		figRate: 1000, figCPU + partWorker: 100, figCPU + partRedis: 50, figAllocs: 10,
		figCommand + "evalsha": 2, figCommand + "ping": 0.01, figCommands: 2.01, figStatements: 0.1,
		figTransactions: 0.1, figFsyncs: 0.01, figWAL: 2,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
	to.statements, to.mallocs = -1, 0
	got = between(from, to)
	got.addCounts(from, to, 2000)
	for _, name := range []string{figStatements, figAllocs} {
		if _, ok := got[name]; ok {
			t.Errorf("%s: got a figure where nothing was counted", name)
		}
	}
}

// drainReport is a report of three rounds at two concurrencies.
func drainReport() *Report {
	r := new(Report)
	add := func(p pipeline, latency time.Duration, concurrency int, runs ...figures) {
		res := Result{Scenario: scenarioDrain, Pipeline: p.Name, LatencyMS: latency.Milliseconds(), Concurrency: concurrency}
		for _, f := range runs {
			res.add(f)
		}
		r.Results = append(r.Results, res)
	}
	// The second round met a busy machine: what ran side by side is compared.
	add(pipeOurs, 0, 50, figures{figRate: 900, figTransactions: 0.05}, figures{figRate: 480}, figures{figRate: 1000})
	add(pipeBare, 0, 50, figures{figRate: 1000}, figures{figRate: 500}, figures{figRate: 1000})
	add(pipeOurs, 0, 200, figures{figRate: 800, figTransactions: 0.2})
	add(pipeBare, 0, 200, figures{figRate: 1000})
	add(pipeOurs, apiLatency, 200, figures{figIdeal: 0.98, figTransactions: 0.4, figMemory: 1 << 20})
	return r
}

func TestTargetsAreHeldAgainstTheWorst(t *testing.T) {
	t.Parallel()
	r := drainReport()
	r.Results = append(r.Results,
		Result{Scenario: scenarioGrowth, Messages: 1_000_000, Figures: map[string]Figure{figCPU + partWorker: {Runs: []float64{210}}, figCPU + partPostgres: {Runs: []float64{20}}}},
		Result{Scenario: scenarioGrowth, Messages: 10_000, Figures: map[string]Figure{figCPU + partWorker: {Runs: []float64{190}}, figCPU + partPostgres: {Runs: []float64{10}}}},
	)
	got := map[string]Target{}
	for _, target := range r.targets() {
		if target.Got != nil {
			got[target.Name] = target
		}
	}
	number := func(x float64) *float64 { return &x }
	want := map[string]Target{}
	for _, w := range []Target{
		{Name: "drain, 0 ms: rate against bare", Wants: "at least 0.90x", Shown: "0.80x", Got: number(0.8)},
		{Name: "drain, 0 ms: SQL transactions", Wants: "at most 0.100", Shown: "0.200", Got: number(0.2)},
		{Name: "drain, 100 ms, 200 in flight: share of the ideal rate", Wants: "at least 0.970", Shown: "0.980", Got: number(0.98), Met: true},
		{Name: "drain, 100 ms, 200 in flight: SQL transactions", Wants: "at most 0.500", Shown: "0.400", Got: number(0.4), Met: true},
		{Name: "growth: CPU of a message, largest backlog against least", Wants: "at most 1.10x", Shown: "1.15x", Got: number(1.15)},
	} {
		want[w.Name] = w
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if all := len(r.targets()); all != len(want) {
		t.Errorf("got %d targets, want %d: what was not asked for is left out", all, len(want))
	}
}

func TestTargetsNameWhatFailed(t *testing.T) {
	t.Parallel()
	r := &Report{Took: []Took{{Scenario: scenarioIdle}}, Failures: []string{"ours: it ended"}}
	for _, target := range r.targets() {
		if target.Got != nil || target.Met || target.Shown != "not measured" || !strings.HasPrefix(target.Name, "idle: ") {
			t.Errorf("%+v: want the targets of the scenario that failed, without a figure", target)
		}
	}
	if got := len(r.targets()); got != 3 {
		t.Errorf("%d targets, want the 3 of the scenario that failed", got)
	}
}

func TestRatiosAreOfWhatRanSideBySide(t *testing.T) {
	t.Parallel()
	r := drainReport()
	got, ok := ratio(figRate, pipeOurs, pipeBare)(point{r, scenarioDrain, 0, 50})
	if !ok || math.Abs(got-0.96) > 1e-9 {
		t.Errorf("got %v, %v, want 0.96: the median of 0.9, 0.96 and 1", got, ok)
	}
	if got, ok := ratio(figRate, pipeOurs, pipeNaive)(point{r, scenarioDrain, 0, 50}); ok {
		t.Errorf("got %v against what was not run", got)
	}
	r.Results[1].Figures[figRate] = Figure{Median: 2000, Runs: []float64{2000}} // two runs of bare failed
	if got, ok := ratio(figRate, pipeOurs, pipeBare)(point{r, scenarioDrain, 0, 50}); !ok || got != 0.45 {
		t.Errorf("got %v, %v, want 0.45: the medians", got, ok)
	}
	r.Results[1].Figures[figRate] = Figure{Runs: []float64{0}}
	if got, ok := ratio(figRate, pipeOurs, pipeBare)(point{r, scenarioDrain, 0, 50}); ok {
		t.Errorf("got %v against nothing", got)
	}
}

func TestTableShowsEveryResult(t *testing.T) {
	t.Parallel()
	r := drainReport()
	header, rows := r.Table()
	if len(rows) != len(r.Results) {
		t.Fatalf("got %d rows, want %d", len(rows), len(r.Results))
	}
	got := map[string]string{}
	for i, title := range header {
		got[title] = rows[0][i]
	}
	for title, want := range map[string]string{
		"SCENARIO": "drain", "API": "0 ms", "IN FLIGHT": "50", "PIPELINE": "ours",
		"MSG/S": "900", "SPREAD": "480-1000", "TX": "0.050", "P50 MS": "-", "PEAK MB": "-",
	} {
		if got[title] != want {
			t.Errorf("%s: got %q, want %q", title, got[title], want)
		}
	}
	r.Targets = r.targets()
	_, rows = r.TargetTable()
	verdicts := map[string]int{}
	for _, row := range rows {
		verdicts[row[3]]++
	}
	if diff := cmp.Diff(map[string]int{"met": 2, "not met": 2}, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
