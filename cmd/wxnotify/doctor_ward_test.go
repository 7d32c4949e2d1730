package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/callback"
)

// TestDoctorSharedRedis: the mark of another deployment counts while it moves.
func TestDoctorSharedRedis(t *testing.T) {
	t.Parallel()
	address := startRedis(t)
	s := ward(t).with(map[string]string{"REDIS_URL": "redis://" + address})
	_, found := s.examine(t)
	expect(t, found, map[string]string{"redis sharing": "ok: no other deployment uses it"})

	c := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { c.Close() })
	other := uuid.NewString()
	bump := func() {
		if err := c.HIncrBy(t.Context(), producer.MarkKey, other, 1).Err(); err != nil {
			t.Error(err)
		}
	}
	bump()
	_, found = s.examine(t)
	expect(t, found, map[string]string{"redis sharing": "ok: no other deployment uses it now"})

	done, moving := make(chan struct{}), sync.WaitGroup{}
	moving.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				bump()
			case <-done:
				return
			}
		}
	})
	got, found := s.examine(t)
	close(done)
	moving.Wait()
	expect(t, found, map[string]string{"redis sharing": "warn: a dead letter, reason row_missing"})
	if got.code != exitOK {
		t.Errorf("exit code %d", got.code)
	}
}

// TestDoctorCallback: the question of WeChat's console, answered by what may
// stand at the address.
func TestDoctorCallback(t *testing.T) {
	t.Parallel()
	s := ward(t)
	s.env["WECHAT_CALLBACK_TOKEN"], s.env["WECHAT_CALLBACK_AES_KEY"] = "token1", strings.Repeat("A", 43)
	path := "/wechat/callback/" + s.env["WECHAT_APPID"]
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   string
		code   int
	}{
		"the gateway": {func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if r.URL.Path != path || q.Get("signature") != callback.Sign("token1", q.Get("timestamp"), q.Get("nonce")) {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			_, _ = w.Write([]byte(q.Get("echostr")))
		}, "ok: answers as WeChat expects", exitOK},
		"another token":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "fail: give the gateway the callback token", exitFailed},
		"another app":    {http.NotFound, "fail: knows no such app", exitFailed},
		"a page":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "fail: answers something else (HTTP 200)", exitFailed},
		"a redirect":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "fail: answers something else (HTTP 302)", exitFailed},
		"nobody answers": {nil, "fail: see that the gateway runs", exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := "http://127.0.0.1:1"
			if tc.answer != nil {
				server := httptest.NewServer(tc.answer)
				t.Cleanup(server.Close)
				base = server.URL + "/"
			}
			got, found := s.examine(t, "--callback-url", base)
			expect(t, found, map[string]string{"callback": tc.want})
			if got.code != tc.code || strings.Contains(got.stdout, "token1") {
				t.Errorf("exit code %d, want %d: %s", got.code, tc.code, got.stdout)
			}
		})
	}
	for _, args := range [][]string{{"--callback-url", "notify.example.com"}, {"--callback-url", "https://x", "--live"}} {
		if got := s.run(t, append([]string{"doctor"}, args...)...); got.code != exitUsage {
			t.Errorf("%q: got %+v", args, got)
		}
	}
}

// TestDoctorStrictTemplates: a strict catalog that knows nothing refuses all.
func TestDoctorStrictTemplates(t *testing.T) {
	t.Parallel()
	s := ward(t).with(map[string]string{"STRICT_TEMPLATES": "true"})
	got, found := s.examine(t)
	expect(t, found, map[string]string{"catalog": "fail: run wxnotify templates sync"})
	if got.code != exitFailed {
		t.Errorf("exit code %d", got.code)
	}
	s.must(t, "templates", "sync")
	_, found = s.examine(t)
	expect(t, found, map[string]string{"catalog": "ok: the last sync was at 2"})
}

// TestDoctorTokenMirror: whoever reads the mirror needs a Redis, and a token.
func TestDoctorTokenMirror(t *testing.T) {
	t.Parallel()
	address := startRedis(t)
	s := ward(t).with(map[string]string{"WECHAT_TOKEN_MIRROR": "redis://" + address + "/0?key=AppletToken"})
	_, found := s.examine(t)
	expect(t, found, map[string]string{"token mirror": "warn: has no token"})
	c := redis.NewClient(&redis.Options{Addr: address})
	t.Cleanup(func() { c.Close() })
	if err := c.Set(t.Context(), "AppletToken", "x", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	_, found = s.examine(t)
	expect(t, found, map[string]string{"token mirror": "ok: there is a token in redis://" + address})
	_, found = s.with(map[string]string{"WECHAT_TOKEN_MIRROR": "redis://127.0.0.1:1/0?key=AppletToken"}).examine(t)
	expect(t, found, map[string]string{"token mirror": "fail: correct WECHAT_TOKEN_MIRROR"})
}
