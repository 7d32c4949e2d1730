package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// requestTime is how long a stopping gateway waits for requests under way: the
// longest that one may take.
const requestTime = 30 * time.Second

func (p *program) gatewayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Take notifications in by HTTP",
		Long: "gateway serves the producers' API (/v1, described at /docs) on LISTEN_ADDR and\n" +
			"receives WeChat's message push at /wechat/callback/APPID, there or on\n" +
			"CALLBACK_ADDR. Producers and their keys come from API_KEYS or the file's\n" +
			"producers; `wxnotify keys new NAME` makes a key. Run as many as you like, behind\n" +
			"something that ends TLS.\n\n" +
			"On SIGTERM it takes nothing new and finishes the requests under way; give it 50\n" +
			"seconds for that, with a worker SEND_TIMEOUT more.\n\n" +
			reloading + "\n\n" +
			"ADMIN_ADDR serves /healthz, /readyz and /metrics, and the console at /admin/ when\n" +
			"ADMIN_PASSWORD or admin_users is set.",
		GroupID: groupRun,
		Args:    cobra.NoArgs,
	}
	withWorker := cmd.Flags().Bool("with-worker", false, "also send, in the same process")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.runGateway(cmd.Context(), p.settingsFor(cmd, config.RoleGateway), *withWorker)
	}
	return cmd
}

func (p *program) runGateway(ctx context.Context, s *settings, withWorker bool) error {
	cfg, err := s.now()
	if err != nil {
		return err
	}
	patience := requestTime + drainTime
	if withWorker {
		patience += cfg.SendTimeout
	}
	start := func(ctx context.Context, parts app.Parts) (*app.Process, error) {
		return app.StartGateway(ctx, parts, withWorker)
	}
	return p.runProcess(ctx, s, cfg, patience, start, func(log *zap.Logger, g *app.Process) {
		log.Info("gateway runs", zap.Int("apps", len(cfg.Apps)), zap.Int("producers", len(cfg.Producers)), zap.Bool("worker", withWorker),
			zap.String("listen_addr", g.ListenAddr), zap.String("callback_addr", g.CallbackAddr), zap.String("admin_addr", g.AdminAddr))
	})
}
