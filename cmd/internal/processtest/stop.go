//go:build unix

// Package processtest does to child processes of tests what the tests of several
// packages need.
package processtest

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// Stop lets a child of this process stand still, and returns when it does:
// SIGSTOP is not obeyed before a thread of the child was given time to take it,
// and until then the others go on. SIGCONT lets it go on.
func Stop(ctx context.Context, tb testing.TB, child *os.Process) {
	tb.Helper()
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		tb.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(child.Pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
		switch {
		case err == nil && got == child.Pid && status.Stopped():
			return
		case err == nil && got == child.Pid:
			tb.Fatalf("process %d ended instead of standing still: %v", child.Pid, status)
		case err != nil && !errors.Is(err, syscall.EINTR):
			tb.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("process %d does not stand still: %v", child.Pid, ctx.Err())
		}
	}
}
