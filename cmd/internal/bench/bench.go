package bench

import (
	"context"
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
	// Quick measures little of everything, to see that it works.
	Quick bool
	// RedisURL names a Redis with an empty database. Default: one is started.
	RedisURL string
	// DatabaseURL names a PostgreSQL in which schemas may be made. Default: one
	// is started.
	DatabaseURL string
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
}

// env is what the scenarios share.
type env struct {
	servers       *servers
	dir           string
	rounds        int
	concurrencies []int
	quick         bool
	program       func(ctx context.Context, env []string, args ...string) *exec.Cmd
	progress      func(string)
	report        *Report
}

// Run measures. It ends everything it started, also when ctx ends, and leaves
// nothing behind.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	chosen, err := o.scenarios()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wxnotify-bench-")
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
		servers: servers, dir: dir, rounds: o.Rounds, concurrencies: o.Concurrency, quick: o.Quick,
		// The children end in order after ctx, not by its end.
		program: func(ctx context.Context, env []string, args ...string) *exec.Cmd {
			return o.Program(context.WithoutCancel(ctx), env, args...)
		},
		progress: o.Progress,
		report:   &Report{Began: time.Now().UTC(), Rounds: o.Rounds, Quick: o.Quick},
	}
	if e.report.Machine, err = describe(ctx, servers); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	for _, name := range servers.foreign {
		e.report.Notes = append(e.report.Notes, name+" was there before: what others do with it meanwhile is counted too")
	}
	for _, s := range chosen {
		if err := s.run(e, ctx); err != nil {
			return nil, fmt.Errorf("bench: %s: %w", s.name, err)
		}
	}
	e.report.Ended = time.Now().UTC()
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
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// scenarios are those that were asked for.
func (o Options) scenarios() ([]scenario, error) {
	if len(o.Only) == 0 {
		return scenarios, nil
	}
	for _, name := range o.Only {
		if !slices.Contains(Scenarios(), name) {
			return nil, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(Scenarios(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return !slices.Contains(o.Only, s.name) }), nil
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
