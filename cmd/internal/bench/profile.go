package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// blockRate is how long goroutines wait, together, for one entry in the profile
// of waiting: often enough for a run of seconds, and seldom enough that a
// processor hardly notices.
const blockRate = 10 * time.Microsecond

// Profile records what this process does until stop, which leaves the profiles
// in PREFIX-cpu.pprof, PREFIX-allocs.pprof and PREFIX-block.pprof.
func Profile(prefix string) (stop func() error, err error) {
	cpu, err := os.Create(filepath.Clean(prefix + "-cpu.pprof"))
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("profile: %w", err), cpu.Close())
	}
	runtime.SetBlockProfileRate(int(blockRate.Nanoseconds()))
	return func() error {
		pprof.StopCPUProfile()
		runtime.SetBlockProfileRate(0)
		err := cpu.Close()
		for _, name := range []string{"allocs", "block"} {
			err = errors.Join(err, writeProfile(name, prefix))
		}
		if err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		return nil
	}, nil
}

func writeProfile(name, prefix string) error {
	f, err := os.Create(filepath.Clean(prefix + "-" + name + ".pprof"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// ourProgram is a command of ours under measure. Where profiles are taken it is
// one that leaves them, named after the run and numbered in the order of runs.
func (s *scene) ourProgram(ctx context.Context, env []string, command string) *exec.Cmd {
	if s.ProfileDir == "" {
		return s.program(ctx, env, command)
	}
	s.profiled++
	run := strings.ToLower(fmt.Sprintf("%s %s %dms", s.scenario, s.Name, s.latency.Milliseconds()))
	name := fmt.Sprintf("%03d-%s-%s", s.profiled, notInNames.ReplaceAllString(run, "-"), command)
	return s.program(ctx, env, "bench", "profiled", filepath.Join(s.ProfileDir, name), command)
}
