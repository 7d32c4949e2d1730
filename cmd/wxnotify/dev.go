package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// devOptions are the flags of dev.
type devOptions struct {
	once, live, yes bool
	data            string
	latency         time.Duration
}

func (p *program) devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try everything in one process, with nothing to install",
		Long: "dev runs the gateway and the worker on an embedded Redis, an SQLite file and a\n" +
			"simulated WeChat, sends sample notifications, shows what became of them, and\n" +
			"stays up for you to play with, by HTTP too: it prints an API key. It never talks\n" +
			"to the real WeChat, whatever is set.\n\n" +
			"With --data it remembers: started again, it goes on where it stopped, also after\n" +
			"a kill. The log is in the same directory, unless LOG_LEVEL is set: then it goes\n" +
			"to stderr.\n\n" +
			"--live keeps the embedded queue and store but calls the real WeChat for the apps\n" +
			"that are set. It sends nothing of its own.",
		GroupID:     groupRun,
		Annotations: showsSettings(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.live && o.once:
				return usagef("--once sends the samples, which exist only in the simulated WeChat: leave --live or --once out")
			case o.live && cmd.Flags().Changed("latency"):
				return usagef("--latency is that of the simulated WeChat: leave it or --live out")
			case o.yes && !o.live:
				return usagef("--yes answers the question of --live")
			case o.latency < 0:
				return usagef("--latency must not be negative")
			}
			return p.runDev(cmd, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.once, "once", false, "exit after the samples: with 0 only when every one ended as it should")
	f.StringVar(&o.data, "data", "", "directory to keep state in (default: a temporary one)")
	f.DurationVar(&o.latency, "latency", 50*time.Millisecond, "how long each simulated send takes")
	f.BoolVar(&o.live, "live", false, "call the real WeChat")
	f.BoolVar(&o.yes, "yes", false, "with --live: do not ask")
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		cmd.InheritedFlags().VisitAll(func(g *pflag.Flag) {
			if onlyLive(g.Name) {
				g.Usage = "with --live: " + g.Usage
			}
		})
		cmd.Root().HelpFunc()(cmd, args)
	})
	return cmd
}

// onlyLive reports whether a setting's flag means nothing to a dev that brings
// its own WeChat.
func onlyLive(flag string) bool {
	return flag == config.FileFlag || flag == "callback-addr" || strings.HasPrefix(flag, "wechat-")
}

func (p *program) runDev(cmd *cobra.Command, o devOptions) (err error) {
	ctx := cmd.Context()
	cfg, err := p.devConfig(cmd, o)
	if err != nil {
		return err
	}
	listener, err := devListener(ctx, cfg, o)
	if err != nil {
		return err
	}
	c := app.DevConfig{
		Config: cfg, Dir: o.data, Live: o.live, Listener: listener,
		Simulator: simulator.Config{Apps: []simulator.App{simulator.SeedApp()}, Names: devNames()},
	}
	if wasSet(cfg, "LOG_LEVEL") {
		c.Logger = p.logger(cfg)
	}
	d, err := app.OpenDev(ctx, c)
	switch {
	case errors.Is(err, sqlite.ErrInUse):
		return fmt.Errorf("%s is in use by another wxnotify: stop that one, or take another --data", o.data)
	case err != nil:
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), cfg.SendTimeout+drainTime)
		defer cancel()
		err = errors.Join(err, d.Stop(stop))
	}()
	if o.live {
		return p.runDevLive(ctx, d, cfg, o)
	}
	return p.runDevSamples(ctx, d, cfg, o)
}

func (p *program) runDevSamples(ctx context.Context, d *app.Dev, cfg *config.Config, o devOptions) error {
	p.printf("Simulated WeChat: %s/_sim/  embedded Redis: %s\n", d.Simulator.URL, d.Redis.URL())
	r := newDevRun(p, d, cfg)
	if err := r.prepare(ctx, o.latency); err != nil {
		return err
	}
	if err := d.Start(ctx); err != nil {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	if err := r.print(); err != nil {
		return err
	}
	if o.once {
		if n := r.differing(); n > 0 {
			d.Keep()
			return fmt.Errorf("%d of %d samples did not go as they should; %s is kept for a look", n, len(r.results), d.Dir)
		}
		return nil
	}
	if err := p.print(r.next(o.data != "")); err != nil {
		return err
	}
	p.printf("Running. Ctrl-C stops.\n")
	<-ctx.Done()
	p.printf("Stopping.\n")
	return nil
}

// devConfig loads the settings that mean something here. What dev brings along
// is not read at all, so that a shell made for something else cannot make it
// fail, let alone send.
func (p *program) devConfig(cmd *cobra.Command, o devOptions) (*config.Config, error) {
	var unused []string
	note := func(name string) {
		if !slices.Contains(unused, name) {
			unused = append(unused, name)
		}
	}
	flags := config.GivenFlags(cmd.Flags())
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if !o.live && onlyLive(name) {
			note("--" + name)
			delete(flags, name)
		}
	}
	cfg, err := config.Load(config.Sources{
		Flags: flags,
		LookupEnv: func(name string) (string, bool) {
			text, ok := p.lookupEnv(name)
			if !devBrings(name, o.live) {
				return text, ok
			}
			if text != "" {
				note(name)
			}
			text, ok = devApp[name]
			return text, ok && !o.live
		},
		ReadFile: p.readFile,
	})
	if err != nil {
		return nil, err
	}
	if len(unused) > 0 {
		p.printf("Not used by dev, which brings its own: %s.\n", strings.Join(unused, ", "))
	}
	if o.live {
		if err := cfg.Needs(config.RoleLive); err != nil {
			return nil, err
		}
	}
	if !o.live && !wasSet(cfg, "IN_DOUBT_WAIT") {
		cfg.InDoubtWait = devDoubtWait
	}
	devAdmin(cfg, o)
	return cfg, nil
}

// devDoubtWait is enough for receipts of the simulated WeChat, which come at
// once, or never, when it forgot the message in a restart.
const devDoubtWait = 5 * time.Second

// devApp is the app of the simulated WeChat, as settings.
var devApp = map[string]string{
	"WECHAT_APPID":  simulator.SeedApp().AppID,
	"WECHAT_SECRET": simulator.SeedApp().Secret,
}

// devBrings reports whether dev has something of its own in place of a setting.
func devBrings(name string, live bool) bool {
	name = strings.TrimSuffix(name, "_FILE")
	return name == "REDIS_URL" || name == "DATABASE_URL" ||
		!live && (strings.HasPrefix(name, "WECHAT_") || name == "API_KEYS" || name == "CALLBACK_ADDR" || name == config.FileEnv)
}
