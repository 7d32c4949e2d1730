package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/bench"
)

// benchOptions make a bench of little, whose processes are the test binary. It
// starts servers of its own: others would count the work of other tests.
func benchOptions(t *testing.T) bench.Options {
	t.Helper()
	if os.Getenv("WXNOTIFY_TEST_SERVERS") != "required" {
		if _, err := exec.LookPath("redis-server"); err != nil {
			t.Skip("redis-server is not installed")
		}
		if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb"); found == nil {
			t.Skip("PostgreSQL is not installed")
		}
	}
	// t.TempDir is in a directory that only this account may enter.
	dir, err := os.MkdirTemp("", "wxnotify-bench-test-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Only: []string{"drain"}, Pipelines: []string{"ours", "bare"}, Latency: []time.Duration{0},
		Concurrency: []int{100}, Messages: 2000, Rounds: 1, Dir: dir,
		Program: func(ctx context.Context, env []string, args ...string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(env, "PATH="+os.Getenv("PATH"), argsEnv+"="+strings.Join(args, " "))
			return cmd
		},
		Progress: func(line string) { t.Log(line) },
	}
}

// TestBenchCountsPerMessage guards what a message costs where that does not
// depend on the machine: what is asked of Redis and PostgreSQL, and what is
// allocated. The bounds are what was measured and some room, since fewer
// messages share a commit when the machine is busy; a pipeline that commits
// each message by itself, or looks into Redis for each, is far beyond them.
func TestBenchCountsPerMessage(t *testing.T) {
	t.Parallel()
	r, err := bench.Run(t.Context(), benchOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Failures) > 0 {
		t.Fatal(r.Failures)
	}
	figure := func(pipeline, name string) float64 {
		t.Helper()
		for _, res := range r.Results {
			if res.Pipeline != pipeline {
				continue
			}
			f, ok := res.Figures[name]
			if !ok {
				t.Errorf("%s of %s was not measured; there are %v", name, pipeline, res.Figures)
			}
			return f.Median
		}
		t.Fatalf("%s was not run", pipeline)
		return 0
	}
	rate := figure("ours", "messages_per_s")
	for _, tc := range []struct {
		what string
		got  float64
		// most is the bound for a message, and background what the process asks for
		// or allocates in a second, busy or not: on a slow machine a message has more
		// of it.
		most, background float64
	}{
		{"SQL transactions", figure("ours", "sql_transactions"), 0.4, 30},
		{"SQL statements", figure("ours", "sql_statements"), 0.7, 60},
		{"Redis commands beyond those of a bare asynq server", figure("ours", "redis_commands") - figure("bare", "redis_commands"), 0.4, 150},
		{"allocations in the worker", figure("ours", "worker_allocations"), 320, 10_000},
		{"bytes in Redis of a queued message against those of a bare task", figure("ours", "redis_bytes") / figure("bare", "redis_bytes"), 1.5, 0},
	} {
		most := tc.most + tc.background/rate
		t.Logf("%s: %.3f of %.3f", tc.what, tc.got, most)
		if tc.got > most {
			t.Errorf("%s: got %.3f a message, want at most %.3f", tc.what, tc.got, most)
		}
	}
	// A guard that reads zeros would never find anything.
	if got := figure("bare", "redis_commands"); got < 5 {
		t.Errorf("a bare task takes %.2f Redis commands; asynq's scripts have more", got)
	}
	if got := figure("ours", "sql_statements"); got == 0 {
		t.Error("no SQL statement was counted")
	}
}

// TestBenchLeavesNothing interrupts a bench while its processes run.
func TestBenchLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	o := benchOptions(t)
	program, asked := o.Program, false
	o.Program = func(ctx context.Context, env []string, args ...string) *exec.Cmd {
		if args[0] == "worker" {
			asked = true
			cancel() // the servers and the simulator run, and the worker is about to
		}
		return program(ctx, env, args...)
	}
	if _, err := bench.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the interruption", err)
	}
	if !asked {
		t.Fatal("it ended before a worker was started")
	}
	left, err := os.ReadDir(o.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		// One may end meanwhile.
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(o.Dir)) {
			t.Errorf("a process is left: %q", line)
		}
	}
}

func TestBenchRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		`no scenario "all"`:         {"--only", "all"},
		`no pipeline "fast"`:        {"--pipelines", "fast"},
		"2 calls in flight":         {"--concurrency", "2"},
		"-1 rounds":                 {"--rounds", "-1"},
		"a backlog of 99":           {"--messages", "99"},
		"unknown command \"drain\"": {"drain"},
	} {
		got := shell{}.run(t, append([]string{"bench"}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, says) {
			t.Errorf("%v: got exit code %d, %q, want %q", args, got.code, got.stderr, says)
		}
	}
}
