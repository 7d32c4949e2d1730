package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/bench"
)

func (p *program) benchCommand() *cobra.Command {
	var o bench.Options
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the pipeline beside two others",
		Long: "bench takes backlogs away, hands notifications in and waits for work, in turn with a\n" +
			"bare asynq server that keeps nothing and with a naive one that asks Redis and the\n" +
			"database for everything with every message, and says what each took.\n\n" +
			"It starts a Redis, a PostgreSQL and a simulated WeChat, and removes them at the end.\n" +
			"With REDIS_URL it takes an empty Redis database instead, with DATABASE_URL a\n" +
			"PostgreSQL, in which it makes and drops schemas of its own. All of it takes half an\n" +
			"hour; deploy/docs/bench.md says how to read it.",
		GroupID: groupOperate,
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Only, "only", nil, "of "+strings.Join(bench.Scenarios(), ", "))
	f.BoolVar(&o.Quick, "quick", false, "little of everything, in a minute or two")
	f.IntVar(&o.Rounds, "rounds", 0, "runs of each (default 3, with --quick 1)")
	f.IntSliceVar(&o.Concurrency, "concurrency", nil, "calls in flight in the drains (default 50,200,500,1000, with --quick 200)")
	f.DurationSliceVar(&o.Latency, "latency", []time.Duration{0, 100 * time.Millisecond}, "of a call in the drains")
	f.StringSliceVar(&o.Pipelines, "pipelines", nil, "of the drains and the distance, of ours, bare, bare x4, naive, naive default (default all)")
	f.IntVar(&o.Messages, "messages", 0, "backlog of a drain (default: what takes some seconds)")
	f.IntSliceVar(&o.Backlogs, "backlog", nil, "sizes of growth (default 10000,100000,1000000, with --quick 5000,20000)")
	f.StringVar(&o.ProfileDir, "profile", "", "leave profiles of our processes in `DIR`; taking them costs")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.RedisURL, _ = p.lookupEnv("REDIS_URL")
		o.DatabaseURL, _ = p.lookupEnv("DATABASE_URL")
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
		o.Program = func(ctx context.Context, env []string, args ...string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, self, args...) //nolint:gosec // itself
			cmd.Env = append(env, "PATH="+os.Getenv("PATH"))
			return cmd
		}
		o.Progress = func(line string) { p.printf("%s\n", line) }
		report, err := bench.Run(cmd.Context(), o)
		if errors.Is(err, bench.ErrOptions) {
			return usageError{err}
		}
		if err != nil {
			return err
		}
		return p.printReport(report, *asJSON)
	}
	cmd.AddCommand(p.benchPeerCommand(), p.benchProfiledCommand())
	return cmd
}

// printReport prints the tables, or JSON with the tables beside it on stderr. A
// run that failed makes the command fail after that.
func (p *program) printReport(r *bench.Report, asJSON bool) error {
	var err error
	if asJSON {
		err = p.printJSON(r)
		tables := *p
		tables.stdout = p.stderr
		p = &tables
	}
	header, rows := r.Table()
	err = errors.Join(err, p.print(r.Machine.String()+"\n\n"), p.printTable(header, rows))
	if targets, verdicts := r.TargetTable(); len(verdicts) > 0 {
		err = errors.Join(err, p.print("\n"), p.printTable(targets, verdicts))
	}
	for _, note := range r.Notes {
		err = errors.Join(err, p.print("\nNote: "+note+"\n"))
	}
	if n := len(r.Failures); n > 0 {
		return errors.Join(err, fmt.Errorf("%s failed: %s", count(n, "run"), strings.Join(r.Failures, "; ")))
	}
	return err
}

// errProfiled is the end of a command that was profiled and failed; it has said
// why.
var errProfiled = errors.New("the profiled command failed")

// benchProfiledCommand is what bench starts for a process of ours whose profiles
// are wanted.
func (p *program) benchProfiledCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "profiled PREFIX COMMAND",
		Short:  "Run a command and leave its profiles in PREFIX-…",
		Args:   cobra.ExactArgs(2),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			stop, err := bench.Profile(args[0])
			if err != nil {
				return err
			}
			inner := *p
			if inner.run(cmd.Context(), args[1:]) != exitOK {
				return errors.Join(errProfiled, stop())
			}
			return stop()
		},
	}
}

// benchPeerCommand is what bench starts for the other pipelines.
func (p *program) benchPeerCommand() *cobra.Command {
	var c bench.PeerConfig
	cmd := &cobra.Command{
		Use:    "peer KIND",
		Short:  "Be one of the other pipelines",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Kind = args[0]
			c.RedisURL, _ = p.lookupEnv("REDIS_URL")
			c.DatabaseURL, _ = p.lookupEnv("DATABASE_URL")
			c.Secret, _ = p.lookupEnv("WECHAT_SECRET")
			return bench.Peer(cmd.Context(), c, p.stdout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.BaseURL, "wechat", "", "origin of the simulator")
	f.StringVar(&c.AppID, "appid", "", "its Mini Program")
	f.IntVar(&c.Servers, "servers", 1, "asynq servers")
	f.IntVar(&c.Concurrency, "slots", 1, "calls in flight")
	return cmd
}
