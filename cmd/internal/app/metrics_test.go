package app_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// gauges are the values of a registry's gauges and counters, by name and the
// values of their labels.
func gauges(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

// TestMetricsOfTheProcess: what waits is seen on the queue and in the store, as
// is what a process stands on.
func TestMetricsOfTheProcess(t *testing.T) {
	t.Parallel()
	// A gateway, since a worker would take what waits.
	r := newRig(t, simulator.Config{}, map[string]string{
		"API_KEYS": "approval:" + strings.Repeat("k", 32), "LISTEN_ADDR": "127.0.0.1:0",
		"WECHAT_CALLBACK_TOKEN": "token1", "WECHAT_CALLBACK_AES_KEY": callbackAESKey,
	})
	w := r.startGateway()
	now := time.Now()
	if err := r.rdb.Set(t.Context(), "asynq:{default}:paused", now.Unix(), 0).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay has built the queue of its new Redis", func() error {
		_, err := r.store.Mark(t.Context())
		return err
	})
	r.send(3, nil)
	overdue := redis.Z{Member: "gone", Score: float64(now.Add(-time.Hour).Unix())}
	for _, set := range []string{"scheduled", "archived"} {
		if err := r.rdb.ZAdd(t.Context(), "asynq:{critical}:"+set, overdue).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.store.Pushed(t.Context(), r.app.AppID); err != nil {
		t.Fatal(err)
	}

	atLeast := map[string]float64{
		"wxnotify_queue_oldest_seconds default pending":             1e-9,
		"wxnotify_queue_oldest_seconds critical scheduled":          3599,
		"wxnotify_store_oldest_due_seconds":                         1e-9,
		"wxnotify_store_last_push_timestamp_seconds " + r.app.AppID: float64(now.Add(-time.Hour).Unix()),
	}
	exactly := map[string]float64{
		"wxnotify_redis_up": 1, "wxnotify_store_up": 1,
		"wxnotify_queue_paused default": 1, "wxnotify_queue_paused low": 0,
		"wxnotify_queue_tasks default pending": 3, "wxnotify_queue_tasks default active": 0, "wxnotify_queue_tasks low pending": 0,
		"wxnotify_queue_tasks critical archived": 1, "wxnotify_queue_oldest_seconds low pending": 0,
		"wxnotify_store_notifications queued": 3, "wxnotify_store_notifications waiting": 0, "wxnotify_store_dead_letters": 0,
		"wxnotify_store_templates_paused " + r.app.AppID: 0,
	}
	eventually(t, "the process leads and tells what waits", func() error {
		got := gauges(t, w.Registry)
		for name, want := range exactly {
			if v, ok := got[name]; !ok || v != want {
				return fmt.Errorf("%s is %v (there: %t), want %v", name, v, ok, want)
			}
		}
		for name, want := range atLeast {
			if v, ok := got[name]; !ok || v < want {
				return fmt.Errorf("%s is %v (there: %t), want at least %v", name, v, ok, want)
			}
		}
		return nil
	})

	r.redis.stop()
	eventually(t, "Redis is away", func() error {
		got := gauges(t, w.Registry)
		if v, ok := got["wxnotify_redis_up"]; !ok || v != 0 {
			return fmt.Errorf("wxnotify_redis_up is %v", v)
		}
		for name := range got {
			if strings.HasPrefix(name, "wxnotify_queue_") {
				return fmt.Errorf("%s is shown, though nobody knows", name)
			}
		}
		return nil
	})
}
