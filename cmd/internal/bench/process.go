package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

const (
	// startPatience is how long a process may take to say that it is ready.
	startPatience = time.Minute
	// stopPatience is how long one may take to end in order; then it is killed.
	stopPatience = 30 * time.Second
	// tailSize is how much of a log an error quotes.
	tailSize = 2000
)

// process is a child with its output in a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// startProcess starts a command in a process group of its own, so that Ctrl-C
// reaches this process alone and the children end in order.
func startProcess(name, dir string, cmd *exec.Cmd) (*process, error) {
	log, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	cmd.Stdout, cmd.Stderr = log, log
	setGroup(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: filepath.Clean(log.Name()), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// await waits until the output matches and returns the match and its groups.
func (p *process) await(ctx context.Context, pattern *regexp.Regexp) (found []string, err error) {
	err = p.until(ctx, func() error {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		if found = pattern.FindStringSubmatch(string(text)); found == nil {
			return errNotYet
		}
		return nil
	})
	return found, err
}

// errNotYet is an answer that is worth asking for again.
var errNotYet = errors.New("not yet")

// until repeats ask until it answers, the process ends or the patience is over.
func (p *process) until(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w: %s", p.name, ctx.Err(), err, p.tail())
		case <-tick.C:
		}
	}
}

// stop asks the process to end and waits for that.
func (p *process) stop() {
	interrupt(p.cmd.Process)
	select {
	case <-p.done:
		return
	case <-time.After(stopPatience):
	}
	p.kill()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// tail is the end of the output.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-tailSize):])
}
