package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// BenchmarkDrain drains a backlog through the whole pipeline at 100 ms per call
// with 200 calls in flight: the simulator, the worker, Redis and PostgreSQL are
// processes of their own on this machine. It reports the share of the ideal
// rate, 200 / 0.1 s, between a tenth and nine tenths of the backlog, and the
// worker's peak resident memory.
//
//	TEST_REDIS_URL=… TEST_DATABASE_URL=… go test -run '^$' -bench Drain -benchtime 1x ./cmd/wxnotify
func BenchmarkDrain(b *testing.B) {
	const (
		concurrency = 200
		latency     = 100 * time.Millisecond
		backlog     = 30_000
	)
	for b.Loop() {
		d := newDrain(b, latency, backlog)
		worker := d.child("worker",
			"WECHAT_API_BASE_URL="+d.base, "WECHAT_APPID="+d.app.AppID, "WECHAT_SECRET="+d.app.Secret,
			"DATABASE_URL="+d.database, "REDIS_URL="+d.redisURL, "ADMIN_ADDR=", "LOG_LEVEL=warn",
			"CONCURRENCY="+strconv.Itoa(concurrency))
		from, fromN := d.awaitAccepted(backlog / 10)
		to, toN := d.awaitAccepted(backlog * 9 / 10)
		rate := float64(toN-fromN) / to.Sub(from).Seconds()
		ideal := concurrency / latency.Seconds()
		b.ReportMetric(rate, "sends/s")
		b.ReportMetric(rate/ideal, "of-ideal")
		b.ReportMetric(peakMB(b, worker.Process.Pid), "worker-MB")
		b.ReportMetric(0, "ns/op")
	}
}

// drain is the scene of one run.
type drain struct {
	b                        *testing.B
	app                      simulator.App
	base, database, redisURL string
}

func newDrain(b *testing.B, latency time.Duration, backlog int) *drain {
	b.Helper()
	base := os.Getenv("TEST_REDIS_URL")
	if base == "" {
		b.Skip("TEST_REDIS_URL is not set")
	}
	opts, err := redis.ParseURL(base)
	if err != nil {
		b.Fatal(err)
	}
	opts.DB = 9 // the queues of the default app must be nobody else's
	rdb := redis.NewClient(opts)
	b.Cleanup(func() { _ = rdb.Close() })
	if err := rdb.FlushDB(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
	d := &drain{b: b, app: simulator.SeedApp(), redisURL: fmt.Sprintf("redis://%s/9", opts.Addr)}
	s, url := postgrestest.Open(b)
	d.database = url

	sim := exec.CommandContext(b.Context(), os.Args[0])
	sim.Env = append(os.Environ(), argsEnv+"=simulator --listen 127.0.0.1:0 --auto-consent --keep 1 --latency "+latency.String())
	out, err := sim.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	d.start(sim)
	lines := bufio.NewScanner(out)
	for d.base == "" && lines.Scan() {
		if m := regexp.MustCompile(`WECHAT_API_BASE_URL=(\S+)`).FindStringSubmatch(lines.Text()); m != nil {
			d.base = m[1]
		}
	}

	c, err := producer.New(producer.Config{Redis: rdb, Store: s, DefaultApp: d.app.AppID})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for range backlog / 1000 {
		batch := make([]producer.Notification, 1000)
		for i := range batch {
			batch[i] = producer.Notification{
				TemplateID: simulator.SeedReport, OpenID: simulator.OpenID(uuid.NewString()), Page: "pages/report?id=7",
				Data: map[string]string{"thing1": "设备领用月报", "thing2": "2026年10月"},
			}
		}
		if _, err := c.SendBatch(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return d
}

// child starts the program with its own environment.
func (d *drain) child(args string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.b.Context(), os.Args[0])
	cmd.Env = append(env, argsEnv+"="+args)
	d.start(cmd)
	return cmd
}

func (d *drain) start(cmd *exec.Cmd) {
	d.b.Helper()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		d.b.Fatal(err)
	}
	d.b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// awaitAccepted waits until the simulator has accepted n messages.
func (d *drain) awaitAccepted(n int64) (at time.Time, accepted int64) {
	d.b.Helper()
	ctx, cancel := context.WithTimeout(d.b.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+"/_sim/state", nil)
		if err != nil {
			d.b.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			d.b.Fatal(err)
		}
		var state simulator.State
		err = json.NewDecoder(resp.Body).Decode(&state)
		_ = resp.Body.Close()
		if err != nil {
			d.b.Fatal(err)
		}
		if state.Accepted >= n {
			return time.Now(), state.Accepted
		}
		<-tick.C
	}
}

// peakMB is the peak resident memory of a process.
func peakMB(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip("no /proc here")
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err == nil {
				return float64(kB) / 1024
			}
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
