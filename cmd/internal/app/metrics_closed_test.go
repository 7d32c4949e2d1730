package app_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// seriesOf are our series of a registry: name and labels, and the value, or how
// many a histogram has counted.
func seriesOf(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "wxnotify_") {
			continue
		}
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf(" %s=%q", l.GetName(), l.GetValue())
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return got
}

// TestMetricsAreClosed: every series that a process ever has is there from the
// start, at zero, whatever producers, users and WeChat do.
func TestMetricsAreClosed(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{
		"API_KEYS": "approval:" + doorKey, "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": testPassword,
		"WECHAT_CALLBACK_TOKEN": "token1", "WECHAT_CALLBACK_AES_KEY": callbackAESKey,
	})
	process := r.startDoor(true)
	var before map[string]float64
	eventually(t, "the process leads and has added up what is left", func() error {
		before = seriesOf(t, process.Registry)
		for name := range before {
			if strings.HasPrefix(name, "wxnotify_store_consent_messages ") {
				return nil
			}
		}
		return errors.New("not yet")
	})
	for name, v := range before {
		// What WeChat is asked at the start, the state of things, and what runs.
		if v != 0 && !slices.ContainsFunc([]string{
			"wxnotify_build_info", "wxnotify_redis_up", "wxnotify_store_up", "wxnotify_relay_leader", "wxnotify_wechat_",
			"wxnotify_producer_template_syncs_total", "wxnotify_store_", "wxnotify_config_",
		}, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			t.Errorf("%s starts at %v", name, v)
		}
	}

	r.useEverything("http://"+process.ListenAddr, process.AdminAddr)
	after := seriesOf(t, process.Registry)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, there := before[name]; !there {
			t.Errorf("%s was not there from the start", name)
		}
	}
	app := fmt.Sprintf("app=%q", r.app.AppID)
	for _, name := range []string{
		"wxnotify_accepted_to_delivered_seconds " + app, "wxnotify_worker_accepted_to_sent_seconds " + app, "wxnotify_worker_adopted_total " + app,
		"wxnotify_worker_errcodes_total " + app + ` errcode="other"`, "wxnotify_worker_errcodes_total " + app + ` errcode="43101"`,
		"wxnotify_worker_template_sends_total " + app + ` kind="refused" template="other"`,
		"wxnotify_worker_pauses_total " + app + ` kind="throttled"`, `wxnotify_callback_events_total event="unread" result="forged"`,
		`wxnotify_http_requests_total code="422" route="POST /v1/notifications"`,
	} {
		if after[name] == 0 {
			t.Errorf("%s is still 0, so nothing was tried", name)
		}
	}
}

// useEverything does what moves metrics, in many ways.
func (r *rig) useEverything(door, admin string) {
	r.t.Helper()
	push := simulator.Callback{URL: door + "/wechat/callback/" + r.app.AppID, Token: "token1", AESKey: callbackAESKey, Popups: true}
	if err := r.sim.SetCallback("", push); err != nil {
		r.t.Fatal(err)
	}
	r.awaitReceipts("delivered", r.send(3, nil), store.ReceiptOK)
	for _, errcode := range []int{43101, 47003, 41030, 12345} {
		r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: errcode, Count: 1})
		tmpl := "invented-template-" + uuid.NewString()
		list := r.send(1, func(_ int, n *producer.Notification) { n.TemplateID = tmpl })
		eventually(r.t, fmt.Sprintf("errcode %d is answered", errcode), func() error {
			if _, attempts := r.get(list[0].id); len(attempts) == 0 {
				return errors.New("no attempt")
			}
			return nil
		})
	}
	if err := r.sim.Accept("", simulator.OpenID("somebody"), simulator.SeedReport, 1); err != nil {
		r.t.Fatal(err)
	}
	raw := asynq.NewClientFromRedisClient(r.rdb)
	if _, err := raw.EnqueueContext(r.t.Context(), asynq.NewTask(task.Type, []byte(`{"template_id":"t","openid":"o","data":{"thing1":"x"}}`))); err != nil {
		r.t.Fatal(err)
	}
	r.knock(door, admin)
	r.awaitDrained()
	// Last, since the app is paused then.
	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 45011, Count: 1})
	list := r.send(1, nil)
	eventually(r.t, "the throttled call is answered", func() error {
		if _, attempts := r.get(list[0].id); len(attempts) == 0 {
			return errors.New("no attempt")
		}
		return nil
	})
	r.awaitSim("every push is acknowledged", func(s simulator.State) bool { return s.Events.Pending == 0 })
}

// knock makes requests that are answered in many ways.
func (r *rig) knock(address, admin string) {
	r.t.Helper()
	d := &door{t: r.t, base: address, client: &http.Client{Timeout: patience}}
	defer d.client.CloseIdleConnections()
	for _, q := range []struct{ method, path, body, key string }{
		{"POST", "/v1/notifications", `{"template_id":"t","openid":"o","data":{"thing1":"x"}}`, doorKey},
		{"POST", "/v1/notifications", `{"openid":1}`, doorKey},
		{"POST", "/v1/notifications", `{`, doorKey},
		{"POST", "/v1/notifications", `{}`, "wrong"},
		{"POST", "/v1/notifications/batch", `{"notifications":[]}`, doorKey},
		{"GET", "/v1/notifications/" + uuid.NewString(), "", doorKey},
		{"GET", "/v1/notifications?state=odd", "", doorKey},
		{"GET", "/v1/nothing", "", doorKey},
		{"PATCH", "/v1/notifications", "", doorKey},
		{"PUT", "/v1/users/u1", `{"openid":"o1"}`, doorKey},
		{"POST", "/v1/users/u1/consents", `{"report_id":"` + uuid.NewString() + `","results":{"t":"accept"}}`, doorKey},
		{"POST", "/v1/users/nobody/consents", `{"report_id":"` + uuid.NewString() + `","results":{"t":"accept"}}`, doorKey},
		{"POST", "/v1/logins", `{"user_id":"u2","code":"invented"}`, doorKey},
		{"DELETE", "/v1/users/u1", "", doorKey},
		{"POST", "/wechat/callback/" + r.app.AppID + "?" + url.Values{
			"signature": {"x"}, "msg_signature": {"x"}, "timestamp": {fmt.Sprint(time.Now().Unix())}, "nonce": {"n"}, "encrypt_type": {"aes"},
		}.Encode(), `{"Encrypt":"eA=="}`, ""},
		{"GET", "/wechat/callback/" + r.app.AppID + "?signature=x&timestamp=1&nonce=n&echostr=e", "", ""},
		{"POST", "/wechat/callback/wx9999999999999999", "<xml/>", ""},
	} {
		d.key = q.key
		if _, _, err := d.call(r.t.Context(), q.method, q.path, q.body); err != nil {
			r.t.Errorf("%s %s: %v", q.method, q.path, err)
		}
	}
	for _, path := range []string{"/admin/", "/admin/dead", "/metrics", "/readyz"} {
		ask(r.t, "GET", admin+path, testPassword)
	}
}
