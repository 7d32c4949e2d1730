package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestSimulatorServes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	sim := shell{}.start(t, "simulator", "--listen", "127.0.0.1:0", "--latency", "0s", "--appid", "wxtest", "--secret", "sec")
	url := sim.stdout.await(ctx, t, `(?m)^export WECHAT_API_BASE_URL=(\S+)$`)[1]
	sim.stdout.await(ctx, t, `(?m)^export WECHAT_APPID=wxtest\nexport WECHAT_SECRET=sec$`)
	sim.stdout.await(ctx, t, simulator.SeedReport+` +数据报表生成通知 +long-term +thing1 thing2`)

	call := func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(answer)
	}
	if got := call(http.MethodPost, "/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"wxtest","secret":"sec"}`); !strings.Contains(got, "access_token") {
		t.Errorf("token: got %s", got)
	}
	if got := call(http.MethodGet, "/_sim/state", ""); !strings.Contains(got, `"tokens_issued":1`) {
		t.Errorf("state: got %s", got)
	}
	if code := sim.stop(ctx, t); code != exitOK {
		t.Errorf("exit code %d, stderr %q", code, &sim.stderr)
	}
	if conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(url, "http://")); err == nil {
		conn.Close()
		t.Error("it still listens after the stop")
	}
}

func TestSimulatorStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":8099", "0.0.0.0:8099", "[::]:8099", "192.0.2.1:8099", "example.com:8099", "127.0.0.1"} {
		got := shell{}.run(t, "simulator", "--listen", addr)
		if got.code != exitUsage || !strings.Contains(got.stderr, "/_sim/ has no password") {
			t.Errorf("%s: got exit code %d, %q", addr, got.code, got.stderr)
		}
	}
	for _, addr := range []string{"127.0.0.1:8099", "localhost:0", "[::1]:8099", "127.8.8.8:1"} {
		if !isLoopback(addr) {
			t.Errorf("%s: got remote, want loopback", addr)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	sim := shell{}.start(t, "simulator", "--listen", "0.0.0.0:0", "--allow-remote")
	sim.stdout.await(ctx, t, "export WECHAT_API_BASE_URL=")
}

func TestSimulatorRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"TokenLife":   {"--token-life", "1m"},
		"DayQuota":    {"--day-quota", "-1"},
		"AES key":     {"--callback-aes-key", "short"},
		"AppID and S": {"--secret", ""},
	} {
		got := shell{}.run(t, append([]string{"simulator", "--listen", "127.0.0.1:0"}, args...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, says) {
			t.Errorf("%v: got exit code %d, %q; want %q in it", args, got.code, got.stderr, says)
		}
	}
}
