// Command wxnotify sends WeChat Mini Program subscribe messages. Each
// subcommand is one small file here: it reads flags, settings and files, calls
// the rooms of the program and prints what they answer. Data goes to stdout,
// progress and logs to stderr; the exit code is 0 when the job was done, 1 when
// it failed and 2 when the command line was wrong.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // quiet hours name time zones, and a small image has none

	"github.com/redis/go-redis/v9"
)

func main() { os.Exit(runWithSignals()) }

// runWithSignals and hangups are the only places that know of signals. The first
// one ends the context; after it the second one kills, as if nobody listened.
func runWithSignals() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	redis.SetLogger(noLog{})
	p := &program{
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		lookupEnv: os.LookupEnv,
		readFile:  os.ReadFile,
		hangups:   hangups,
	}
	return p.run(ctx, os.Args[1:])
}

// hangups hears SIGHUP; several at once count as one.
func hangups() (heard <-chan struct{}, stop func()) {
	signals, c, done := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case c <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return c, func() {
		signal.Stop(signals)
		close(done)
	}
}

// noLog keeps go-redis from writing a line to stderr for every connection that
// fails: whoever uses the client logs an outage once, with what it means.
type noLog struct{}

// Printf implements go-redis's logger.
func (noLog) Printf(context.Context, string, ...any) {}
