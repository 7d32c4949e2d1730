package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// door is a gateway process and a producer before it.
type door struct {
	*child
	t     *testing.T
	base  string // of the API
	admin string
	key   string
	// header are headers of every request.
	header map[string]string
	// client keeps connections, as a back end does.
	client *http.Client
}

// doorKey is the API key of producer approval.
const doorKey = "wxn_approval0000000000000000000000000000000001"

// doorEnv are the settings of a gateway.
func doorEnv() map[string]string {
	return map[string]string{
		"API_KEYS": "approval:" + doorKey, "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0",
		"WECHAT_CALLBACK_TOKEN": "token1", "WECHAT_CALLBACK_AES_KEY": callbackAESKey,
	}
}

// spawnGateway runs `wxnotify gateway` with the rig's settings and lets WeChat
// push to it.
func (r *rig) spawnGateway(args ...string) *door {
	r.t.Helper()
	c := spawn(r.t, binary(r.t), r.env, append([]string{"gateway"}, args...)...)
	d := &door{
		child: c, t: r.t, key: doorKey,
		base: "http://" + c.field("gateway runs", "listen_addr"), admin: c.field("gateway runs", "admin_addr"),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: patience},
	}
	r.t.Cleanup(d.client.CloseIdleConnections)
	push := simulator.Callback{
		URL:   d.base + strings.Replace(callback.Pattern, "{appid}", r.app.AppID, 1),
		Token: r.env["WECHAT_CALLBACK_TOKEN"], AESKey: r.env["WECHAT_CALLBACK_AES_KEY"],
	}
	if err := r.sim.SetCallback(r.app.AppID, push); err != nil {
		r.t.Fatal(err)
	}
	return d
}

// call makes a request of the API. body is nil, a text, or what becomes JSON.
func (d *door) call(ctx context.Context, method, path string, body any) (int, []byte, error) {
	var read io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		read = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			return 0, nil, err
		}
		read = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, read)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+d.key)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range d.header {
		req.Header.Set(k, v)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// must makes a request that has to be answered with a status, and reads the
// answer into a T.
func must[T any](d *door, status int, method, path string, body any) T {
	d.t.Helper()
	got, text, err := d.call(d.t.Context(), method, path, body)
	var v T
	if err == nil && got == status {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || got != status {
		d.t.Fatalf("%s %s: %d %s, %v; want %d", method, path, got, text, err, status)
	}
	return v
}

// doorRow is what a test needs of a notification as the API shows it.
type doorRow struct {
	ID                     uuid.UUID
	Ref                    string
	State, Reason, Receipt string
	Attempts               []struct{ Outcome string }
}

// awaitShown waits until the API shows a notification in this state.
func (d *door) awaitShown(id uuid.UUID, state store.State, more func(doorRow) bool) doorRow {
	d.t.Helper()
	var got doorRow
	eventually(d.t, fmt.Sprintf("%s is %s", id, state), func() error {
		got = must[doorRow](d, http.StatusOK, http.MethodGet, "/v1/notifications/"+id.String(), nil)
		if got.State != string(state) || more != nil && !more(got) {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	return got
}

// TestGatewayEndToEnd: a back end with nothing but HTTP. A login binds the user,
// a notification is sent and its receipt recorded; another one, for which the
// user gave no consent, waits until the Mini Program reports one.
func TestGatewayEndToEnd(t *testing.T) {
	t.Parallel()
	for name, withWorker := range map[string]bool{"a gateway and a worker": false, "one process": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, simulator.Config{}, doorEnv())
			var d *door
			if withWorker {
				d = r.spawnGateway("--with-worker")
			} else {
				d = r.spawnGateway()
				r.spawn()
			}
			user, openID := "u-"+uuid.NewString(), simulator.OpenID(uuid.NewString())
			code, err := r.sim.LoginCode("", openID)
			if err != nil {
				t.Fatal(err)
			}
			must[any](d, http.StatusOK, http.MethodPost, "/v1/logins", map[string]string{"user_id": user, "code": code})

			report := map[string]any{
				"template_id": simulator.SeedApproval, "user_id": user, "page": "pages/approval?id=7",
				"data": map[string]string{"phrase1": "已通过", "thing2": "办公用品领用", "name3": "王芳", "time4": "2026年3月2日 15:01"},
			}
			sent := must[doorRow](d, http.StatusAccepted, http.MethodPost, "/v1/notifications", report)
			d.awaitShown(sent.ID, store.Sent, func(s doorRow) bool { return s.Receipt == string(store.ReceiptOK) })

			r.fault(simulator.Fault{API: simulator.APISend, OpenID: openID, Action: simulator.ActErrcode, Errcode: 43101, Count: 1})
			report["wait"] = 3600
			parked := must[doorRow](d, http.StatusAccepted, http.MethodPost, "/v1/notifications", report)
			d.awaitShown(parked.ID, store.Waiting, func(s doorRow) bool { return s.Reason == string(store.ReasonNoConsent) })
			must[any](d, http.StatusOK, http.MethodPost, "/v1/users/"+user+"/consents", map[string]any{
				"report_id": uuid.New(), "results": map[string]string{simulator.SeedApproval: "accept"},
			})
			got := d.awaitShown(parked.ID, store.Sent, func(s doorRow) bool { return s.Receipt == string(store.ReceiptOK) })
			if len(got.Attempts) != 2 {
				t.Errorf("%d attempts, want the refused one and the one after the consent", len(got.Attempts))
			}
			if status, ready := askReady(t, d.admin); status != http.StatusOK || len(ready.Degraded) != 0 {
				t.Errorf("/readyz: %d %+v", status, ready)
			}
			d.terminate()
		})
	}
}

// TestGatewayWithoutItsParts: it starts while the database and Redis are away,
// says so, and takes notifications in as soon as the database is there.
func TestGatewayWithoutItsParts(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, doorEnv())
	proxy := startProxy(t, r.databaseURL)
	proxy.cut()
	t.Cleanup(proxy.join)
	r.env["DATABASE_URL"] = proxy.url
	r.redis.stop()
	d := r.spawnGateway()
	notice := map[string]any{
		"template_id": simulator.SeedReport, "openid": simulator.OpenID("nobody"),
		"data": map[string]string{"thing1": "设备领用月报", "thing2": "2026年10月"},
	}
	if status, text, err := d.call(t.Context(), http.MethodPost, "/v1/notifications", notice); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("without a database: %d %s, %v", status, text, err)
	}
	if status, ready := askReady(t, d.admin); status != http.StatusServiceUnavailable || ready.Reason == "" {
		t.Errorf("/readyz without a database: %d %+v", status, ready)
	}
	proxy.join()
	eventually(t, "the gateway takes notifications in", func() error {
		if status, text, err := d.call(t.Context(), http.MethodPost, "/v1/notifications", notice); err != nil || status != http.StatusAccepted {
			return fmt.Errorf("%d %s, %w", status, text, errors.Join(err))
		}
		return nil
	})
	// Without Redis it goes on, and says so.
	eventually(t, "ready, but for Redis", func() error {
		status, ready := askReady(t, d.admin)
		if status != http.StatusOK || len(ready.Degraded) == 0 || ready.Degraded[0].Part != "redis" || ready.Degraded[0].Since.IsZero() {
			return fmt.Errorf("%d %+v", status, ready)
		}
		return nil
	})
	r.redis.start(t)
	eventually(t, "ready", func() error {
		status, ready := askReady(t, d.admin)
		if status != http.StatusOK {
			return fmt.Errorf("%d %+v", status, ready)
		}
		// Nothing was pushed yet, and the gateway says so.
		if len(ready.Degraded) != 1 || ready.Degraded[0].Part != "callback" || ready.Degraded[0].App != r.app.AppID {
			return fmt.Errorf("degraded: %+v", ready.Degraded)
		}
		return nil
	})
	d.terminate()
}
