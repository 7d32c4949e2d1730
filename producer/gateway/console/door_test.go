package console_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
)

// routes is every way into the console and who may use it. A route that is not
// here is one that nobody thought about.
var routes = map[string]console.Access{
	"GET /admin":                             console.ForAnyone,
	"GET /admin/assets/{name}":               console.ForAnyone,
	"GET /admin/login":                       console.ForAnyone,
	"POST /admin/login":                      console.ForAnyone,
	"POST /admin/logout":                     console.ForViewers,
	"GET /admin/{$}":                         console.ForViewers,
	"GET /admin/notifications":               console.ForViewers,
	"GET /admin/notifications/{id}":          console.ForViewers,
	"GET /admin/notifications/{id}/edit":     console.ForOperators,
	"POST /admin/notifications/{id}/edit":    console.ForOperators,
	"POST /admin/notifications/{id}/replay":  console.ForOperators,
	"POST /admin/notifications/{id}/discard": console.ForOperators,
	"POST /admin/notifications/{id}/settle":  console.ForOperators,
	"POST /admin/notifications/{id}/cancel":  console.ForOperators,
	"GET /admin/dead":                        console.ForViewers,
	"POST /admin/dead/preview":               console.ForOperators,
	"POST /admin/dead/run":                   console.ForOperators,
	"GET /admin/refused":                     console.ForViewers,
	"GET /admin/templates":                   console.ForViewers,
	"POST /admin/templates/resume":           console.ForOperators,
	"GET /admin/users":                       console.ForViewers,
	"GET /admin/pauses":                      console.ForViewers,
	"POST /admin/pauses":                     console.ForOperators,
	"GET /admin/audit":                       console.ForViewers,
	"GET /admin/queues":                      console.ForViewers,
	"GET /admin/queues/":                     console.ForViewers,
}

func TestRoutesByRole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	known := map[string]console.Access{}
	for _, route := range r.console.Routes() {
		known[route.Method+" "+route.Pattern] = route.Access
	}
	if diff := cmp.Diff(routes, known); diff != "" {
		t.Fatalf("routes (-known +there):\n%s", diff)
	}
	n := r.dead()
	target := func(pattern string) string {
		path := strings.NewReplacer("{$}", "", "{id}", n.ID.String(), "{name}", "style.css").Replace(pattern)
		if path == "/admin/queues/" {
			path += "api/queues"
		}
		return path
	}
	for _, route := range r.console.Routes() {
		if route.Pattern == "/admin/logout" {
			continue // it would end the others' visits; see TestLogout
		}
		for _, role := range []string{"none", "viewer", "operator"} {
			v := r.nobody()
			switch role {
			case "viewer":
				v = r.viewer()
			case "operator":
				v = r.operator()
			}
			a := v.do(route.Method, target(route.Pattern), map[bool]url.Values{true: {"csrf": {v.csrf}}}[route.Method == http.MethodPost])
			what := role + ": " + route.Method + " " + route.Pattern
			checkHeaders(t, what, a.Header())
			let := a.Code != http.StatusForbidden && a.Code != http.StatusUnauthorized && !strings.HasPrefix(a.Header().Get("Location"), "/admin/login")
			want := route.Access == console.ForAnyone || role == "operator" || role == "viewer" && route.Access == console.ForViewers
			if route.Method+route.Pattern == "POST/admin/login" {
				want = false // without a password
			}
			if let != want || a.Code >= 500 {
				t.Errorf("%s: %d %s, let in: %v, want %v", what, a.Code, a.Header().Get("Location"), let, want)
			}
			if !want && role == "none" && a.Body.Len() > 5000 {
				t.Errorf("%s: %d bytes for somebody unknown", what, a.Body.Len())
			}
		}
	}
	if got := r.row(n.ID); got.State != n.State || got.Generation != n.Generation {
		t.Errorf("an incomplete form changed the notification: %+v", got)
	}
}

func checkHeaders(t *testing.T, what string, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Access-Control-Allow-Origin": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", what, name, got, want)
		}
	}
	policy := h.Get("Content-Security-Policy")
	scripts := regexpScript(policy)
	if !strings.HasPrefix(policy, "default-src 'none';") || !strings.Contains(policy, "frame-ancestors 'none'") ||
		strings.Contains(scripts, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "*") {
		t.Errorf("%s: policy %s", what, policy)
	}
	if cache := h.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("%s: Cache-Control is %q", what, cache)
	}
}

// regexpScript is what a policy says of scripts.
func regexpScript(policy string) string {
	_, rest, _ := strings.Cut(policy, "script-src ")
	scripts, _, _ := strings.Cut(rest, ";")
	return scripts
}

func TestUnknownPaths(t *testing.T) {
	t.Parallel()
	v := newRig(t).operator()
	for target, want := range map[string]int{
		"/admin/none": 404, "/admin/notifications/none": 404, "/admin/notifications/00000000-0000-7000-8000-000000000000": 404,
		"/admin/notifications/{00000000-0000-7000-8000-000000000000}": 404, "/admin/assets/none.css": 404, "/admin/assets/%2e%2e%2fconsole.go": 404,
		"/admin/notifications?state=none": 400, "/admin/notifications?errcode=x": 400, "/admin/notifications?since=x": 400,
		"/admin/notifications?cursor=x": 400, "/admin/notifications?id=x": 400, "/admin/audit?cursor=x": 400, "/admin/dead?since=x": 400,
	} {
		v.want(target, want)
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		if a := v.do(method, "/admin/dead", nil); a.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, a.Code)
		}
	}
}

// asynqmon's page may run the scripts that are in it, and no others.
func TestQueuesPolicy(t *testing.T) {
	t.Parallel()
	v := newRig(t).viewer()
	a := v.get("/admin/queues")
	// echo -n 'run()' | openssl dgst -sha256 -binary | base64
	if got := regexpScript(a.Header().Get("Content-Security-Policy")); got != "'self' 'sha256-AvyuiL0SD1mVY3NNxR+V2uo+lhk6RMFrytWmRt6CrJQ='" {
		t.Errorf("scripts: %s", got)
	}
	if got := v.get("/admin/queues/api/queues").Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the API's type is %s", got)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		name, forwarded, cookie, path string
		secure                        bool
	}{{"plain", "", "wxnotify_console", "/admin", false}, {"behind TLS", "https", "__Host-wxnotify_console", "/", true}} {
		v := r.nobody()
		if c.forwarded != "" {
			v.header.Set("X-Forwarded-Proto", c.forwarded)
		}
		v.login("olga", testPassword)
		got := v.cookies[c.cookie]
		if got == nil || !got.HttpOnly || got.SameSite != http.SameSiteStrictMode || got.Secure != c.secure || got.Path != c.path || got.Domain != "" {
			t.Errorf("%s: %+v", c.name, got)
			continue
		}
		if len(got.Value) != 43 {
			t.Errorf("%s: the cookie holds %d characters, want 256 bits", c.name, len(got.Value))
		}
		v.want("/admin/", http.StatusOK)
		got.Value = strings.Repeat("A", 43)
		v.want("/admin/", http.StatusSeeOther)
	}
}

// A session is every process's, until its user has another password or is gone.
func TestSessionsAreShared(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.operator()
	v.console = r.open()
	v.want("/admin/dead", http.StatusOK)
	r.config.Users = []console.User{{Name: "olga", Password: password.New("another one"), Role: console.Operator}}
	v.console = r.open()
	v.want("/admin/dead", http.StatusSeeOther)
	r.config.Users = []console.User{{Name: "victor", Password: hashed, Role: console.Operator}}
	v.console = r.open()
	v.want("/admin/dead", http.StatusSeeOther)
}

func TestLogout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := r.viewer()
	stolen := *v
	stolen.cookies = map[string]*http.Cookie{}
	maps.Copy(stolen.cookies, v.cookies)
	if a := v.post("/admin/logout"); a.Code != http.StatusSeeOther || len(v.cookies) != 0 {
		t.Errorf("logout: %d, cookies %v", a.Code, v.cookies)
	}
	stolen.want("/admin/", http.StatusSeeOther)
	want := []string{"console:victor logout 192.0.2.7", "console:victor login 192.0.2.7"}
	if diff := cmp.Diff(want, r.audit()); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// A login leads back to where it was needed, and nowhere else.
func TestLoginLeadsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.nobody().get("/admin/notifications?state=dead")
	u, err := url.Parse(a.Header().Get("Location"))
	if err != nil || u.Path != "/admin/login" || u.Query().Get("next") != "/admin/notifications?state=dead" {
		t.Fatalf("to %s", a.Header().Get("Location"))
	}
	for next, want := range map[string]string{
		"/admin/notifications?state=dead": "/admin/notifications?state=dead", "": "/admin/", "https://evil.example/admin/": "/admin/",
		"//evil.example/admin/": "/admin/", `/\evil.example`: "/admin/", `/admin/\evil`: "/admin/", "/metrics": "/admin/", "javascript:alert(1)": "/admin/",
	} {
		v := r.nobody()
		got := v.post("/admin/login", "name", "olga", "password", testPassword, "next", next).Header().Get("Location")
		if got != want {
			t.Errorf("next %q leads to %q, want %q", next, got, want)
		}
	}
}

// Wrong passwords close the way for the user from that address; the right one
// does not open it, and nobody else is kept out.
func TestLockOut(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRig(t, func(c *console.Config) { c.Now = func() time.Time { return now } })
	v := r.nobody()
	var codes []int
	for range 6 {
		codes = append(codes, v.login("olga", "wrong").Code)
	}
	if want := []int{401, 401, 401, 401, 401, 429}; !slices.Equal(codes, want) {
		t.Errorf("answers %v, want %v", codes, want)
	}
	if a := v.login("olga", testPassword); a.Code != http.StatusTooManyRequests || len(v.cookies) != 0 {
		t.Errorf("the right password while locked out: %d", a.Code)
	}
	elsewhere := r.nobody()
	elsewhere.remote = "[2001:db8::1]:1"
	if a := elsewhere.login("olga", testPassword); a.Code != http.StatusSeeOther {
		t.Errorf("from elsewhere: %d", a.Code)
	}
	if a := v.login("victor", testPassword); a.Code != http.StatusSeeOther {
		t.Errorf("another user from there: %d", a.Code)
	}
	now = now.Add(16 * time.Minute)
	if a := v.login("olga", testPassword); a.Code != http.StatusSeeOther {
		t.Errorf("later: %d", a.Code)
	}
	if got := r.audit(); !slices.Contains(got, "console:olga lockout 192.0.2.7") || len(got) != 4 {
		t.Errorf("audit: %q", got)
	}
}

// An address cannot go through the names, and what is typed as a name is not
// put on record.
func TestLockOutOfAnAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	codes := map[int]int{}
	for i := range 22 {
		v := r.nobody()
		codes[v.login("secret-typed-as-name-"+string(rune('a'+i)), "wrong").Code]++
	}
	if codes[401] != 20 || codes[429] != 2 {
		t.Errorf("answers %v", codes)
	}
	if got := r.audit(); len(got) != 1 || got[0] != "(unknown) lockout 192.0.2.7" {
		t.Errorf("audit: %q", got)
	}
}

// A form is taken only with the token of this session, and never from another
// site.
func TestForgedRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := r.dead()
	target := "/admin/notifications/" + n.ID.String() + "/discard"
	for name, forge := range map[string]func(*visitor){
		"no token":         func(v *visitor) { v.csrf = "" },
		"another token":    func(v *visitor) { v.csrf = r.operator().csrf },
		"a cross site":     func(v *visitor) { v.header.Set("Sec-Fetch-Site", "cross-site") },
		"a sibling domain": func(v *visitor) { v.header.Set("Sec-Fetch-Site", "same-site") },
		"an older browser": func(v *visitor) { v.header.Set("Origin", "https://evil.example") },
	} {
		v := r.operator()
		forge(v)
		if a := v.post(target, "generation", "1"); a.Code != http.StatusForbidden {
			t.Errorf("%s: %d", name, a.Code)
		}
	}
	v := r.nobody()
	v.header.Set("Sec-Fetch-Site", "cross-site")
	if a := v.login("olga", testPassword); a.Code != http.StatusForbidden || len(v.cookies) != 0 {
		t.Errorf("a login from another site: %d", a.Code)
	}
	if got := r.actions(n.ID); got != nil {
		t.Errorf("done: %q", got)
	}
	v = r.operator()
	v.header.Set("Sec-Fetch-Site", "same-origin")
	if a := v.post(target, "generation", "1"); a.Code != http.StatusSeeOther {
		t.Errorf("a genuine one: %d", a.Code)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := console.New(console.Config{Users: []console.User{{}, {}}})
	for _, want := range []string{"no Store", "no Redis", "no MaxAge", "without a name", "without a role", "no Pause"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
