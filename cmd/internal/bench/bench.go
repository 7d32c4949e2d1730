package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say what to measure.
type Options struct {
	// Only names the scenarios to run, of Scenarios. Default: all.
	Only []string
	// Rounds is how often each pipeline runs in each scenario. Default 3, quick 1.
	Rounds int
	// Concurrency is how many calls are in flight in the drains. Default 50, 200,
	// 500 and 1,000; quick 200.
	Concurrency []int
	// Latency is how long a call of WeChat takes in the drains. Default 0 and
	// 100 ms.
	Latency []time.Duration
	// Pipelines names those of the drains and of the distance. Default: all.
	Pipelines []string
	// Backlogs are the sizes of growth. Default 10 thousand, 100 thousand and a
	// million; quick 5 and 20 thousand.
	Backlogs []int
	// Messages is the backlog of a drain. Default: what takes some seconds.
	Messages int
	// Quick measures little of everything, to see that it works.
	Quick bool
	// RedisURL names a Redis with an empty database. Default: one is started.
	RedisURL string
	// DatabaseURL names a PostgreSQL in which schemas may be made. Default: one
	// is started.
	DatabaseURL string
	// ProfileDir is where each process of ours that is measured leaves its
	// profiles: CPU, memory and waiting, as go tool pprof reads them. To take them
	// costs, so such a run is for its profiles and not for its figures. Default:
	// none are taken.
	ProfileDir string
	// Dir is where files are kept meanwhile; the account that servers run as must
	// be able to reach it. Default: the system's place for temporary files.
	Dir string
	// Program makes a command that is this program, with nothing but env in its
	// environment.
	Program func(ctx context.Context, env []string, args ...string) *exec.Cmd
	// Progress gets a line now and then. Default: nobody.
	Progress func(string)
}

// Scenarios are the names of what can be measured, in the order in which it is.
func Scenarios() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// scenario is one kind of measurement; run adds its results to the report.
type scenario struct {
	name string
	run  func(*env, context.Context) error
}

var scenarios = []scenario{
	{scenarioDrain, (*env).drain},
	{scenarioAccept, (*env).accept},
	{scenarioIdle, (*env).idle},
	{scenarioGrowth, (*env).growth},
	{scenarioMixed, (*env).mixed},
	{scenarioDistance, (*env).distance},
}

// env is what the scenarios share.
type env struct {
	Options
	servers  *servers
	dir      string // of this run
	report   *Report
	scenario string // that is being run
	profiled int    // processes so far
}

// program makes a command that is this program. It ends in order after ctx, not
// by its end.
func (e *env) program(ctx context.Context, env []string, args ...string) *exec.Cmd {
	return e.Program(context.WithoutCancel(ctx), env, args...)
}

// Run measures. It ends everything it started, also when ctx ends, and leaves
// nothing behind. Runs that failed are in the report; the error is for a bench
// that could not begin or was cut short, and then there is no report.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	chosen, err := o.scenarios()
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.ProfileDir != "" {
		if err := os.MkdirAll(o.ProfileDir, 0o750); err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
	}
	dir, err := os.MkdirTemp(o.Dir, "wxnotify-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// The servers may run as another account.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // what is in it is private to its owner
		return nil, fmt.Errorf("bench: %w", err)
	}
	servers, err := openServers(ctx, dir, o)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer servers.close()
	e := &env{
		Options: o, servers: servers, dir: dir,
		report: &Report{Began: time.Now().UTC(), Rounds: o.Rounds, Quick: o.Quick},
	}
	if e.report.Machine, err = describe(ctx, servers); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	e.report.Notes = servers.notes
	for _, note := range servers.notes {
		o.Progress("note: " + note)
	}
	for _, s := range chosen {
		began := time.Now()
		e.scenario = s.name
		if err := s.run(e, ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", s.name, err)
		}
		took := time.Since(began)
		e.report.Took = append(e.report.Took, Took{Scenario: s.name, Seconds: took.Seconds()})
		o.Progress(fmt.Sprintf("%s took %s", s.name, took.Round(time.Second)))
	}
	e.report.Ended = time.Now().UTC()
	e.report.Targets = e.report.targets()
	return e.report, nil
}

func (o Options) withDefaults() Options {
	if o.Rounds == 0 {
		o.Rounds = 3
		if o.Quick {
			o.Rounds = 1
		}
	}
	if len(o.Concurrency) == 0 {
		o.Concurrency = []int{50, 200, 500, 1000}
		if o.Quick {
			o.Concurrency = []int{200}
		}
	}
	if len(o.Latency) == 0 {
		o.Latency = []time.Duration{0, apiLatency}
	}
	if len(o.Pipelines) == 0 {
		for _, p := range drained {
			o.Pipelines = append(o.Pipelines, p.Name)
		}
	}
	if len(o.Backlogs) == 0 {
		o.Backlogs = []int{10_000, 100_000, 1_000_000}
		if o.Quick {
			o.Backlogs = []int{5_000, 20_000}
		}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// ErrOptions is what an error about Options wraps.
var ErrOptions = errors.New("bench cannot do that")

func (o Options) check() error {
	var faults []error
	known := make([]string, len(drained))
	for i, p := range drained {
		known[i] = p.Name
	}
	for _, name := range o.Pipelines {
		if !slices.Contains(known, name) {
			faults = append(faults, fmt.Errorf("%w: no pipeline %q; there are %s", ErrOptions, name, strings.Join(known, ", ")))
		}
	}
	for _, c := range o.Concurrency {
		if c < 4 || c > 10_000 { // one slot for each of bare's four servers
			faults = append(faults, fmt.Errorf("%w: %d calls in flight; from 4 to 10,000 can be", ErrOptions, c))
		}
	}
	if o.Rounds < 0 {
		faults = append(faults, fmt.Errorf("%w: %d rounds", ErrOptions, o.Rounds))
	}
	for _, n := range o.Backlogs {
		if n < 1000 {
			faults = append(faults, fmt.Errorf("%w: a backlog of %d before growth; at least 1,000 can be", ErrOptions, n))
		}
	}
	if o.Messages != 0 && o.Messages < 100 {
		faults = append(faults, fmt.Errorf("%w: a backlog of %d; at least 100 can be", ErrOptions, o.Messages))
	}
	return errors.Join(faults...)
}

// scenarios are those that were asked for.
func (o Options) scenarios() ([]scenario, error) {
	if len(o.Only) == 0 {
		return scenarios, nil
	}
	for _, name := range o.Only {
		if !slices.Contains(Scenarios(), name) {
			return nil, fmt.Errorf("%w: no scenario %q; there are %s", ErrOptions, name, strings.Join(Scenarios(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !slices.Contains(o.Only, s.name) }), nil
}

// alternate runs every pipeline in every round, each round beginning with
// another one, so that what changes on the machine meanwhile meets all. A run
// that fails is noted and the others go on; the error is the end of ctx.
func (e *env) alternate(ctx context.Context, pipes []pipeline, run func(pipeline) error) error {
	for round := range e.Rounds {
		for k := range pipes {
			p := pipes[(k+round)%len(pipes)]
			err := run(p)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				e.report.Failures = append(e.report.Failures, fmt.Sprintf("%s: %v", p.Name, err))
				e.Progress(fmt.Sprintf("failed: %s: %v", p.Name, err))
			}
		}
	}
	return nil
}

// add adds a run to the result it belongs to.
func (e *env) add(r Result, run figures) {
	there := e.report.find(r.Scenario, r.Pipeline, time.Duration(r.LatencyMS)*time.Millisecond, r.Concurrency)
	if there == nil {
		e.report.Results = append(e.report.Results, r)
		there = &e.report.Results[len(e.report.Results)-1]
	}
	there.add(run)
}

func describe(ctx context.Context, s *servers) (Machine, error) {
	m := Machine{
		OS: runtime.GOOS + "/" + runtime.GOARCH, Processor: processor(), Cores: runtime.NumCPU(), Memory: memory(), Go: runtime.Version(),
	}
	m.Host, _ = os.Hostname() // one without a name stays so
	info, err := s.rdb.InfoMap(ctx, "server").Result()
	if err != nil {
		return m, fmt.Errorf("redis: %w", err)
	}
	m.Redis = info["Server"]["redis_version"]
	conn, err := pgx.Connect(ctx, s.databaseURL)
	if err != nil {
		return m, fmt.Errorf("database: %w", err)
	}
	m.Postgres = conn.PgConn().ParameterStatus("server_version")
	return m, conn.Close(ctx)
}
