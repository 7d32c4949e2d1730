package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests.
const patience = 10 * time.Second

var (
	app   = simulator.SeedApp()
	alice = simulator.OpenID("alice")
	bob   = simulator.OpenID("bob")
)

// clock is a clock that stands still; tests move the simulator's with ShiftTime.
func clock() time.Time { return time.Date(2026, 3, 2, 10, 0, 30, 0, time.UTC) }

// caller talks to a simulator over TCP.
type caller struct {
	t      *testing.T
	sim    *simulator.Simulator
	base   string
	client *http.Client
}

func start(t *testing.T, cfg simulator.Config) *caller {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = clock
	}
	sim, base := simulatortest.Start(t, cfg)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &caller{t: t, sim: sim, base: base, client: &http.Client{Transport: transport, Timeout: patience}}
}

// result is an answer; err is set when there was none or only part of one.
type result struct {
	status  int
	header  http.Header
	body    []byte
	err     error
	Errcode int    `json:"errcode"`
	Errmsg  string `json:"errmsg"`
	MsgID   int64  `json:"msgid"`
	Token   string `json:"access_token"`
	Expires int    `json:"expires_in"`
	OpenID  string `json:"openid"`
	Session string `json:"session_key"`
	UnionID string `json:"unionid"`
}

func (c *caller) do(ctx context.Context, method, path string, body io.Reader) result {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		c.t.Error(err)
		return result{err: err}
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.client.Do(req)
	if err != nil {
		return result{err: err}
	}
	defer func() { _ = res.Body.Close() }() // it is read to its end or broken
	r := result{status: res.StatusCode, header: res.Header}
	r.body, r.err = io.ReadAll(res.Body)
	_ = json.Unmarshal(r.body, &r) // what is no JSON leaves the fields zero
	return r
}

func (c *caller) get(path string) result { return c.do(c.t.Context(), http.MethodGet, path, nil) }

func (c *caller) post(path string, body string) result {
	return c.do(c.t.Context(), http.MethodPost, path, bytes.NewReader([]byte(body)))
}

func (c *caller) stable(force bool) result {
	return c.post("/cgi-bin/stable_token", fmt.Sprintf(
		`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":%t}`, app.AppID, app.Secret, force))
}

func (c *caller) classic() result {
	return c.get("/cgi-bin/token?grant_type=client_credential&appid=" + app.AppID + "&secret=" + app.Secret)
}

// token returns the stable token.
func (c *caller) token() string {
	c.t.Helper()
	r := c.stable(false)
	if r.Token == "" {
		c.t.Fatalf("no token: %s", r.body)
	}
	return r.Token
}

// message is a send's body; its methods change it for one case.
type message map[string]any

func report(openID string) message {
	return message{
		"touser": openID, "template_id": simulator.SeedReport, "page": "pages/report/index?id=7",
		"miniprogram_state": "formal", "lang": "zh_CN",
		"data": map[string]any{"thing1": value("设备领用月报"), "thing2": value("2026年2月")},
	}
}

// review is a message of a one-time template.
func review(openID string) message {
	m := report(openID)
	m["template_id"] = simulator.SeedReview
	m["data"] = map[string]any{
		"thing1": value("李雷"), "thing11": value("设备部"), "thing12": value("电工"),
		"time4": value("2026年3月2日 09:12"), "thing10": value("绝缘手套"),
	}
	return m
}

func value(text any) map[string]any { return map[string]any{"value": text} }

func (m message) with(key string, v any) message {
	if v == nil {
		delete(m, key)
	} else {
		m[key] = v
	}
	return m
}

func (c *caller) sendBody(token, body string) result {
	return c.post("/cgi-bin/message/subscribe/send?access_token="+token, body)
}

func (c *caller) send(token string, m message) result {
	c.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		c.t.Error(err)
	}
	return c.sendBody(token, string(body))
}

// goSend sends on its own goroutine.
func (c *caller) goSend(ctx context.Context, token string, m message) <-chan result {
	c.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	out := make(chan result, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		out <- c.do(ctx, http.MethodPost, "/cgi-bin/message/subscribe/send?access_token="+token, bytes.NewReader(body))
	})
	c.t.Cleanup(wg.Wait)
	return out
}

func (c *caller) await(what string, ok func(simulator.State) bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.sim.Await(ctx, ok); err != nil {
		c.t.Fatalf("%s did not come: %v; state %+v", what, err, c.sim.State())
	}
}

func (c *caller) fault(f simulator.Fault) int {
	c.t.Helper()
	id, err := c.sim.AddFault(f)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// accept gives consent and stops the test when that fails.
func (c *caller) accept(openID, templateID string, times int) {
	c.t.Helper()
	must(c.t, c.sim.Accept("", openID, templateID, times))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r result) want(t *testing.T, errcode int) {
	t.Helper()
	if r.err != nil || r.status != http.StatusOK || r.Errcode != errcode {
		t.Errorf("got status %d, err %v, body %.200s; want errcode %d", r.status, r.err, r.body, errcode)
	}
}
