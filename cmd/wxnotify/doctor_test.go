package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// ward is what a doctor looks at: the real Redis, a database of its own and a
// simulator, for an app that no other test uses.
func ward(t *testing.T) site {
	t.Helper()
	address := os.Getenv("TEST_REDIS_URL")
	if address == "" {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			t.Fatal("TEST_REDIS_URL is not set, but test servers are required")
		}
		t.Skip("TEST_REDIS_URL is not set; deploy/test.sh sets it")
	}
	_, database := postgrestest.Open(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("TEST_REDIS_URL is not a URL") // the error would quote the password
	}
	// No relay of another test leaves its mark there, for which the doctor waits.
	u.Path = "/13"
	address = u.String()
	a := simulator.SeedApp()
	a.AppID = "wx" + strings.ReplaceAll(simulator.OpenID(t.Name())[1:17], "_", "x")
	sim, base := simulatortest.Start(t, simulator.Config{Apps: []simulator.App{a}})
	t.Cleanup(func() {
		if n := sim.State().Sends; n != 0 {
			t.Errorf("the doctor sent %d messages", n)
		}
	})
	return site{sim: sim, shell: shell{env: map[string]string{
		"REDIS_URL": address, "DATABASE_URL": database, "WECHAT_API_BASE_URL": base,
		"WECHAT_APPID": a.AppID, "WECHAT_SECRET": a.Secret,
	}}}
}

// examine runs doctor and returns its findings by the check's name, without the
// app's.
func (s site) examine(t *testing.T, args ...string) (answer, map[string]app.Result) {
	t.Helper()
	got := s.run(t, append([]string{"doctor", "--json"}, args...)...)
	var d diagnosis
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if d.OK != (d.Failed == 0) || d.OK != (got.code == exitOK) {
		t.Errorf("exit code %d, ok %v, failed %d", got.code, d.OK, d.Failed)
	}
	if strings.Contains(got.stdout+got.stderr, s.env["WECHAT_SECRET"]) && s.env["WECHAT_SECRET"] != "" {
		t.Error("the secret is shown")
	}
	found := map[string]app.Result{}
	for _, f := range d.Checks {
		found[strings.Replace(f.Check, "app "+s.env["WECHAT_APPID"]+" ", "", 1)] = f.Result
		if (f.Do != "") != (f.Status == app.StatusWarn || f.Status == app.StatusFail) || f.Found == "" {
			t.Errorf("finding without its words: %+v", f)
		}
	}
	return got, found
}

// expect checks some findings: a status, and what the words have in them.
func expect(t *testing.T, found map[string]app.Result, want map[string]string) {
	t.Helper()
	for name, text := range want {
		status, says, _ := strings.Cut(text, ": ")
		r := found[name]
		if string(r.Status) != status || !strings.Contains(r.Found+" / "+r.Do, says) {
			t.Errorf("%s: got %+v, want %q", name, r, text)
		}
	}
}

func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	s := ward(t)
	got, found := s.examine(t)
	if got.code != exitOK {
		t.Errorf("exit code %d: %s", got.code, got.stdout)
	}
	expect(t, found, map[string]string{
		"settings": "ok: nothing is missing", "redis": "ok: answers", "redis version": "ok", "redis eviction": "ok: noeviction",
		"redis memory": "ok: MB", "redis role": "ok: master", "redis clock": "ok: s against this machine",
		"database": "ok: answers", "database version": "ok: PostgreSQL", "database schema": "ok: version",
		"database encoding": "ok: UTF8", "database pooler": "ok: none", "redis mode": "ok: standalone", "redis clients": "ok: connected",
		"secrets": "warn: WECHAT_SECRET_FILE", "admin listener": "ok: for this machine only", "token mirror": "skipped", "catalog": "ok: STRICT_TEMPLATES is auto",
		"database role": "ok: takes writes", "database connections": "ok", "database clock": "ok: s against",
		"wechat": "ok: not WeChat's own host", "wechat clock": "ok: s against", "token": "ok: stable_token gives one, 2h0m0s left",
		"templates": "ok: 5: 4 one-time, 1 long-term", "addressees": "ok: everybody; messages open the formal version",
	})
	for _, name := range []string{"redis persistence", "redis latency", "database durability"} {
		if r, ok := found[name]; !ok || r.Status == app.StatusFail || r.Status == app.StatusSkipped {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	// The password of the test database is not to be seen.
	if strings.Contains(got.stdout, "://wxnotify:") && !strings.Contains(got.stdout, "://wxnotify:***@") {
		t.Error("a password is shown")
	}

	table := s.run(t, "doctor")
	if table.code != exitOK || !strings.HasPrefix(table.stdout, "STATUS   CHECK") || strings.Contains(table.stdout, "\x1b") ||
		!strings.Contains(table.stdout, "ok       database schema") {
		t.Errorf("table: got %+v", table)
	}
}

// startRedis starts a Redis of the test's own with more settings.
func startRedis(t *testing.T, settings ...string) (address string) {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			t.Fatal(err)
		}
		t.Skip("there is no redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(server, append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir()}, settings...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range time.Tick(10 * time.Millisecond) {
		err := c.Ping(ctx).Err()
		if err == nil || strings.Contains(err.Error(), "NOAUTH") {
			return address
		}
		if ctx.Err() != nil {
			t.Fatalf("Redis does not start: %v", err)
		}
	}
	return address
}

func TestDoctorRedis(t *testing.T) {
	t.Parallel()
	s := ward(t)
	for name, tc := range map[string]struct {
		settings []string
		user     string
		want     map[string]string
		code     int
	}{
		"evicts": {
			[]string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"},
			"",
			map[string]string{"redis eviction": "fail: set maxmemory-policy noeviction", "redis persistence": "ok: appendonly yes", "redis memory": "ok: of 100.0 MB used"},
			exitFailed,
		},
		"forgets and is nearly full": {
			[]string{"--maxmemory", "1mb", "--appendonly", "no"},
			"",
			map[string]string{"redis eviction": "ok: noeviction", "redis persistence": "warn: set appendonly yes", "redis memory": "warn: raise maxmemory"},
			exitOK,
		},
		"password missing": {
			[]string{"--requirepass", "s3cr3t"},
			"",
			map[string]string{"redis": "fail: give REDIS_URL a password", "redis eviction": "skipped: needs redis"},
			exitFailed,
		},
		"wrong password": {
			[]string{"--requirepass", "s3cr3t"},
			":wrong@",
			map[string]string{"redis": "fail: correct user and password", "redis clock": "skipped: needs redis"},
			exitFailed,
		},
		"a replica": {
			[]string{"--replicaof", "127.0.0.1 1"},
			"",
			map[string]string{"redis role": "fail: let REDIS_URL name the master"},
			exitFailed,
		},
		"a node of a cluster": {
			[]string{"--cluster-enabled", "yes"},
			"",
			map[string]string{"redis": "ok", "redis mode": "fail: let REDIS_URL be redis-cluster://"},
			exitFailed,
		},
		"no right to INFO": {
			[]string{"--user", "default", "on", "nopass", "~*", "&*", "+@all", "-info", "-time"},
			"",
			map[string]string{"redis": "ok", "redis eviction": "warn: INFO", "redis clock": "warn: TIME"},
			exitOK,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, found := s.with(map[string]string{"REDIS_URL": "redis://" + tc.user + startRedis(t, tc.settings...)}).examine(t)
			expect(t, found, tc.want)
			if got.code != tc.code || strings.Contains(got.stdout, "s3cr3t") {
				t.Errorf("exit code %d, want %d: %s", got.code, tc.code, got.stdout)
			}
		})
	}
}

// TestDoctorIsNotHeldUp: servers that accept a connection and say nothing cost
// one timeout.
func TestDoctorIsNotHeldUp(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	address := l.Addr().String()
	s := ward(t).with(map[string]string{
		"REDIS_URL": "redis://" + address, "DATABASE_URL": "postgres://u:s3cr3t@" + address + "/x", "WECHAT_API_BASE_URL": "http://" + address,
	})
	start := time.Now()
	got, found := s.examine(t)
	if took := time.Since(start); took > 9*time.Second {
		t.Errorf("it took %s", took)
	}
	expect(t, found, map[string]string{
		"redis": "fail: no answer within 5s", "redis memory": "skipped: needs redis",
		"database": "fail: no answer within 5s", "database schema": "skipped: needs database",
		"wechat": "fail: no answer within 5s", "token": "fail: ", "templates": "skipped", "addressees": "ok",
	})
	if strings.Contains(got.stdout, "s3cr3t") {
		t.Error("a password is shown")
	}
}

func TestDoctorDatabase(t *testing.T) {
	t.Parallel()
	s := ward(t)
	for name, tc := range map[string]struct {
		url  string
		want map[string]string
		code int
	}{
		"not migrated": {postgrestest.URL(t), map[string]string{"database": "ok", "database schema": "fail: run wxnotify migrate up"}, exitFailed},
		"not durable":  {withParameter(s.env["DATABASE_URL"], "synchronous_commit", "off"), map[string]string{"database durability": "warn: synchronous_commit off"}, exitOK},
		"read-only":    {withParameter(s.env["DATABASE_URL"], "default_transaction_read_only", "on"), map[string]string{"database role": "fail: read_only is on"}, exitFailed},
		"away":         {"postgres://u@127.0.0.1:1/x", map[string]string{"database": "fail: start PostgreSQL", "database clock": "skipped"}, exitFailed},
		"no database":  {otherDatabase(t, s.env["DATABASE_URL"]), map[string]string{"database": "fail: create the database"}, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, found := s.with(map[string]string{"DATABASE_URL": tc.url}).examine(t)
			expect(t, found, tc.want)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d: %s", got.code, tc.code, got.stdout)
			}
		})
	}
}

// otherDatabase is an address of the same server, for a database that is not
// there.
func otherDatabase(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("TEST_DATABASE_URL is not a URL") // the error would quote the password
	}
	u.Path = "/nosuch"
	return u.String()
}

// withParameter adds a parameter that PostgreSQL applies to the session.
func withParameter(address, name, value string) string {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + name + "=" + value
}

func TestDoctorSQLite(t *testing.T) {
	t.Parallel()
	s := ward(t)
	path := filepath.Join(t.TempDir(), "x.db")
	s = s.with(map[string]string{"DATABASE_URL": "sqlite:" + path})
	_, found := s.examine(t)
	expect(t, found, map[string]string{"database": "fail: run wxnotify migrate up", "database schema": "skipped"})
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the doctor made a database: %v", err)
	}
	s.must(t, "migrate", "up")
	_, found = s.examine(t)
	expect(t, found, map[string]string{"database": "ok: " + path, "database schema": "ok: version"})
	st := s.open(t)
	defer st.Close()
	_, found = s.examine(t)
	expect(t, found, map[string]string{"database": "ok", "database schema": "skipped: another process has the file"})
}

func TestDoctorToken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env   map[string]string
		fault simulator.Fault
		want  map[string]string
		code  int
	}{
		"wrong secret": {
			env:  map[string]string{"WECHAT_SECRET": "0000000000000000000000000000dead"},
			want: map[string]string{"token": "fail: errcode 40125, secret wrong or reset: invalid appsecret / check WECHAT_SECRET", "templates": "skipped"}, code: exitFailed,
		},
		"not on the whitelist": {
			fault: simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: 40164},
			want:  map[string]string{"token": "fail: add 127.0.0.1 to the IP whitelist", "templates": "skipped"}, code: exitFailed,
		},
		"quota": {
			fault: simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: 45009},
			want:  map[string]string{"token": "warn: errcode 45009", "templates": "skipped: needs a token"}, code: exitOK,
		},
		"no right to templates": {
			fault: simulator.Fault{API: simulator.APITemplates, Action: simulator.ActErrcode, Errcode: 48001},
			want:  map[string]string{"token": "ok", "templates": "fail: errcode 48001"}, code: exitFailed,
		},
		"HTML": {
			fault: simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActStatus, Status: 502},
			want:  map[string]string{"token": "fail: the answer is HTML"}, code: exitFailed,
		},
		"unreachable": {
			env:  map[string]string{"WECHAT_API_BASE_URL": "http://127.0.0.1:1"},
			want: map[string]string{"wechat": "fail: refused", "wechat clock": "skipped", "token": "fail: unreachable"}, code: exitFailed,
		},
		"no secret": {
			env:  map[string]string{"WECHAT_SECRET": ""},
			want: map[string]string{"settings": "fail: the secret of app", "token": "skipped: its secret is not set", "redis": "ok", "database schema": "ok"}, code: exitFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ward(t).with(tc.env)
			if tc.fault.Action != "" {
				if _, err := s.sim.AddFault(tc.fault); err != nil {
					t.Fatal(err)
				}
			}
			got, found := s.examine(t)
			expect(t, found, tc.want)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d: %s", got.code, tc.code, got.stdout)
			}
		})
	}
}

// share puts a token into Redis as workers do.
func (s site) share(t *testing.T, value string) {
	t.Helper()
	opts, err := redis.ParseURL(s.env["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { c.Close() })
	cache, err := tokencache.New(tokencache.Config{Redis: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := cache.Put(t.Context(), s.env["WECHAT_APPID"], value, time.Hour); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cache.Drop(context.Background(), s.env["WECHAT_APPID"], value) })
}

// issue is a token that the simulator takes.
func (s site) issue(t *testing.T) string {
	t.Helper()
	body := fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q}`, s.env["WECHAT_APPID"], s.env["WECHAT_SECRET"])
	resp, err := http.Post(s.env["WECHAT_API_BASE_URL"]+"/cgi-bin/stable_token", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		Value string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil || token.Value == "" {
		t.Fatalf("no token: %v", err)
	}
	return token.Value
}

func TestDoctorUsesTheSharedToken(t *testing.T) {
	t.Parallel()
	s := ward(t)
	token := s.issue(t)
	s.share(t, token)
	s.sim.ResetTruth()
	got, found := s.examine(t)
	expect(t, found, map[string]string{"token": "ok: shared in Redis, 1h0m0s left", "templates": "ok: 5"})
	if n := s.sim.State().Requests[simulator.APIStableToken]; n != 0 {
		t.Errorf("%d tokens were fetched", n)
	}
	if strings.Contains(got.stdout+got.stderr, token) {
		t.Error("the token is shown")
	}
	s.share(t, "92_stale")
	_, found = s.examine(t)
	expect(t, found, map[string]string{"token": "ok: shared in Redis", "templates": "warn: the shared token in Redis is refused: errcode 40014"})
}

// TestDoctorNeverRotates: fetching a classic token ends the one in use.
func TestDoctorNeverRotates(t *testing.T) {
	t.Parallel()
	s := ward(t).with(map[string]string{"WECHAT_TOKEN_SOURCE": "token"})
	_, found := s.examine(t)
	expect(t, found, map[string]string{"token": "warn: a fetch ends the token that everybody uses", "templates": "skipped: needs a token"})
	if st := s.sim.State(); st.TokensIssued != 0 {
		t.Errorf("%d tokens were issued", st.TokensIssued)
	}
	s.share(t, s.issue(t))
	s.sim.ResetTruth()
	_, found = s.examine(t)
	expect(t, found, map[string]string{"token": "ok: shared in Redis", "templates": "ok: 5"})
	if st := s.sim.State(); st.TokensIssued != 0 {
		t.Errorf("%d tokens were issued", st.TokensIssued)
	}
}

func TestDoctorForeignToken(t *testing.T) {
	t.Parallel()
	s := ward(t)
	key := "doctor:" + s.env["WECHAT_APPID"]
	opts, err := redis.ParseURL(s.env["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(opts)
	t.Cleanup(func() { c.Del(context.Background(), key); c.Close() })
	s = s.with(map[string]string{"WECHAT_TOKEN_SOURCE": withParameter(s.env["REDIS_URL"], "key", key)})
	_, found := s.examine(t)
	expect(t, found, map[string]string{"token": "warn: is empty; stable_token gives one", "templates": "ok: 5"})
	if err := c.Set(t.Context(), key, strconv.Quote(s.issue(t)), time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	s.sim.ResetTruth()
	_, found = s.examine(t)
	expect(t, found, map[string]string{"token": "ok: there is one in redis://", "templates": "ok: 5"})
	if n := s.sim.State().Requests[simulator.APIStableToken]; n != 0 {
		t.Errorf("%d tokens were fetched", n)
	}
	_, found = s.with(map[string]string{"WECHAT_TOKEN_SOURCE": "redis://127.0.0.1:1/0?key=x"}).examine(t)
	expect(t, found, map[string]string{"token": "warn: cannot be read; stable_token gives one", "templates": "ok: 5"})
}

func TestDoctorClock(t *testing.T) {
	t.Parallel()
	s := ward(t)
	for name, tc := range map[string]struct {
		date func() string
		want string
	}{
		"ahead":   {func() string { return time.Now().Add(time.Hour).UTC().Format(http.TimeFormat) }, "warn: which is what a wrong time zone makes"},
		"wrong":   {func() string { return time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat) }, "warn: set the clocks by NTP. No lease"},
		"behind":  {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, "warn: send_at and expires_at"},
		"no date": {func() string { return "" }, "skipped: no Date"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Date"] = nil
				if date := tc.date(); date != "" {
					w.Header().Set("Date", date)
				}
				s.sim.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			got, found := s.with(map[string]string{"WECHAT_API_BASE_URL": server.URL}).examine(t)
			expect(t, found, map[string]string{"wechat clock": tc.want})
			if got.code != exitOK {
				t.Errorf("exit code %d", got.code)
			}
		})
	}
}

func TestDoctorSettings(t *testing.T) {
	t.Parallel()
	got, found := site{shell: shell{env: map[string]string{"CONCURRENCY": "none", "MAX_AGE": "1"}}}.examine(t)
	expect(t, found, map[string]string{"settings": "fail: CONCURRENCY (environment CONCURRENCY)"})
	if len(found) != 1 || !strings.Contains(found["settings"].Found, "; MAX_AGE") || got.code != exitFailed {
		t.Errorf("got %+v", got)
	}
	_, found = site{shell: shell{env: map[string]string{"WECHAT_API_BASE_URL": "http://127.0.0.1:1"}}}.examine(t)
	expect(t, found, map[string]string{
		"settings": "fail: WECHAT_APPID", "redis": "skipped: REDIS_URL is not set", "database": "skipped: DATABASE_URL is not set", "wechat": "fail",
	})
	if got := (shell{}).run(t, "doctor", "--concurrency", "none"); got.code != exitUsage || got.stdout != "" {
		t.Errorf("a wrong flag: got %+v", got)
	}

	s := ward(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "apps: [{appid: " + s.env["WECHAT_APPID"] + ", secret: " + s.env["WECHAT_SECRET"] + ", only_to: [u1, u2]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, found = s.with(map[string]string{"WXNOTIFY_CONFIG": file, "WECHAT_APPID": "", "WECHAT_SECRET": ""}).examine(t)
	expect(t, found, map[string]string{"app " + s.env["WECHAT_APPID"] + " addressees": "warn: only the 2 of only_to"})
}

// What a gateway needs beyond a worker: producers, and pushes that come.
func TestDoctorGateway(t *testing.T) {
	t.Parallel()
	s := ward(t)
	_, found := s.examine(t)
	expect(t, found, map[string]string{"producers": "skipped: a gateway would not start", "pushes": "skipped: the callback token and AES key are not set"})

	maps.Copy(s.env, map[string]string{
		"API_KEYS":              "approval:" + strings.Repeat("k", 32) + ",approval:" + strings.Repeat("l", 32),
		"WECHAT_CALLBACK_TOKEN": "token1", "WECHAT_CALLBACK_AES_KEY": strings.Repeat("A", 43), "WECHAT_CALLBACK_PLAINTEXT": "true",
	})
	got, found := s.examine(t)
	expect(t, found, map[string]string{
		"producers": "ok: 1 with 2 keys: approval (send, read, users)",
		"pushes":    "warn: /wechat/callback/" + s.env["WECHAT_APPID"],
	})
	if strings.Contains(got.stdout, strings.Repeat("k", 32)) || strings.Contains(got.stdout, "token1") {
		t.Error("a key or the token is shown")
	}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: s.env["DATABASE_URL"]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Pushed(t.Context(), s.env["WECHAT_APPID"]); err != nil {
		t.Fatal(err)
	}
	_, found = s.examine(t)
	expect(t, found, map[string]string{"pushes": "warn: take callback_plaintext out"})
	delete(s.env, "WECHAT_CALLBACK_PLAINTEXT")
	_, found = s.examine(t)
	expect(t, found, map[string]string{"pushes": "ok: the last verified push came at 2"})
	s.env["WECHAT_CALLBACK_AES_KEY"] = "short"
	_, found = s.examine(t)
	expect(t, found, map[string]string{"settings": "fail: must be the EncodingAESKey of WeChat's console: 43 letters and digits"})
}
