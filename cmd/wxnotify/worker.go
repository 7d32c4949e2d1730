package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// drainTime is how long a stopping worker waits beyond the longest call for the
// store to take the answers it holds. A platform's grace period must be longer.
const drainTime = 15 * time.Second

func (p *program) workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "worker",
		Short:   "Send what is on the queue",
		GroupID: groupRun,
		Long: "worker serves the queues of every app that is set: it resolves openids, calls\n" +
			"WeChat and settles every answer in the database. Run as many as you like.\n" +
			"On SIGTERM it takes nothing new, finishes the calls in flight and writes what\n" +
			"it knows of them; give it SEND_TIMEOUT and 20 seconds for that.\n\n" +
			reloading + "\n\n" +
			"ADMIN_ADDR serves /healthz, /readyz and /metrics, and the console at /admin/ when\n" +
			"ADMIN_PASSWORD or admin_users is set.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.runWorker(cmd.Context(), p.settingsFor(cmd, config.RoleWorker))
		},
	}
}

func (p *program) runWorker(ctx context.Context, s *settings) error {
	cfg, err := s.now()
	if err != nil {
		return err
	}
	return p.runProcess(ctx, s, cfg, cfg.SendTimeout+drainTime, app.StartWorker,
		func(log *zap.Logger, w *app.Process) {
			log.Info("worker runs", zap.Int("apps", len(cfg.Apps)), zap.Int("concurrency", cfg.Concurrency), zap.String("admin_addr", w.AdminAddr))
		})
}

// runProcess runs a process on the store of the settings until ctx ends, and
// then gives it a time to finish what is under way. Meanwhile it takes over what
// changes of the settings.
func (p *program) runProcess(
	ctx context.Context, s *settings, cfg *config.Config, patience time.Duration,
	start func(context.Context, app.Parts) (*app.Process, error), started func(*zap.Logger, *app.Process),
) error {
	var hangups <-chan struct{}
	if p.hangups != nil {
		heard, stop := p.hangups() // from now on: one that comes early must not end the process
		defer stop()
		hangups = heard
	}
	defer p.paceGC()()
	log := p.logger(cfg)
	traces, err := app.OpenTraces(ctx, log)
	if err != nil {
		return err
	}
	defer traces.Stop(ctx)
	st, err := app.OpenStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer st.Close()
	process, err := start(ctx, app.Parts{
		Config: cfg, Store: st, Redis: cfg.Redis.NewClient, Logger: log, TracerProvider: traces.Provider(),
	})
	if err != nil {
		return err
	}
	started(log, process)
	s.follow(ctx, process, hangups, cfg.Watch)
	log.Info("process stops: finishing what is under way")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := process.Stop(drain); err != nil {
		return errors.Join(errors.New("not everything ended in order"), err)
	}
	log.Info("process stopped")
	return nil
}
