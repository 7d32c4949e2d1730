package bench

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestCPUTimeOfAProcess(t *testing.T) {
	t.Parallel()
	_, parent, err := readStat(os.Getpid(), false)
	if err != nil || parent != os.Getppid() {
		t.Errorf("parent: got %d, %v, want %d", parent, err, os.Getppid())
	}
	// A shell with a child that works for a while and one that it waits for.
	cmd := exec.Command("sh", "-c", `i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done & wait; echo done; read end`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = in.Close()
		_ = cmd.Wait() // it ends without a line to read
	}()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	alone, err := cpuTime(cmd.Process.Pid, false)
	if err != nil {
		t.Fatal(err)
	}
	all, err := cpuTime(cmd.Process.Pid, true)
	if err != nil {
		t.Fatal(err)
	}
	if all < alone+20*time.Millisecond {
		t.Errorf("got %s with its children and %s without", all, alone)
	}
	if peak, err := peakMemory(cmd.Process.Pid); err != nil || peak < 100<<10 || peak > 1<<30 {
		t.Errorf("peak memory of a shell: got %d bytes, %v", peak, err)
	}
	if _, err := cpuTime(1<<30, true); err == nil {
		t.Error("a process that does not exist has used CPU time")
	}
}
