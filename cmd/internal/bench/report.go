package bench

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Report is what a run found.
type Report struct {
	Machine Machine   `json:"machine"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended"`
	Rounds  int       `json:"rounds"`
	Quick   bool      `json:"quick"`
	// Notes say what makes the figures less than they could be.
	Notes []string `json:"notes,omitempty"`
	// Failures are the runs that did not come to an end.
	Failures []string `json:"failures,omitempty"`
	// Took says how long the scenarios were, in their order.
	Took    []Took   `json:"took"`
	Results []Result `json:"results"`
	Targets []Target `json:"targets"`
}

// Took is how long a scenario was, with everything that was not measured.
type Took struct {
	Scenario string  `json:"scenario"`
	Seconds  float64 `json:"seconds"`
}

// Machine is where it ran.
type Machine struct {
	Host      string `json:"host"`
	OS        string `json:"os"`
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	Memory    int64  `json:"memory_bytes"`
	Go        string `json:"go"`
	Redis     string `json:"redis"`
	Postgres  string `json:"postgres"`
}

// Result is one pipeline in one scenario.
type Result struct {
	Scenario string `json:"scenario"`
	Pipeline string `json:"pipeline"`
	// LatencyMS is that of the simulated API.
	LatencyMS   int64 `json:"api_latency_ms"`
	Concurrency int   `json:"concurrency,omitempty"`
	// Messages is how many one run was about.
	Messages int `json:"messages"`
	// Figures are by name; one that cannot be had on this system is not there.
	Figures map[string]Figure `json:"figures"`
}

// Figure is one measured thing over all rounds.
type Figure struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Runs   []float64 `json:"runs"`
}

// The names of figures. Those without a unit are counts; all but the rates and
// the memory are for one message.
const (
	figRate         = "messages_per_s"
	figIdeal        = "of_ideal"
	figCPU          = "cpu_us_" // and the part
	figCommands     = "redis_commands"
	figCommand      = "redis_" // and the command
	figStatements   = "sql_statements"
	figTransactions = "sql_transactions"
	figFsyncs       = "pg_fsyncs"
	figWAL          = "pg_wal_bytes"
	figAllocs       = "worker_allocations"
	figRedisBytes   = "redis_bytes"
	figPGBytes      = "pg_bytes"
	figMemory       = "worker_peak_bytes"
)

// figures are those of one run.
type figures map[string]float64

// add appends a run to the figures of a result.
func (r *Result) add(run figures) {
	if r.Figures == nil {
		r.Figures = map[string]Figure{}
	}
	for name, value := range run {
		if math.IsNaN(value) || math.IsInf(value, 0) {
			continue // too few messages to divide by
		}
		f := r.Figures[name]
		f.Runs = append(f.Runs, value)
		f.Min, f.Median, f.Max = slices.Min(f.Runs), middle(f.Runs), slices.Max(f.Runs)
		r.Figures[name] = f
	}
}

// middle is the median.
func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// find is the result of a pipeline in a scenario, nil when it was not run.
func (r *Report) find(scenario, pipeline string, latency time.Duration, concurrency int) *Result {
	for i := range r.Results {
		res := &r.Results[i]
		if res.Scenario == scenario && res.Pipeline == pipeline && res.LatencyMS == latency.Milliseconds() && res.Concurrency == concurrency {
			return res
		}
	}
	return nil
}

// between is the rate between two moments, and what each message took of the
// processors and of the worker's memory.
func between(from, to counters) figures {
	n := float64(to.sends - from.sends)
	f := figures{figRate: n / to.at.Sub(from.at).Seconds()}
	for part, used := range to.cpu {
		if before, ok := from.cpu[part]; ok {
			f[figCPU+part] = float64((used - before).Nanoseconds()) / 1e3 / n
		}
	}
	if to.mallocs > 0 {
		f[figAllocs] = (to.mallocs - from.mallocs) / n
	}
	return f
}

// addCounts adds what each of n messages asked of the servers between two
// moments. Nothing but whole runs is counted: the parts of a busy run are in
// flight at its edges.
func (f figures) addCounts(from, to counters, n int) {
	var all float64
	for _, command := range slices.Sorted(maps.Keys(to.redis)) {
		calls := float64(to.redis[command]-from.redis[command]) / float64(n)
		if calls > 0 && command != "info" {
			f[figCommand+command] = calls
			all += calls
		}
	}
	f[figCommands] = all
	if to.statements >= 0 {
		f[figStatements] = float64(to.statements-from.statements) / float64(n)
	}
}

// addDurable adds what PostgreSQL did for each of n messages between two
// moments.
func (f figures) addDurable(from, to durable, n int) {
	f[figTransactions] = float64(to.transactions-from.transactions) / float64(n)
	f[figFsyncs] = float64(to.fsyncs-from.fsyncs) / float64(n)
	f[figWAL] = float64(to.walBytes-from.walBytes) / float64(n)
}

// cpu is what some parts took together for a message, in microseconds. A part
// that did not run took nothing.
func (f figures) cpu(parts ...string) float64 {
	var sum float64
	for _, part := range parts {
		sum += f[figCPU+part]
	}
	return sum
}
