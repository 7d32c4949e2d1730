package main

import (
	"context"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// gatewayShell has the settings of a gateway on embedded parts.
func gatewayShell(t *testing.T) shell {
	t.Helper()
	redis, err := app.StartEmbeddedRedis("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = redis.Stop(context.Background()) })
	_, url := simulatortest.Start(t, simulator.Config{Apps: []simulator.App{simulator.SeedApp()}, AutoConsent: true})
	sh := shell{env: map[string]string{
		"REDIS_URL": redis.URL(), "DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "wxnotify.db"), "WECHAT_API_BASE_URL": url,
		"WECHAT_APPID": simulator.SeedApp().AppID, "WECHAT_SECRET": simulator.SeedApp().Secret,
		"API_KEYS": "approval:" + strings.Repeat("k", 32), "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "",
	}}
	sh.must(t, "migrate", "up")
	return sh
}

func TestGatewayRefusesToStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for says, set := range map[string]map[string]string{
		"API_KEYS: is not set, nor is there a producer in the file, so nobody could use the gateway: make a key": {"API_KEYS": ""},
		"the secret of app " + simulator.SeedApp().AppID:                                                         {"WECHAT_SECRET": ""},
		"has a key that is too short":                                                                            {"API_KEYS": "approval:short"},
		"LISTEN_ADDR: listen tcp":                                                                                {"LISTEN_ADDR": l.Addr().String()},
		"CALLBACK_ADDR: listen tcp":                                                                              {"CALLBACK_ADDR": l.Addr().String()},
		"without it anybody could send ":                                                                         {"WECHAT_CALLBACK_AES_KEY": strings.Repeat("A", 43)},
	} {
		sh := gatewayShell(t)
		maps.Copy(sh.env, set)
		got := sh.run(t, "gateway")
		if got.code != exitFailed || !strings.Contains(got.stderr, says) {
			t.Errorf("%v: exit code %d, %q; want %q", set, got.code, got.stderr, says)
		}
	}
}

// One process does both: what it takes in, it sends, and it ends when it is
// asked to.
func TestGatewayWithWorker(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	sh := gatewayShell(t)
	sh.env["CALLBACK_ADDR"] = "127.0.0.1:0"
	g := sh.start(t, "gateway", "--with-worker")
	m := g.stderr.await(ctx, t, `"gateway runs".*"worker":true,"listen_addr":"(\S+?)","callback_addr":"(\S+?)"`)
	if m[1] == m[2] {
		t.Errorf("one listener, %s, for producers and for pushes", m[1])
	}
	for address, path := range map[string]string{m[1]: "/wechat/callback/x", m[2]: "/v1/notifications"} {
		if got := status(ctx, t, "http://"+address+path); got != 404 {
			t.Errorf("%s answers %d on the other's listener, want 404", path, got)
		}
	}
	if got := status(ctx, t, "http://"+m[1]+"/v1/notifications"); got != 401 {
		t.Errorf("the API without a key answers %d, want 401", got)
	}
	if code := g.stop(ctx, t); code != exitOK {
		t.Errorf("exit code %d, stderr:\n%s", code, &g.stderr)
	}
}

func status(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
