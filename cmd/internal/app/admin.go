package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// queuesPath is where asynqmon is mounted.
const queuesPath = "/admin/queues"

// startAdmin starts the listener of ADMIN_ADDR: /healthz, /readyz, /metrics and,
// behind the admin password, asynqmon.
func (p *Process) startAdmin(ctx context.Context, l *listener) (err error) {
	cfg := p.parts.Config
	if cfg.AdminAddr == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", p.healthz)
	mux.HandleFunc("GET /readyz", p.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{}))
	if cfg.AdminPassword != "" {
		mon := newAsynqmon(p.client(sharedTuning()))
		guarded := basicAuth(cfg.AdminPassword.Reveal(), mon)
		mux.Handle(queuesPath+"/", guarded)
		mux.Handle(queuesPath, guarded)
		mux.Handle("GET /admin/{$}", http.RedirectHandler(queuesPath, http.StatusFound))
	}
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
// masked, since it has no rights of its own.
func newAsynqmon(c redis.UniversalClient) http.Handler {
	return asynqmon.New(asynqmon.Options{
		RootPath:         queuesPath,
		RedisConnOpt:     clientOpt{c},
		PayloadFormatter: asynqmon.PayloadFormatterFunc(func(_ string, b []byte) string { return maskPayload(b) }),
		ResultFormatter:  asynqmon.ResultFormatterFunc(func(string, []byte) string { return "" }),
		ReadOnly:         true,
	})
}

// adminUser is the one user of ADMIN_PASSWORD.
const adminUser = "admin"

// basicAuth lets user admin with the password pass. Both are compared as
// hashes, so that the time taken tells nothing about them.
func basicAuth(password string, next http.Handler) http.Handler {
	wantUser, wantPass := sha256.Sum256([]byte(adminUser)), sha256.Sum256([]byte(password))
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		gotUser, gotPass := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(pass))
		if subtle.ConstantTimeCompare(gotUser[:], wantUser[:])&subtle.ConstantTimeCompare(gotPass[:], wantPass[:]) != 1 {
			rw.Header().Set("WWW-Authenticate", `Basic realm="wxnotify", charset="UTF-8"`)
			http.Error(rw, "user admin and the admin password are needed", http.StatusUnauthorized)
			return
		}
		h := rw.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(rw, r)
	})
}
