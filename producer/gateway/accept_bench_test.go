package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/task"
)

// The benchmarks measure acceptance as a back end sees it: HTTP, checks against
// the template, the COMMIT in PostgreSQL, and, with TEST_REDIS_URL, the tasks on
// the queue. The client is in the same process and takes its part of the cores.

// benchDoor is a gateway on a PostgreSQL store of its own.
func benchDoor(b *testing.B) *door {
	b.Helper()
	st, _ := postgrestest.Open(b)
	d := newDoor(b, st, func(c *Config) {
		config := producer.Config{Store: st, DefaultApp: doorApp}
		if address := os.Getenv("TEST_REDIS_URL"); address != "" {
			opt, err := redis.ParseURL(address)
			if err != nil {
				b.Fatal(err)
			}
			rdb := redis.NewClient(opt)
			// The queues have the app's name, and so are nobody else's.
			config.App, config.DefaultApp = doorApp, "none"
			inspector := asynq.NewInspectorFromRedisClient(rdb)
			b.Cleanup(func() {
				for _, p := range store.Priorities {
					if err := inspector.DeleteQueue(task.Queue(doorApp, "none", p), true); err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
						b.Error(err)
					}
				}
				if err := rdb.Close(); err != nil {
					b.Error(err)
				}
			})
			config.Redis = rdb
		}
		client, err := producer.New(config)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = client.Close() })
		c.Client = client
	})
	d.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	return d
}

// benchPost posts a body and checks the status.
func benchPost(b *testing.B, d *door, path string, body []byte, want int) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), "POST", d.url+path, bytes.NewReader(body))
	if err != nil {
		b.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+keyBilling)
	r.Header.Set("Content-Type", "application/json")
	resp, err := d.client.Do(r)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		b.Errorf("status %d, want %d", resp.StatusCode, want)
	}
}

// BenchmarkAcceptSingle posts single notifications over 64 connections.
func BenchmarkAcceptSingle(b *testing.B) {
	d := benchDoor(b)
	body := benchBody(b)
	b.SetParallelism(32) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchPost(b, d, "/v1/notifications", body, http.StatusAccepted)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
}

// BenchmarkAcceptBatch posts batches of a thousand, four at a time.
func BenchmarkAcceptBatch(b *testing.B) {
	d := benchDoor(b)
	one := string(benchBody(b))
	body := []byte(`{"notifications":[` + strings.Join(slices.Repeat([]string{one}, maxBatch), ",") + "]}")
	b.SetParallelism(2) // times GOMAXPROCS
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchPost(b, d, "/v1/notifications/batch", body, http.StatusOK)
		}
	})
	b.ReportMetric(float64(b.N*maxBatch)/b.Elapsed().Seconds(), "notifications/s")
}

// benchBody is a notification of the usual size.
func benchBody(b *testing.B) []byte {
	b.Helper()
	body, err := json.Marshal(map[string]any{
		"template_id": "need_confirm", "user_id": "100042", "page": "pages/approval/detail?id=100042&from=notice",
		"data": map[string]any{"申请人": "张三（采购部）", "sum": 1280.50}, "priority": "default",
	})
	if err != nil {
		b.Fatal(err)
	}
	return body
}
