package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap/zaptest"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

const (
	testApp      = "wx0000000000000001"
	otherApp     = "wx0000000000000002"
	testTemplate = "template-1"
	testPassword = "correct horse battery"
)

// hashed is the hash of testPassword, of the least cost: a hundred logins with
// the usual one would take minutes under the race detector.
var hashed = parsed("$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiB0aGUgdGVzdHM$1vwIaY4SY+vv0zpqP7Kx7A")

func parsed(text string) password.Hash {
	h, err := password.Parse(text)
	if err != nil {
		panic(err)
	}
	return h
}

// rig is a console with a store and a Redis of its own.
type rig struct {
	*testing.T
	store   *sqlite.Store
	redis   *miniredis.Miniredis
	config  console.Config
	console *console.Console
	paused  map[string]*console.Pause
	woken   int
}

func newRig(t *testing.T, edits ...func(*console.Config)) *rig {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "wxnotify.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, store: s, redis: miniredis.RunT(t), paused: map[string]*console.Pause{}}
	rdb := redis.NewClient(&redis.Options{Addr: r.redis.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	r.config = console.Config{
		Users: []console.User{
			{Name: "olga", Password: hashed, Role: console.Operator},
			{Name: "victor", Password: hashed, Role: console.Viewer},
		},
		Store: s, Redis: rdb, Apps: []string{testApp, otherApp}, DefaultApp: testApp, MaxAge: time.Hour,
		Pause:    func(_ context.Context, app string) (*console.Pause, error) { return r.paused[app], nil },
		EndPause: func(_ context.Context, app string) error { delete(r.paused, app); return nil },
		Explain:  func(int, bool) console.Explanation { return console.Explanation{Meaning: "meaning", Do: "do"} },
		Wake:     func() { r.woken++ },
		Queues:   http.HandlerFunc(fakeQueues),
		Zone:     time.UTC, Logger: zaptest.NewLogger(t),
	}
	for _, edit := range edits {
		edit(&r.config)
	}
	r.console = r.open()
	return r
}

// fakeQueues stands for asynqmon: a page with a script within, and an API.
func fakeQueues(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, console.QueuesPath+"/api/") {
		_, _ = w.Write([]byte(`{"queues":[]}`))
		return
	}
	_, _ = w.Write([]byte("<html><script>run()</script></html>"))
}

// open makes another console like that of the rig, as another process does.
func (r *rig) open() *console.Console {
	r.Helper()
	c, err := console.New(r.config)
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// visitor is a browser without a screen.
type visitor struct {
	*rig
	console *console.Console
	cookies map[string]*http.Cookie
	csrf    string
	header  http.Header // of every request
	remote  string
}

func (r *rig) nobody() *visitor {
	return &visitor{rig: r, console: r.console, cookies: map[string]*http.Cookie{}, header: http.Header{}, remote: "192.0.2.7:4711"}
}

// as is a visitor who has logged in.
func (r *rig) as(name string) *visitor {
	r.Helper()
	v := r.nobody()
	if a := v.login(name, testPassword); a.Code != http.StatusSeeOther {
		r.Fatalf("login of %s: %d %s", name, a.Code, a.Body)
	}
	v.csrf = v.token()
	return v
}

func (r *rig) operator() *visitor { return r.as("olga") }
func (r *rig) viewer() *visitor   { return r.as("victor") }

func (v *visitor) do(method, target string, form url.Values) *httptest.ResponseRecorder {
	v.Helper()
	req := httptest.NewRequestWithContext(v.Context(), method, target, strings.NewReader(form.Encode()))
	req.Header = v.header.Clone()
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.RemoteAddr = v.remote
	for _, c := range v.cookies {
		req.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.console.ServeHTTP(w, req)
	for _, c := range w.Result().Cookies() {
		if v.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		}
	}
	return w
}

func (v *visitor) get(target string) *httptest.ResponseRecorder {
	v.Helper()
	return v.do(http.MethodGet, target, nil)
}

// post posts a form with the visitor's token.
func (v *visitor) post(target string, pairs ...string) *httptest.ResponseRecorder {
	v.Helper()
	form := url.Values{"csrf": {v.csrf}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return v.do(http.MethodPost, target, form)
}

func (v *visitor) login(name, password string) *httptest.ResponseRecorder {
	v.Helper()
	return v.post("/admin/login", "name", name, "password", password)
}

var tokenField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// token is what the forms of a page carry.
func (v *visitor) token() string {
	v.Helper()
	m := tokenField.FindStringSubmatch(v.want("/admin/", http.StatusOK))
	if m == nil {
		v.Fatal("no form has a token")
	}
	return m[1]
}

// want gets a page and returns its text.
func (v *visitor) want(target string, status int) string {
	v.Helper()
	a := v.get(target)
	if a.Code != status {
		v.Fatalf("%s: %d, want %d\n%s", target, a.Code, status, a.Body)
	}
	return a.Body.String()
}

// accept inserts a notification to an openid.
func (r *rig) accept(edits ...func(*store.Notification)) store.Notification {
	r.Helper()
	a := store.Acceptance{MaxAge: time.Hour, Notification: store.Notification{
		ID: uuid.Must(uuid.NewV7()), App: testApp, TemplateID: testTemplate, OpenID: "openid-1", Page: "pages/a?id=7",
		Data: map[string]string{"thing1": "text"}, Duplicates: store.DuplicatesAllow, Generation: 1,
	}}
	for _, edit := range edits {
		edit(&a.Notification)
	}
	inserted, err := r.store.Insert(r.Context(), []store.Acceptance{a})
	if err != nil || inserted[0].Err != nil {
		r.Fatalf("insert: %v %+v", err, inserted)
	}
	return r.row(a.Notification.ID)
}

// settle claims a notification and ends its attempt.
func (r *rig) settle(n store.Notification, edit func(*store.Settlement)) store.Notification {
	r.Helper()
	claim := store.Claim{ID: n.ID, Generation: n.Generation, Owner: uuid.New(), Lease: time.Minute}
	results, err := r.store.Commit(r.Context(), store.Batch{Claims: []store.Claim{claim}})
	if err != nil || !results.Claims[0].OK {
		r.Fatalf("claim: %v %+v", err, results)
	}
	s := store.Settlement{
		ID: n.ID, Seq: results.Claims[0].Look.Seq, State: store.Dead, Class: store.ClassFault, Reason: store.ReasonRejected, Field: "thing1",
		Attempt: store.Attempt{At: time.Now(), Latency: time.Millisecond, Outcome: "rejected", Errcode: 47003, Errmsg: "argument invalid"},
	}
	edit(&s)
	if _, err := r.store.Commit(r.Context(), store.Batch{Settlements: []store.Settlement{s}}); err != nil {
		r.Fatal(err)
	}
	return r.row(n.ID)
}

// dead is a dead letter that WeChat rejected.
func (r *rig) dead() store.Notification {
	r.Helper()
	return r.settle(r.accept(), func(*store.Settlement) {})
}

// doubtful is one that died in doubt.
func (r *rig) doubtful() store.Notification {
	r.Helper()
	return r.settle(r.accept(), func(s *store.Settlement) {
		s.Reason, s.Attempt.Outcome, s.Attempt.Errcode, s.Field = store.ReasonInDoubt, "unsure", 0, ""
	})
}

func (r *rig) row(id uuid.UUID) store.Notification {
	r.Helper()
	n, _, err := r.store.Get(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	return n
}

// actions are what people did to a notification: actor, verb and detail.
func (r *rig) actions(id uuid.UUID) (lines []string) {
	r.Helper()
	actions, err := r.store.Actions(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	for _, a := range actions {
		lines = append(lines, fmt.Sprintf("%s %s %s", a.Actor, a.Verb, a.Detail))
	}
	return lines
}

// audit is the audit without the actions, the newest first.
func (r *rig) audit() (lines []string) {
	r.Helper()
	var f store.AuditFilter
	for {
		entries, err := r.store.Audit(r.Context(), f)
		if err != nil {
			r.Fatal(err)
		}
		for _, e := range entries {
			if e.NotificationID == uuid.Nil {
				lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Actor, e.Verb, e.Subject, e.Detail)))
			}
			f.Before = store.AfterEntry(e)
		}
		if len(entries) < f.PageSize() {
			return lines
		}
	}
}
