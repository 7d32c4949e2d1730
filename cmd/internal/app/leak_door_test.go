package app_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// The producers of this test. The second one may see nothing of the first one's.
const (
	leakKey      = "wxn_" + canary + "alpha00000000000000000000000000000000001"
	otherKey     = "wxn_" + canary + "beta000000000000000000000000000000000002"
	leakAESKey   = canary + "efghijklmnopqrstuvwxyz0123456789ABCDEFG"
	leakPushSign = canary + "token"
)

// sessionForm is the form of the simulator's session keys.
var sessionForm = regexp.MustCompile(`[0-9a-f]{22}==`)

// leakDoor is a gateway with a worker, all of whose secrets have the canary in
// them, and the two producers before it.
type leakDoor struct {
	*door
	rig     *rig
	s       *search
	hook    *leakHook
	traces  *collector
	proxy   *dbProxy
	pushURL string
}

// hookRefusals is how many of the first deliveries are refused: those of three
// notifications, so that it is logged.
const hookRefusals = 3

// leakHook takes what a producer is told, after it refused the first ones.
type leakHook struct {
	mu     sync.Mutex
	bodies []string
	url    string
}

func startLeakHook(t *testing.T) *leakHook {
	t.Helper()
	h := &leakHook{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.bodies = append(h.bodies, string(body)); len(h.bodies) <= hookRefusals {
			http.Error(w, canary, http.StatusInternalServerError)
		}
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL + "/" + canary
	return h
}

func newLeakDoor(t *testing.T) *leakDoor {
	t.Helper()
	a, hook := leakApp(0), startLeakHook(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	yaml := fmt.Sprintf(`webhook_allow_cidrs: 127.0.0.0/8
producers:
  - name: alpha
    keys: [%s]
    rights: [send, read, users, erase, token]
    webhook: {url: "%s", secret: whsec_%s}
  - name: beta
    keys: [%s]
    rights: [send, read]
`, apikey.Of(leakKey), hook.url, canary+strings.Repeat("A", 28), apikey.Of(otherKey))
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, simulator.Config{Apps: []simulator.App{a}}, map[string]string{
		"WXNOTIFY_CONFIG": file, "LISTEN_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": leakPassword,
		"WECHAT_CALLBACK_TOKEN": leakPushSign, "WECHAT_CALLBACK_AES_KEY": leakAESKey, "WECHAT_CALLBACK_PLAINTEXT": "true",
		"test redis password": canary + "redispassword", "SEND_TIMEOUT": "5s",
	})
	traces := startCollector(t)
	maps.Copy(r.env, traces.env())
	proxy := startProxy(t, r.databaseURL)
	t.Cleanup(proxy.join)
	r.env["DATABASE_URL"] = proxy.url
	d := &leakDoor{
		door: r.spawnGateway("--with-worker"), rig: r, hook: hook, proxy: proxy, traces: traces,
		s: &search{t: t, places: map[string]int{}},
	}
	d.key = leakKey
	d.header = map[string]string{
		"Traceparent": callerTrace, "Tracestate": "vendor=" + canary, "Baggage": "user=" + leakUser(1), "X-Request-Id": canary,
	}
	d.pushURL = d.base + strings.Replace(callback.Pattern, "{appid}", a.AppID, 1)
	return d
}

// refused makes a request that must fail, and searches its answer.
func (d *leakDoor) refused(status int, method, path string, body any) {
	d.t.Helper()
	got, text, err := d.call(d.t.Context(), method, path, body)
	if err != nil || got != status {
		d.t.Errorf("%s %s: %d %s, %v; want %d", method, path, got, text, err, status)
	}
	d.s.in("a refusal", string(text))
}

// as makes requests as another producer.
func (d *leakDoor) as(key string) *leakDoor {
	other, copied := *d, *d.door
	copied.key = key
	other.door = &copied
	return &other
}

func leakData(i int) map[string]string {
	return map[string]string{"thing1": leakText(i), "thing2": "2026年10月"}
}

// accept hands in a good notification for a user and returns its id.
func (d *leakDoor) accept(i int, more map[string]any) uuid.UUID {
	d.t.Helper()
	body := map[string]any{"template_id": simulator.SeedReport, "user_id": leakUser(i), "page": leakPage(i), "data": leakData(i)}
	maps.Copy(body, more)
	return must[doorRow](d.door, http.StatusAccepted, http.MethodPost, "/v1/notifications", body).ID
}

// Nothing that comes in by HTTP gives away a key, a secret, a session key, an
// openid, a user id or a message: not in a log, the metrics, the health, an
// answer to another producer, a refusal, or what a webhook is told.
func TestGatewayLeaksNothing(t *testing.T) {
	t.Parallel()
	d := newLeakDoor(t)
	d.people()
	ids := d.notifications()
	d.another(ids)
	d.strangers()
	d.pushes()
	d.storeAway()
	must[any](d.door, http.StatusOK, http.MethodDelete, "/v1/users/"+leakUser(1), nil)

	eventually(t, "the webhook is told", func() error {
		d.hook.mu.Lock()
		defer d.hook.mu.Unlock()
		if n := len(d.hook.bodies); n <= hookRefusals {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	d.hook.mu.Lock()
	for _, body := range d.hook.bodies {
		d.s.in("a webhook", body)
	}
	d.hook.mu.Unlock()
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		d.s.in(path, ask(t, "GET", d.admin+path, "").body)
	}
	d.terminate()
	d.traces.search(d.s)
	log := d.log.String()
	d.s.in("the log", log)
	if found := sessionForm.FindString(log); found != "" {
		t.Errorf("the log has what looks like a session key: %s", found)
	}
	for _, text := range []string{`"level":"debug"`, `"api":"code2session"`, `"logger":"callback"`, `"logger":"webhook"`} {
		if !strings.Contains(log, text) {
			t.Errorf("the log has no %s: a path was not gone", text)
		}
	}
	for _, name := range []string{
		"POST /v1/notifications", "POST /wechat/callback/{appid}", "apply pushes", "webhook", "code2session", "stable_token", "subscribe_send",
	} {
		if len(d.traces.all(name)) == 0 {
			t.Errorf("no span %q: a path was not gone", name)
		}
	}
	for place, least := range map[string]int{"a refusal": 25, "another producer": 8, "a webhook": 2, "a span": 100} {
		if d.s.places[place] < least {
			t.Errorf("%s: %d searched, want at least %d", place, d.s.places[place], least)
		}
	}
	t.Logf("searched %d bytes of %v", d.s.bytes, d.s.places)
}

// people logs users in, well and in every way that fails, and counts consents.
func (d *leakDoor) people() {
	d.t.Helper()
	code, err := d.rig.sim.LoginCode("", leakOpenID(1))
	if err != nil {
		d.t.Fatal(err)
	}
	login := func(code string) map[string]string { return map[string]string{"user_id": leakUser(1), "code": code} }
	must[any](d.door, http.StatusOK, http.MethodPost, "/v1/logins", login(code))
	d.refused(http.StatusUnprocessableEntity, http.MethodPost, "/v1/logins", login("0"+canary+strings.Repeat("c", 24)))
	for i, f := range []simulator.Fault{
		{Action: simulator.ActErrcode, Errcode: 40163},
		{Action: simulator.ActErrcode, Errcode: 40226},
		{Action: simulator.ActErrcode, Errcode: 45011},
		{Action: simulator.ActErrcode, Errcode: 40125},
		{Action: simulator.ActStatus, Status: 502},
		{Action: simulator.ActDrop},
		{Action: simulator.ActTruncated},
	} {
		code := fmt.Sprintf("0%s%024d", canary, i)
		said := "refused: js_code=" + code + "&secret=" + d.rig.app.Secret
		f.API, f.Errmsg, f.Body, f.Count = simulator.APICode2Session, said, "<html>"+said+"</html>", 2
		d.rig.fault(f)
		status, text, err := d.call(d.t.Context(), http.MethodPost, "/v1/logins", login(code))
		if err != nil || status < 400 {
			d.t.Errorf("login with %v: %d %s, %v", f.Action, status, text, err)
		}
		d.s.in("a refusal", string(text))
		d.rig.sim.ClearFaults()
	}
	must[any](d.door, http.StatusOK, http.MethodPut, "/v1/users/"+leakUser(2), map[string]string{"openid": leakOpenID(2)})
	d.refused(http.StatusUnprocessableEntity, http.MethodPut, "/v1/users/"+leakUser(3), map[string]string{"openid": strings.Repeat(canary, 50)})
	report := map[string]any{"report_id": uuid.New(), "results": map[string]string{simulator.SeedReport: "accept"}}
	must[any](d.door, http.StatusOK, http.MethodPost, "/v1/users/"+leakUser(1)+"/consents", report)
	must[any](d.door, http.StatusOK, http.MethodGet, "/v1/users/"+leakUser(1)+"/consent-plan?templates="+simulator.SeedReport, nil)
	d.refused(http.StatusConflict, http.MethodPost, "/v1/users/"+leakUser(4)+"/consents", report)
	must[any](d.door, http.StatusOK, http.MethodGet, "/v1/apps/"+d.rig.app.AppID+"/token", nil)
}

// notifications hands in good and bad ones and returns the ids of the good.
func (d *leakDoor) notifications() []uuid.UUID {
	d.t.Helper()
	ref := map[string]any{"ref": "ref-1"}
	ids := []uuid.UUID{d.accept(1, ref), d.accept(2, nil), d.accept(2, map[string]any{"user_id": nil, "openid": leakOpenID(9)})}
	for _, id := range ids {
		d.awaitShown(id, store.Sent, nil)
	}
	const post = "/v1/notifications"
	text, good := strings.Repeat(canary+"绝密", 20), leakData(1)
	bad := func(more map[string]any) map[string]any {
		body := map[string]any{"template_id": simulator.SeedReport, "user_id": leakUser(1), "data": good}
		maps.Copy(body, more)
		return body
	}
	d.refused(http.StatusConflict, http.MethodPost, post, bad(ref))
	for _, body := range []map[string]any{
		bad(map[string]any{"data": map[string]string{"thing1": text, "thing2": canary + "\n"}}),
		bad(map[string]any{"data": map[string]any{"thing1": []string{canary}, "thing2": nil}}),
		bad(map[string]any{"user_id": strings.Repeat(canary, 50)}), bad(map[string]any{"user_id": nil, "openid": strings.Repeat(canary, 50)}),
		bad(map[string]any{"page": "/pages/x?" + text + "#\x00"}), bad(map[string]any{"template_id": canary + "unknown"}),
		bad(map[string]any{"app": canary}), bad(map[string]any{"ref": strings.Repeat(canary, 50)}), bad(map[string]any{"send_at": canary}),
		bad(map[string]any{"lang": canary}), bad(map[string]any{"priority": canary, "duplicates": canary, "wait": canary}),
	} {
		status, text, err := d.call(d.t.Context(), http.MethodPost, post, body)
		if err != nil || status < 400 || status >= 500 {
			d.t.Errorf("%v: %d %s, %v", body, status, text, err)
		}
		d.s.in("a refusal", string(text))
	}
	d.refused(http.StatusBadRequest, http.MethodPost, post, `{"data":{"thing1":"`+canary)
	d.refused(http.StatusBadRequest, http.MethodPost, post, canary)
	d.refused(http.StatusNotFound, http.MethodGet, post+"/"+canary, nil)
	d.refused(http.StatusUnprocessableEntity, http.MethodGet, post+"?state="+canary+"&since="+canary+"&cursor="+canary, nil)
	return ids
}

// another asks as a producer who owns nothing of it.
func (d *leakDoor) another(ids []uuid.UUID) {
	d.t.Helper()
	other := d.as(otherKey)
	for _, r := range []struct{ method, path string }{
		{http.MethodGet, "/v1/notifications"},
		{http.MethodGet, "/v1/notifications?user_id=someone&ref=ref-1"},
		{http.MethodGet, "/v1/notifications/" + ids[0].String()},
		{http.MethodPost, "/v1/notifications/" + ids[0].String() + "/replay"},
		{http.MethodPost, "/v1/notifications/" + ids[1].String() + "/cancel"},
		{http.MethodGet, "/v1/templates"},
		{http.MethodGet, "/v1/users/" + leakUser(1)},
		{http.MethodGet, "/v1/apps/" + d.rig.app.AppID + "/token"},
		{http.MethodGet, "/openapi.json"},
		{http.MethodGet, "/docs"},
	} {
		status, text, err := other.call(d.t.Context(), r.method, r.path, nil)
		if err != nil || status >= 500 {
			d.t.Errorf("%s %s: %d, %v", r.method, r.path, status, err)
		}
		d.s.in("another producer", string(text))
	}
	// The same ref is its own.
	mine := other.accept(2, map[string]any{"ref": "ref-1"})
	if mine == ids[0] {
		d.t.Error("two producers share a ref")
	}
}

// strangers come without a right, with keys that are nearly right.
func (d *leakDoor) strangers() {
	d.t.Helper()
	for _, key := range []string{leakKey + "x", leakKey[:20], canary, "Bearer " + leakKey, ""} {
		stranger := d.as(key)
		stranger.refused(http.StatusUnauthorized, http.MethodPost, "/v1/notifications", map[string]any{"user_id": leakUser(1), "data": leakData(1)})
		stranger.refused(http.StatusUnauthorized, http.MethodGet, "/v1/users/"+leakUser(1)+"?key="+leakKey, nil)
	}
}

// pushes are WeChat's, which came with the sends, and forged ones.
func (d *leakDoor) pushes() {
	d.t.Helper()
	d.rig.awaitSim("every push is acknowledged", func(s simulator.State) bool { return s.Events.Pending == 0 && s.Events.Pushed > 0 })
	event := `{"ToUserName":"gh_1","FromUserName":"` + leakOpenID(1) + `","Event":"` + canary + `","List":{"TemplateId":"` + canary + `"}}`
	path := strings.TrimPrefix(d.pushURL, d.base) + "?timestamp=1&nonce=" + canary + "&openid=" + leakOpenID(1) + "&signature=" + canary + "&msg_signature=" + canary
	for _, body := range []string{event, `{"Encrypt":"` + canary + `"}`, "<xml>" + canary, canary, strings.Repeat(canary, 300<<10)} {
		for _, query := range []string{"", "&encrypt_type=aes"} {
			status, text, err := d.call(d.t.Context(), http.MethodPost, path+query, body)
			if err == nil && status < 400 {
				d.t.Errorf("a forged push: %d", status)
			}
			d.s.in("a forged push", string(text))
		}
	}
}

// storeAway lets requests fail for want of the database.
func (d *leakDoor) storeAway() {
	d.t.Helper()
	d.proxy.cut()
	d.refused(http.StatusServiceUnavailable, http.MethodPost, "/v1/notifications",
		map[string]any{"template_id": simulator.SeedReport, "user_id": leakUser(1), "data": leakData(1)})
	d.refused(http.StatusServiceUnavailable, http.MethodGet, "/v1/users/"+leakUser(1), nil)
	d.s.in("/readyz", ask(d.t, "GET", d.admin+"/readyz", "").body)
	d.proxy.join()
	eventually(d.t, "the database is back", func() error {
		if status, _ := askReady(d.t, d.admin); status != http.StatusOK {
			return fmt.Errorf("/readyz is %d", status)
		}
		return nil
	})
}
