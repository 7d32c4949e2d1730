package app_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// TestGatewaysKnowTheTemplates: each of two gateways has what one of them asked
// WeChat for, although the token that they share had been rotated away.
func TestGatewaysKnowTheTemplates(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{
		"API_KEYS": "approval:" + strings.Repeat("k", 32), "LISTEN_ADDR": "127.0.0.1:0",
	})
	shared, err := tokencache.New(tokencache.Config{Redis: r.rdb})
	if err != nil {
		t.Fatal(err)
	}
	if err := shared.Put(t.Context(), r.app.AppID, "a-token-that-was-rotated-away", time.Hour); err != nil {
		t.Fatal(err)
	}
	gateways := []*app.Process{r.startGateway(), r.startGateway()}
	for _, g := range gateways {
		var report *template.Template
		eventually(t, "the catalog has the templates", func() error {
			c, err := g.Templates.Catalog(t.Context())
			if err != nil {
				return err
			}
			if c.SyncedAt(r.app.AppID).IsZero() {
				return errors.New("no sync yet")
			}
			var faults template.FieldErrors
			if report, faults = c.Resolve(r.app.AppID, simulator.SeedReport); len(faults) > 0 {
				return faults
			}
			return nil
		})
		if report.State != template.StateSynced || report.Kind != template.KindLongTerm || len(report.Fields) != 2 ||
			report.Fields[0].Label != "报表名称" {
			t.Errorf("got %+v", report)
		}
	}
	if calls := r.sim.State().Requests[simulator.APITemplates]; calls != 2 {
		t.Errorf("WeChat was asked %d times, want 2: refused, and answered", calls)
	}
}

// startGateway runs a gateway in this process until the test ends.
func (r *rig) startGateway() *app.Process { return r.startDoor(false) }

// startDoor starts a gateway, which also sends if withWorker.
func (r *rig) startDoor(withWorker bool) *app.Process {
	r.t.Helper()
	cfg, err := config.Load(config.Sources{LookupEnv: func(k string) (string, bool) { v, ok := r.env[k]; return v, ok }})
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := app.OpenStore(r.t.Context(), cfg, zap.NewNop())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Close)
	g, err := app.StartGateway(r.t.Context(), app.Parts{Config: cfg, Store: s, Redis: cfg.Redis.NewClient, Logger: zap.NewNop()}, withWorker)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := g.Stop(ctx); err != nil {
			r.t.Errorf("stop the gateway: %v", err)
		}
	})
	return g
}
