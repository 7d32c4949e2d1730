package simulator_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// order posts to /_sim/ and stops the test unless the answer is 200.
func (c *caller) order(path, body string) map[string]any {
	c.t.Helper()
	r := c.post("/_sim/"+path, body)
	if r.status != http.StatusOK {
		c.t.Fatalf("%s %s: got %d %s", path, body, r.status, r.body)
	}
	var v map[string]any
	must(c.t, json.Unmarshal(r.body, &v))
	return v
}

func TestControl(t *testing.T) {
	t.Parallel()
	address, pushes := receiver(t, success)
	c := start(t, simulator.Config{})
	quote := strconv.Quote
	token := c.token()

	c.order("users", `{"openid":`+quote(alice)+`,"unionid":"u1"}`)
	c.send(token, review(alice)).want(t, 43101)
	got := c.order("consents", `{"openid":`+quote(alice)+`,"template_id":`+quote(simulator.SeedReview)+`,"result":"accept","times":2}`)
	if diff := cmp.Diff(map[string]any{"balance": 2.0, "long_term": false}, got); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
	c.send(token, review(alice)).want(t, 0)
	c.order("consents", `{"openid":`+quote(alice)+`,"template_id":`+quote(simulator.SeedReview)+`,"result":"reject"}`)
	c.send(token, review(alice)).want(t, 43101)
	c.order("consents", `{"openid":`+quote(alice)+`,"template_id":`+quote(simulator.SeedReport)+`,"result":"accept"}`)

	if r := c.login(c.order("codes", `{"openid":`+quote(alice)+`}`)["code"].(string)); r.OpenID != alice || r.UnionID != "u1" {
		t.Errorf("login: got %s", r.body)
	}

	id := c.order("faults", `{"api":"subscribe_send","action":"status","status":503,"retry_after_seconds":3}`)["id"].(float64)
	if r := c.send(token, report(alice)); r.status != 503 || r.header.Get("Retry-After") != "3" {
		t.Errorf("fault: got %d %v", r.status, r.header)
	}
	if r := c.get("/_sim/faults"); !strings.Contains(string(r.body), `"applied":1,"retry_after_seconds":3`) {
		t.Errorf("faults: got %s", r.body)
	}
	if r := c.do(t.Context(), http.MethodDelete, "/_sim/faults?id="+strconv.Itoa(int(id)), nil); r.status != 200 {
		t.Errorf("end of a fault: got %d %s", r.status, r.body)
	}
	if r := c.do(t.Context(), http.MethodDelete, "/_sim/faults?id=99", nil); r.status != 404 {
		t.Errorf("end of no fault: got %d, want 404", r.status)
	}
	c.order("faults", `{"action":"drop"}`)
	c.do(t.Context(), http.MethodDelete, "/_sim/faults", nil)
	c.order("faults", `{"api":"subscribe_send","action":"hang","count":1}`)
	call := c.goSend(t.Context(), token, report(alice))
	c.await("the hanging call", func(s simulator.State) bool { return s.Hanging == 1 })
	c.order("release", `{}`)
	(<-call).want(t, 0)

	c.order("rotate", `{"at_once":true}`)
	c.send(token, report(alice)).want(t, 40001)
	token = c.token()
	c.order("apps", `{"account_fault":48004}`)
	c.send(token, report(alice)).want(t, 48004)
	c.order("apps", `{"account_fault":0,"dead_tokens":true}`)
	c.send(token, report(alice)).want(t, 40001)
	c.order("apps", `{"dead_tokens":false,"quotas":{"per_minute":1}}`)
	c.send(token, report(alice)).want(t, 45011)
	c.order("apps", `{"quotas":{},"callback":{"url":`+quote(address)+`,"token":"x"}}`)
	c.send(token, report(alice)).want(t, 0)
	c.next(pushes)
	c.order("templates", `{"template_id":`+quote(simulator.SeedReport)+`,"banned":true}`)
	c.send(token, report(alice)).want(t, 43116)
	c.order("templates", `{"template_id":`+quote(simulator.SeedReport)+`,"deleted":true}`)
	c.send(token, report(alice)).want(t, 40037)
	if got := c.order("time", `{"shift_seconds":7200}`)["now"]; got != "2026-03-02T12:00:30Z" {
		t.Errorf("time: got %v", got)
	}
	c.send(token, report(alice)).want(t, 42001)
	c.order("latency", `{"latency_ms":1}`)
}

func TestControlShowsTheTruth(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()
	for range 3 {
		c.send(token, report(alice)).want(t, 0)
	}
	var truth struct{ Calls []simulator.Call }
	r := c.get("/_sim/truth?since=1")
	must(t, json.Unmarshal(r.body, &truth))
	if len(truth.Calls) != 2 || truth.Calls[0].N != 2 || truth.Calls[0].MsgID != 1988810812324364293 || truth.Calls[0].Values()["thing1"] != "设备领用月报" {
		t.Errorf("got %s", r.body)
	}
	if strings.Contains(string(r.body), token) {
		t.Error("the truth shows the token")
	}
	var state simulator.State
	must(t, json.Unmarshal(c.get("/_sim/state").body, &state))
	if state.Accepted != 3 || state.Requests[simulator.APIStableToken] != 1 || state.Answers[0] != 3 || !state.Now.Equal(clock()) {
		t.Errorf("got state %+v", state)
	}
	c.do(t.Context(), http.MethodDelete, "/_sim/truth", nil)
	if s := c.sim.State(); s.Sends != 0 || s.Accepted != 0 || len(c.sim.Calls(0)) != 0 {
		t.Errorf("after the reset: got %+v", s)
	}
}

func TestControlRefuses(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	for name, tc := range map[string]struct{ path, body string }{
		"unknown field":    {"faults", `{"action":"drop","cuont":1}`},
		"not JSON":         {"time", `shift`},
		"bad fault":        {"faults", `{"action":"explode"}`},
		"unknown app":      {"codes", `{"app":"wx0","openid":"o"}`},
		"unknown template": {"templates", `{"template_id":"x"}`},
		"no result":        {"consents", `{"openid":"o","template_id":"x"}`},
		"bad callback":     {"apps", `{"callback":{"url":"http://127.0.0.1:1","aes_key":"x"}}`},
	} {
		if r := c.post("/_sim/"+tc.path, tc.body); r.status != http.StatusBadRequest || !strings.Contains(string(r.body), `"error"`) {
			t.Errorf("%s: got %d %s, want 400 with an error", name, r.status, r.body)
		}
	}
	if r := c.get("/_sim/truth?since=x"); r.status != http.StatusBadRequest {
		t.Errorf("since=x: got %d, want 400", r.status)
	}
	// What a web page could send without asking: no Content-Type of ours.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.base+"/_sim/faults", strings.NewReader(`{"action":"drop"}`))
	must(t, err)
	req.Header.Set("Content-Type", "text/plain")
	res, err := c.client.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusUnsupportedMediaType || len(c.sim.Faults()) != 0 {
		t.Errorf("text/plain: got %d, want 415", res.StatusCode)
	}
}

func TestPhonePage(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	if got := string(c.get("/_sim/").body); !strings.Contains(got, "No users yet.") {
		t.Errorf("got %s", got)
	}
	c.accept(alice, simulator.SeedReport, 1)
	c.accept(bob, simulator.SeedReview, 1)
	token := c.token()
	hostile := report(alice).with("miniprogram_state", "trial").with("data", map[string]any{"thing1": value("<b>月报</b>"), "thing2": value("2月")})
	c.send(token, report(bob)).want(t, 43101)
	c.send(token, hostile).want(t, 0)
	c.send(token, review(bob).with("page", nil)).want(t, 0)
	r := c.get("/_sim/")
	page := string(r.body)
	rest := page
	for _, want := range []string{
		"2 of 3 messages accepted", bob, "待审核通知", "<dt>申请人</dt><dd>李雷</dd>", "<dt>申请时间</dt><dd>2026年3月2日 09:12</dd>", "not clickable",
		alice, "数据报表生成通知", "<dt>报表名称</dt><dd>&lt;b&gt;月报&lt;/b&gt;</dd>", "pages/report/index?id=7 · trial",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the page does not show %q after what comes before: %s", want, page)
		}
		rest = after
	}
	for _, foreign := range []string{"http://", "https://", "<script", "src="} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page is not self-contained: it has %q", foreign)
		}
	}
	if !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("got headers %v, want a Content-Security-Policy", r.header)
	}
	if strings.Contains(string(c.get("/_sim/?paused").body), "http-equiv") {
		t.Error("the paused page refreshes")
	}
}
