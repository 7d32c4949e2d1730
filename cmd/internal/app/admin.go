package app

import (
	"context"
	"net/http"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
)

// startAdmin starts the listener of ADMIN_ADDR: /healthz, /readyz, /metrics and,
// where somebody may log in, the console.
func (p *Process) startAdmin(ctx context.Context, l *listener) (err error) {
	cfg := p.settings()
	if cfg.AdminAddr == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", p.healthz)
	mux.HandleFunc("GET /readyz", p.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{}))
	pages, err := p.newConsole(cfg)
	if err != nil {
		return err
	}
	p.console.Store(pages)
	mux.HandleFunc(console.Path, p.serveConsole)
	mux.HandleFunc(console.Path+"/", p.serveConsole)
	p.AdminAddr, err = l.listen(ctx, "ADMIN_ADDR", cfg.AdminAddr, &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(p.parts.Logger.Named("admin")),
	}, p.parts.Logger)
	return err
}

// clientOpt hands asynqmon a client that was made elsewhere.
type clientOpt struct{ redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (c clientOpt) MakeRedisClient() any { return c.UniversalClient }

// newAsynqmon is asynqmon, read-only: pressing "delete" or "archive all" there
// would hide tasks from asynq, and "cancel" would only confuse it. Payloads are
// masked, since it has no roles of its own.
func newAsynqmon(c redis.UniversalClient) http.Handler {
	return asynqmon.New(asynqmon.Options{
		RootPath:         console.QueuesPath,
		RedisConnOpt:     clientOpt{c},
		PayloadFormatter: asynqmon.PayloadFormatterFunc(func(_ string, b []byte) string { return maskPayload(b) }),
		ResultFormatter:  asynqmon.ResultFormatterFunc(func(string, []byte) string { return "" }),
		ReadOnly:         true,
	})
}
