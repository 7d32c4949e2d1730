package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// child is the real program as a process of its own.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{} // closed when it has ended
	err  error         // of Wait, after done
}

// spawn runs `wxnotify worker` with the rig's settings.
func (r *rig) spawn() *child {
	r.t.Helper()
	return spawn(r.t, binary(r.t), r.env, "worker")
}

// spawn runs the program with these settings and with nothing else of this
// process's environment.
func spawn(t *testing.T, path string, env map[string]string, args ...string) *child {
	t.Helper()
	c := &child{t: t, log: &logBuffer{}, done: make(chan struct{})}
	c.cmd = exec.Command(path, args...)
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for k, v := range env {
		c.cmd.Env = append(c.cmd.Env, k+"="+v)
	}
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("end of the log of process %d:\n%s", c.cmd.Process.Pid, c.log.tail(4000))
		}
	})
	return c
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// drainLimit is SEND_TIMEOUT, 10 s when not set, and 15 s for the store.
const drainLimit = 25 * time.Second

// terminate sends SIGTERM, expects exit code 0 within drainLimit and returns how
// long it took.
func (c *child) terminate() time.Duration {
	c.t.Helper()
	start := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatalf("SIGTERM: %v", err)
	}
	awaitEnd(c.t, c, 0)
	return time.Since(start)
}

// field waits for a log line with this message and returns one of its fields.
func (c *child) field(message, name string) string {
	c.t.Helper()
	var found string
	eventually(c.t, fmt.Sprintf("log line %q", message), func() error {
		for line := range strings.Lines(c.log.String()) {
			var fields map[string]any
			if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
				found = fmt.Sprint(fields[name])
				return nil
			}
		}
		return errors.New("not there")
	})
	return found
}

// logBuffer collects a log. It is safe for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String is everything so far.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) tail(n int) string {
	s := b.String()
	return s[max(0, len(s)-n):]
}
