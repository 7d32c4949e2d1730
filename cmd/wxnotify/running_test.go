package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// runDeadline bounds every wait for a command that stays up.
const runDeadline = 40 * time.Second

// argsEnv makes the test binary be the program, so that a test can kill it.
// programEnv does so with the arguments that it is given, for a shell.
const (
	argsEnv    = "WXNOTIFY_TEST_ARGS"
	programEnv = "WXNOTIFY_TEST_PROGRAM"
)

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		main()
	}
	if args, ok := os.LookupEnv(argsEnv); ok {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main()
	}
	os.Exit(m.Run())
}

// output is what a running command has written so far.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns the submatches of pattern once it matches.
func (o *output) await(ctx context.Context, t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		o.mu.Lock()
		found := re.FindStringSubmatch(o.text.String())
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%q was not written; got:\n%s", pattern, o)
		}
	}
}

// running is a command that stays up.
type running struct {
	stdout, stderr output
	code           chan int
	interrupt      context.CancelFunc
}

// start runs a command line in this process.
func (s shell) start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{code: make(chan int, 1), interrupt: cancel}
	p := &program{
		stdin: strings.NewReader(s.stdin), stdout: &r.stdout, stderr: &r.stderr,
		lookupEnv: func(name string) (string, bool) {
			text, ok := s.env[name]
			return text, ok
		},
		readFile: os.ReadFile,
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.code <- p.run(ctx, args)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return r
}

// stop interrupts the command, as SIGTERM does, and returns its exit code.
func (r *running) stop(ctx context.Context, t *testing.T) int {
	t.Helper()
	r.interrupt()
	select {
	case code := <-r.code:
		return code
	case <-ctx.Done():
		t.Fatalf("the command did not stop; stderr:\n%s", &r.stderr)
		return -1
	}
}

// spawn runs a command line, whose words have no spaces, in a process of its
// own, which is killed at the end of the test at the latest.
func spawn(t *testing.T, stderr *output, args ...string) *exec.Cmd {
	t.Helper()
	return spawnWith(t, nil, nil, stderr, args...)
}

// spawnWith is spawn with more in the environment.
func spawnWith(t *testing.T, env []string, stdout, stderr *output, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = slices.Concat(os.Environ(), env, []string{argsEnv + "=" + strings.Join(args, " ")})
	cmd.Stderr = stderr
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be dead
		cmd.Wait()         //nolint:errcheck // its code does not matter
	})
	return cmd
}
