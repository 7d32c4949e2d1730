package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// The exit codes; they are public.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// program is one run of the binary with everything it touches of the process,
// so that a test can run it without one.
type program struct {
	stdin     io.Reader
	stdout    io.Writer // data
	stderr    io.Writer // progress, logs, errors
	lookupEnv func(string) (string, bool)
	readFile  func(string) ([]byte, error)
	// hangups hears SIGHUP until stop; without it that ends the process. nil: no
	// command hears it.
	hangups func() (heard <-chan struct{}, stop func())

	// started is set when a command's own code begins: an error before that is
	// one of the command line.
	started bool
}

// run executes a command line, without the program's name, and returns the exit
// code.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	p.prepare(root)
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNothingAsked):
		p.printf("%s", cmd.UsageString())
		return exitUsage
	case !p.started || isUsage(err):
		p.printf("wxnotify: %v\nSee '%s --help'.\n", err, cmd.CommandPath())
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		p.printf("wxnotify: interrupted\n")
		return exitFailed
	}
	p.printf("wxnotify: %v\n", err)
	return exitFailed
}

// prepare wraps every command so that program.started is known and a fault in
// its arguments names them.
func (p *program) prepare(cmd *cobra.Command) {
	nameArgs(cmd)
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			p.started = true
			return inner(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		p.prepare(sub)
	}
}

// printf writes to stderr.
func (p *program) printf(format string, args ...any) {
	//nolint:errcheck // there is nobody left to tell that stderr is closed
	fmt.Fprintf(p.stderr, format, args...)
}

// usageError is a fault of the command line that only the command could see.
type usageError struct{ error }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// isUsage reports whether the command line is at fault, a settings flag on it
// included.
func isUsage(err error) bool {
	if bad, ok := errors.AsType[*config.Error](err); ok && bad.Usage() {
		return true
	}
	_, ok := errors.AsType[usageError](err)
	return ok
}

// config loads the settings without asking for any of them.
func (p *program) config(cmd *cobra.Command) (*config.Config, error) {
	return p.load(cmd, p.readFile)
}

func (p *program) load(cmd *cobra.Command, readFile func(string) ([]byte, error)) (*config.Config, error) {
	return config.Load(config.Sources{
		Flags:     config.GivenFlags(cmd.Flags()),
		LookupEnv: p.lookupEnv,
		ReadFile:  readFile,
	})
}

// configFor loads the settings and checks that none is missing for a role.
func (p *program) configFor(cmd *cobra.Command, role config.Role) (*config.Config, error) {
	return p.configWith(cmd, role, p.readFile)
}

// configWith is configFor, with files that are read otherwise.
func (p *program) configWith(cmd *cobra.Command, role config.Role, readFile func(string) ([]byte, error)) (*config.Config, error) {
	cfg, err := p.load(cmd, readFile)
	if err != nil {
		return nil, err
	}
	if err := cfg.Needs(role); err != nil {
		return nil, err
	}
	return cfg, nil
}

// logger is the log of a command, on stderr.
func (p *program) logger(cfg *config.Config) *zap.Logger {
	return app.NewLogger(p.stderr, cfg.LogLevel, cfg.LogFormat)
}

// appID is the appid that --app names, or that of the default app, which exists
// where a command needs an app.
func appID(cfg *config.Config, name string) (string, error) {
	if a, ok := cfg.App(name); ok {
		return a.AppID, nil
	}
	known := make([]string, len(cfg.Apps))
	for i, a := range cfg.Apps {
		known[i] = a.AppID
	}
	slices.Sort(known)
	return "", usagef("--app %q is not among the apps that are set: %s", name, strings.Join(known, ", "))
}
