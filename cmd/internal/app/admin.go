package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hibiken/asynqmon"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/worker"
)

// queuesPath is where asynqmon is mounted.
const queuesPath = "/admin/queues"

// admin starts the listener of ADMIN_ADDR: /healthz, /readyz, /metrics and,
// behind the admin password, asynqmon.
func (w *Worker) admin(ctx context.Context, p Parts) error {
	if p.Config.AdminAddr == "" {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", w.healthz)
	mux.HandleFunc("GET /readyz", func(rw http.ResponseWriter, r *http.Request) { w.readyz(rw, r, p.Store) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(w.Registry, promhttp.HandlerOpts{}))
	if p.Config.AdminPassword != "" {
		mon := newAsynqmon(w.client(p, sharedTuning()))
		guarded := basicAuth(p.Config.AdminPassword.Reveal(), mon)
		mux.Handle(queuesPath+"/", guarded)
		mux.Handle(queuesPath, guarded)
		mux.Handle("GET /admin/{$}", http.RedirectHandler(queuesPath, http.StatusFound))
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", p.Config.AdminAddr)
	if err != nil {
		return fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	w.AdminAddr = l.Addr().String()
	srv := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(p.Logger.Named("admin")),
	}
	go func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			p.Logger.Error("admin listener ended", zap.Error(err))
		}
	}()
	w.stops.add("admin listener", srv.Shutdown)
	return nil
}

// healthz fails only when a loop stopped turning: a backlog or a store that is
// away is no reason to be killed.
func (w *Worker) healthz(rw http.ResponseWriter, _ *http.Request) {
	turned := w.Relay.Health().Turned
	if turned.IsZero() {
		turned = w.started
	}
	if !w.Worker.Alive() || time.Since(turned) > relaySilence {
		http.Error(rw, "a loop stopped turning", http.StatusServiceUnavailable)
		return
	}
	_, _ = rw.Write([]byte("ok\n"))
}

// relaySilence is longer than the longest turn of Relay, which is bounded by
// half a minute, and its longest pause.
const relaySilence = time.Minute

// readyzTimeout bounds the question to the store.
const readyzTimeout = 3 * time.Second

// readyz is 503 only when this process cannot do its own part: the store is
// away or has another schema. A paused app is degraded, not unready.
func (w *Worker) readyz(rw http.ResponseWriter, r *http.Request, s Store) {
	ctx, cancel := context.WithTimeout(r.Context(), readyzTimeout)
	defer cancel()
	body := struct {
		Ready    bool              `json:"ready"`
		Reason   string            `json:"reason,omitempty"`
		Degraded []worker.Degraded `json:"degraded"`
	}{Ready: true, Degraded: w.Worker.Degraded()}
	if body.Degraded == nil {
		body.Degraded = []worker.Degraded{}
	}
	body.Degraded = append(body.Degraded, pausedTemplates(ctx, s)...)
	switch err := s.Ping(ctx); {
	case err != nil:
		body.Ready, body.Reason = false, "the store does not answer"
	case w.Worker.StoreAway():
		body.Ready, body.Reason = false, "answers are held until the store takes them"
	default:
		if err := checkSchema(ctx, s); err != nil {
			body.Ready, body.Reason = false, err.Error()
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	if !body.Ready {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(rw).Encode(body)
}

// pausedTemplates wait for a person: nothing resumes them by itself.
func pausedTemplates(ctx context.Context, s Store) []worker.Degraded {
	pauses, err := s.PausedTemplates(ctx, "")
	if err != nil {
		return nil // the ping says so
	}
	var out []worker.Degraded
	for _, p := range pauses {
		out = append(out, worker.Degraded{
			Part: "template", App: p.App, Since: p.Since,
			Reason: fmt.Sprintf("template %s is paused after errcode %d; resume it with wxnotify templates resume", p.TemplateID, p.Errcode),
		})
	}
	return out
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
