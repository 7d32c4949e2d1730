package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

const testPassword = "correct horse battery"

// page is an answer of the admin listener.
type page struct {
	status int
	header http.Header
	body   string
}

// ask asks the admin listener, as the user admin if the password is not "" and
// the right one.
func ask(t *testing.T, method, address, password string) page {
	t.Helper()
	return askAs(t, method, address, "admin", password)
}

// askAs asks as a user of the console.
func askAs(t *testing.T, method, address, user, password string) page {
	t.Helper()
	req := adminRequest(t, method, address, nil)
	if password != "" {
		host, _, _ := strings.Cut(address, "/")
		if c := session(t, host, user, password); c != nil {
			req.AddCookie(c)
		}
	}
	return roundTrip(t, req)
}

func adminRequest(t *testing.T, method, address string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func roundTrip(t *testing.T, req *http.Request) page {
	t.Helper()
	// A transport of its own: a kept connection would outlive the test.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(body)}
}

// sessions are the cookies of the logins so far, by address, user and password.
var sessions sync.Map

// session logs in, once; nil when that is refused.
func session(t *testing.T, host, user, password string) *http.Cookie {
	t.Helper()
	key := host + "\x00" + user + "\x00" + password
	if known, ok := sessions.Load(key); ok {
		return known.(*http.Cookie)
	}
	form := url.Values{"name": {user}, "password": {password}}
	req := adminRequest(t, http.MethodPost, host+"/admin/login", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var cookie *http.Cookie
	for _, line := range roundTrip(t, req).header["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil {
			cookie = c
			sessions.Store(key, c)
		}
	}
	return cookie
}

func TestAdminListener(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": testPassword})
	w, _, _ := r.start()
	list := r.send(3, nil)
	r.awaitStates(map[store.State]int{store.Sent: len(list)})
	const api = "/admin/queues/api"
	for _, c := range []struct {
		method, path, password string
		status                 int
		contains               string
	}{
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/readyz", "", 200, `{"ready":true,"degraded":[]}`},
		{"GET", "/metrics", "", 200, `wxnotify_worker_sends_total{app="` + r.app.AppID + `",kind="ok"`},
		{"GET", "/metrics", "", 200, `wxnotify_worker_errcodes_total{app="` + r.app.AppID + `",errcode="45009"} 0`},
		{"GET", "/metrics", "", 200, "wxnotify_relay_leader "},
		{"GET", "/metrics", "", 200, "go_goroutines"},
		{"POST", "/healthz", "", 405, ""},
		{"GET", "/", "", 404, ""},
		{"GET", "/admin", "", 303, ""},
		{"GET", "/admin/", "", 303, ""},
		{"GET", "/admin/", testPassword, 200, r.app.AppID},
		{"GET", "/admin/notifications?state=sent", testPassword, 200, list[0].id.String()},
		{"GET", "/admin/notifications/" + list[0].id.String(), testPassword, 200, list[0].openID},
		{"GET", "/admin/notifications/" + list[0].id.String(), "wrong", 303, ""},
		{"GET", "/admin/queues", "", 303, ""},
		{"GET", "/admin/queues/", "", 303, ""},
		{"GET", api + "/queues", "", 401, ""},
		{"GET", api + "/queues", "wrong", 401, ""},
		{"GET", api + "/queues", testPassword + "x", 401, ""},
		{"GET", api + "/queues", testPassword, 200, `"queue":"default"`},
		{"GET", api + "/servers", testPassword, 200, `"servers"`},
		{"GET", "/admin/queues", testPassword, 200, "<html"},
		{"GET", "/admin/queues/queues/default", testPassword, 200, "<html"},
		{"POST", api + "/queues/default:pause", testPassword, 405, ""},
		{"POST", api + "/queues/default/archived_tasks:run_all", testPassword, 405, ""},
		{"DELETE", api + "/queues/default/archived_tasks:delete_all", testPassword, 405, ""},
		{"DELETE", api + "/queues/default", testPassword, 405, ""},
		{"DELETE", api + "/queues/default", "", 405, ""},
	} {
		p := ask(t, c.method, w.AdminAddr+c.path, c.password)
		if p.status != c.status || !strings.Contains(p.body, c.contains) {
			t.Errorf("%s %s: %d %.200s; want %d with %q", c.method, c.path, p.status, p.body, c.status, c.contains)
		}
		checkAdminHeaders(t, c.method+" "+c.path, p)
	}
	if paused, err := r.rdb.Exists(t.Context(), "asynq:{default}:paused").Result(); err != nil || paused != 0 {
		t.Errorf("the queue was paused through a listener that only reads: %v", err)
	}
}

func checkAdminHeaders(t *testing.T, what string, p page) {
	t.Helper()
	if strings.Contains(what, "/admin") && p.status == 200 {
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", what, name, got, want)
			}
		}
	}
	if got := p.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("%s: other origins may read: %q", what, got)
	}
}

func TestAdminListenerWithoutUsers(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0"})
	w, log, _ := r.start()
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/admin/": 404, "/admin/login": 404, "/admin/queues": 404, "/admin/queues/": 404, "/admin/queues/api/queues": 404,
	} {
		p := ask(t, "GET", w.AdminAddr+path, "")
		if p.status != want || want == 404 && !strings.Contains(p.body, "ADMIN_PASSWORD") {
			t.Errorf("%s: %d %s, want %d", path, p.status, p.body, want)
		}
	}
	if !strings.Contains(log.tail(1<<20), "nobody may log in to the console") {
		t.Error("the log does not say why there is no console")
	}
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready    bool
	Reason   string
	Degraded []struct {
		Part, App, Reason string
		Since             time.Time
	}
}

func askReady(t *testing.T, address string) (int, readiness) {
	t.Helper()
	p := ask(t, "GET", address+"/readyz", "")
	var got readiness
	if err := json.Unmarshal([]byte(p.body), &got); err != nil {
		t.Fatalf("/readyz: %v in %s", err, p.body)
	}
	return p.status, got
}

// A paused app is no reason to take the process out of service, a store that is
// away is, and then an answer that is known waits for it.
func TestReadiness(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "SEND_TIMEOUT": "20s"})
	proxy := startProxy(t, r.databaseURL)
	r.env["DATABASE_URL"] = proxy.url
	w, _, _ := r.start()
	t.Cleanup(proxy.join) // or a worker that is stopped would wait for it
	eventually(t, "ready", func() error {
		if status, got := askReady(t, w.AdminAddr); status != 200 || len(got.Degraded) != 0 {
			return fmt.Errorf("%d %+v", status, got)
		}
		return nil
	})

	r.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, Count: 1})
	held := r.send(1, nil)
	r.awaitSim("a call is in flight", func(s simulator.State) bool { return s.Hanging == 1 })
	proxy.cut()
	eventually(t, "not ready without the store", func() error {
		if status, got := askReady(t, w.AdminAddr); status != 503 || got.Ready || got.Reason == "" {
			return fmt.Errorf("%d %+v", status, got)
		}
		return nil
	})
	r.sim.Release()
	eventually(t, "an answer is held", func() error {
		if _, got := askReady(t, w.AdminAddr); len(got.Degraded) != 1 || got.Degraded[0].Part != "store" {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	if p := ask(t, "GET", w.AdminAddr+"/healthz", ""); p.status != 200 {
		t.Errorf("/healthz is %d while the store is away: the process would be killed for it", p.status)
	}
	proxy.join()
	eventually(t, "ready again", func() error {
		if status, got := askReady(t, w.AdminAddr); status != 200 || len(got.Degraded) != 0 {
			return fmt.Errorf("%d %+v", status, got)
		}
		return nil
	})
	r.awaitStates(map[store.State]int{store.Sent: 1})
	r.wantOnce(held)

	if err := r.sim.SetAccountFault("", 48001); err != nil {
		t.Fatal(err)
	}
	r.send(1, func(_ int, n *producer.Notification) { n.Priority = store.Critical })
	eventually(t, "the app is degraded", func() error {
		status, got := askReady(t, w.AdminAddr)
		if status != 200 || len(got.Degraded) != 1 {
			return fmt.Errorf("%d %+v", status, got)
		}
		if d := got.Degraded[0]; d.Part != "app" || d.App != r.app.AppID || !strings.Contains(d.Reason, "48001") || d.Since.IsZero() {
			return fmt.Errorf("%+v", d)
		}
		return nil
	})
}

// dbProxy stands between a worker and PostgreSQL.
type dbProxy struct {
	url     string // of the same database and schema, through the proxy
	network string
	address string
	l       net.Listener
	all     sync.WaitGroup

	mu    sync.Mutex
	away  bool
	conns []net.Conn
}

func startProxy(t *testing.T, databaseURL string) *dbProxy {
	t.Helper()
	cfg, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		t.Fatal("the test database's URL cannot be read") // the error would quote the password
	}
	p := &dbProxy{}
	p.network, p.address = pgconnAddress(cfg)
	if p.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	user := url.User(cfg.User)
	if cfg.Password != "" {
		user = url.UserPassword(cfg.User, cfg.Password)
	}
	u := url.URL{Scheme: "postgres", User: user, Host: p.l.Addr().String(), Path: "/" + cfg.Database}
	u.RawQuery = url.Values{"sslmode": {"disable"}, "search_path": {cfg.RuntimeParams["search_path"]}}.Encode()
	p.url = u.String()
	p.all.Go(p.serve)
	t.Cleanup(func() {
		p.l.Close()
		p.cut()
		p.all.Wait()
	})
	return p
}

func pgconnAddress(cfg *pgx.ConnConfig) (network, address string) {
	if strings.HasPrefix(cfg.Host, "/") {
		return "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port)
	}
	return "tcp", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
}

func (p *dbProxy) serve() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		if err := p.connect(in); err != nil {
			in.Close()
		}
	}
}

func (p *dbProxy) connect(in net.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return errors.New("away")
	}
	out, err := net.Dial(p.network, p.address)
	if err != nil {
		return err
	}
	p.conns = append(p.conns, in, out)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		p.all.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			in.Close()
			out.Close()
		})
	}
	return nil
}

// cut breaks every connection and lets no new one through.
func (p *dbProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// join lets connections through again.
func (p *dbProxy) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}
