package app_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/tokencache"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// canary is in every secret, openid, user id, message text and page query of
// these tests, and in nothing else. Tokens are known by their beginning.
const canary = "LEAK"

var (
	tokenForm = regexp.MustCompile(`92_[A-Za-z0-9_-]{8}`)
	// phoneNumber is in the one place where letters would not get through.
	phoneNumber = "13800138000"
)

// leaks finds what text gives away, in plain or in the encodings that bytes
// take on their way into logs and JSON.
func leaks(text string) []string {
	forms := []string{canary, phoneNumber, hex.EncodeToString([]byte(canary))}
	for offset := range 3 { // base64 looks different at each place of a group
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", offset) + canary + strings.Repeat("x", 3)))
		first, last := (offset*8+5)/6, (offset+len(canary))*8/6
		forms = append(forms, b[first:last])
	}
	var found []string
	for _, f := range forms {
		if i := strings.Index(text, f); i >= 0 {
			found = append(found, text[max(0, i-150):min(len(text), i+60)])
		}
	}
	if at := tokenForm.FindStringIndex(text); at != nil {
		found = append(found, text[max(0, at[0]-150):at[1]])
	}
	return found
}

// search is a count of places that were searched, and the test they fail.
type search struct {
	t      *testing.T
	places map[string]int
	bytes  int
}

func (s *search) in(place, text string) {
	s.t.Helper()
	s.places[place]++
	s.bytes += len(text)
	for _, found := range leaks(text) {
		s.t.Errorf("%s gives away: …%s…", place, found)
	}
}

// The search itself must find what it is for.
func TestLeaksAreFound(t *testing.T) {
	t.Parallel()
	for _, form := range []func(string) string{
		func(s string) string { return s },
		url.QueryEscape,
		func(s string) string { return fmt.Sprintf("%q", s) },
		func(s string) string { return fmt.Sprintf("%x", s) },
		func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		func(s string) string { return base64.URLEncoding.EncodeToString([]byte("?" + s)) },
		func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("??" + s)) },
	} {
		for _, secret := range []string{`{"thing1":"` + leakText(1) + `"}`, leakUser(2), leakOpenID(3)} {
			if text := form(secret); len(leaks(text)) == 0 {
				t.Errorf("nothing is found in %s", text)
			}
		}
	}
	if len(leaks("access_token=92_abcdefghijk")) == 0 || len(leaks("team leak, 92 of 100")) != 0 {
		t.Error("a token is not found, or an ordinary text is")
	}
}

func leakText(i int) string   { return fmt.Sprintf("绝密%s%d", canary, i) }
func leakUser(i int) string   { return fmt.Sprintf("wang-%s-%d", canary, i) }
func leakPage(i int) string   { return fmt.Sprintf("/pages/detail/index?name=%s%d&id=7", canary, i) }
func leakOpenID(i int) string { return fmt.Sprintf("o%s-%022d", canary, i) }

const leakPassword = canary + "-admin-password"

// leakApp is one of the apps of these tests. Each token fault has one of its
// own, since it pauses the app.
func leakApp(i int) simulator.App {
	a := simulator.SeedApp()
	a.AppID = fmt.Sprintf("wx%016d", i)
	a.Secret = fmt.Sprintf("%s%028d", canary, i)
	return a
}

// failure is one way in which a send fails.
type failure struct {
	name  string
	fault *simulator.Fault
	// errcode is what its first attempt must have on record.
	errcode int
	kind    wechat.Kind
}

// echo is a text that gives away what the call was about, as WeChat's or a
// gateway's may.
func echo(i int, token string) string {
	return fmt.Sprintf("refused: touser %s name %s page %s or %s, options %s, /cgi-bin/message/subscribe/send?access_token=%s",
		leakOpenID(i), leakText(i), leakPage(i), strings.TrimPrefix(leakPage(i), "/"), strings.SplitN(leakPage(i), "?", 2)[1], token)
}

// sendPaths are all ways in which a send can fail once it was written.
func sendPaths(token string) []failure {
	var list []failure
	add := func(name string, errcode int, kind wechat.Kind, f simulator.Fault) {
		f.API, f.OpenID = simulator.APISend, leakOpenID(len(list))
		list = append(list, failure{name, &f, errcode, kind})
	}
	said := func() string { return echo(len(list), token) }
	for i, e := range wechat.Errcodes {
		if e.Code != 0 {
			add(fmt.Sprintf("errcode %d", e.Code), e.Code, e.Kind,
				simulator.Fault{Action: simulator.ActErrcode, Errcode: e.Code, Errmsg: said(), AsString: i%2 == 0})
		}
	}
	add("undocumented errcode", 99999, wechat.KindUnknown, simulator.Fault{Action: simulator.ActErrcode, Errcode: 99999, Errmsg: said()})
	add("field named", 47003, wechat.KindRejected, simulator.Fault{Action: simulator.ActErrcode, Errcode: 47003, Errmsg: "argument invalid! data.thing1.value " + said()})
	add("dropped", 0, wechat.KindInDoubt, simulator.Fault{Action: simulator.ActDrop})
	add("dropped after", 0, wechat.KindInDoubt, simulator.Fault{Action: simulator.ActDrop, After: true})
	add("cut", 0, wechat.KindInDoubt, simulator.Fault{Action: simulator.ActCut})
	add("hanging", 0, wechat.KindInDoubt, simulator.Fault{Action: simulator.ActHang})
	add("empty", 0, wechat.KindUnsure, simulator.Fault{Action: simulator.ActEmpty})
	add("truncated", 0, wechat.KindUnsure, simulator.Fault{Action: simulator.ActTruncated})
	add("long", 0, wechat.KindUnsure, simulator.Fault{Action: simulator.ActLong, Size: 1 << 20})
	status := func(code int, kind wechat.Kind, header map[string]string) {
		add(fmt.Sprintf("HTTP %d", code), 0, kind, simulator.Fault{
			Action: simulator.ActStatus, Status: code, Header: header, Body: "<html>" + said() + "</html>",
		})
	}
	status(200, wechat.KindUnsure, nil)
	status(302, wechat.KindUnsure, map[string]string{"Location": "http://127.0.0.1:1/" + canary + "?access_token=" + token})
	status(403, wechat.KindUnsure, nil)
	status(412, wechat.KindBusy, nil)
	status(500, wechat.KindUnsure, map[string]string{"X-Echo": canary})
	status(502, wechat.KindUnsure, nil)
	status(503, wechat.KindBusy, map[string]string{"Retry-After": "30"})
	return list
}

// tokenFaults are the ways in which a token fetch can fail.
func tokenFaults(secret string) []simulator.Fault {
	return []simulator.Fault{
		{Action: simulator.ActErrcode, Errcode: 40125, Errmsg: "invalid appsecret " + secret},
		{Action: simulator.ActErrcode, Errcode: 40164, Errmsg: "invalid ip 198.51.100.7, secret=" + secret},
		{Action: simulator.ActErrcode, Errcode: -1, Errmsg: "system error " + secret},
		{Action: simulator.ActErrcode, Errcode: 45009, Errmsg: secret},
		{Action: simulator.ActStatus, Status: 502, Body: "<html>" + secret + "</html>"},
		{Action: simulator.ActStatus, Status: 200, Body: `{"access_token":"` + secret + ` ","expires_in":"` + secret + `"}`},
		{Action: simulator.ActDrop},
		{Action: simulator.ActTruncated},
	}
}

// leakRig is a worker process, all of whose secrets have the canary in them.
type leakRig struct {
	*rig
	proxy  *dbProxy
	traces *collector
	worker *child
	admin  string
	token  string // of the first app
}

// newLeakRig starts a worker for one app that works, one that is left to work
// when the first is paused, and one for each token fault.
func newLeakRig(t *testing.T, env map[string]string, faults int) *leakRig {
	t.Helper()
	apps := make([]simulator.App, 2+faults)
	var yaml strings.Builder
	yaml.WriteString("apps:\n")
	for i := range apps {
		apps[i] = leakApp(i)
		fmt.Fprintf(&yaml, "  - appid: %s\n    secret: %s\n    default: %t\n", apps[i].AppID, apps[i].Secret, i == 0)
	}
	fmt.Fprintf(&yaml, "admin_users:\n  - {name: %s, password_hash: '%s', role: viewer}\n", leakViewer, password.New(leakPassword))
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(yaml.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": leakPassword, "test redis password": canary + "redispassword",
		"SEND_TIMEOUT": "8s", "IN_DOUBT_WAIT": "1s", "WXNOTIFY_CONFIG": file,
	}
	maps.Copy(all, env)
	r := &leakRig{rig: newRig(t, simulator.Config{Apps: apps}, all), traces: startCollector(t)}
	maps.Copy(r.env, r.traces.env())
	delete(r.env, "WECHAT_APPID")
	delete(r.env, "WECHAT_SECRET")
	r.proxy = startProxy(t, r.databaseURL)
	r.env["DATABASE_URL"] = r.proxy.url
	for i := range faults {
		f := tokenFaults(apps[2+i].Secret)[i]
		f.API, f.AppID = simulator.APIStableToken, apps[2+i].AppID
		r.fault(f)
	}
	r.worker = r.spawn()
	r.admin = r.worker.field("worker runs", "admin_addr")
	for _, a := range apps[:2] {
		eventually(t, "the token is shared", func() (err error) {
			r.token, err = r.rdb.Get(t.Context(), tokencache.DefaultPrefix+"{"+a.AppID+"}").Result()
			return err
		})
	}
	if !tokenForm.MatchString(r.token) {
		t.Fatal("a token does not look as the search expects")
	}
	return r
}

// burst puts every way to fail into flight at once, since the first account
// fault pauses the app, and returns what was sent. Half of them go to a user id.
func (r *leakRig) burst(paths []failure) []sent {
	r.t.Helper()
	r.sim.SetLatency(5 * time.Second)
	for i, p := range paths {
		r.fault(*p.fault)
		if i%2 == 0 {
			b := store.Binding{App: r.app.AppID, UserID: leakUser(i), OpenID: leakOpenID(i)}
			if _, err := r.store.Bind(r.t.Context(), []store.Binding{b}); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	list := r.send(len(paths), func(i int, n *producer.Notification) {
		n.OpenID, n.Page, n.Data["thing1"] = leakOpenID(i), leakPage(i), leakText(i)
		if i%2 == 0 {
			n.OpenID, n.UserID = "", leakUser(i)
		}
		if i%3 == 0 {
			n.Duplicates = store.DuplicatesAvoid
		}
	})
	r.awaitSim("all are in flight", func(s simulator.State) bool { return s.InFlight >= len(paths) })
	return list
}

// awaitBurst waits until every call was answered and checks that each went the
// way it was meant to.
func (r *leakRig) awaitBurst(paths []failure, list []sent) {
	r.t.Helper()
	eventually(r.t, "every call is settled", func() error {
		for i, s := range list {
			if n, as := r.get(s.id); n.State == store.Sending || len(as) == 0 {
				return fmt.Errorf("%s: %s, %d attempts", paths[i].name, n.State, len(as))
			}
		}
		return nil
	})
	r.sim.SetLatency(0)
	for i, p := range paths {
		_, as := r.get(list[i].id)
		if as[0].Errcode != p.errcode || as[0].Outcome != p.kind.String() {
			r.t.Errorf("%s: errcode %d, %s; want %d, %s", p.name, as[0].Errcode, as[0].Outcome, p.errcode, p.kind)
		}
	}
}

// Nothing that failed gives away a secret, a token, an openid, a user id, a
// message or a page's query: not in a log, a row, an error text in Redis, the
// console, the metrics or the health.
func TestFailuresLeakNothing(t *testing.T) {
	t.Parallel()
	r := newLeakRig(t, nil, len(tokenFaults("")))
	s := &search{t: t, places: map[string]int{}}

	raw := r.rawFailures()
	unbound := r.send(1, func(_ int, n *producer.Notification) { n.OpenID, n.UserID = "", leakUser(999) })
	r.awaitDrained()
	paths := sendPaths(r.token)
	list := r.burst(paths)
	r.console(s, "in flight")
	r.awaitBurst(paths, list)

	pausing := r.tokenFailures()
	waiting := r.send(3, func(i int, n *producer.Notification) { n.OpenID, n.Data["thing1"] = leakOpenID(500+i), leakText(500) })
	r.raw(`{"template_id":"t","openid":"` + leakOpenID(900) + `","page":"` + leakPage(900) + `","data":{"张三 ` + canary + `":"1","` + canary + `12":"` + leakText(900) + `"}}`)
	r.console(s, "paused")
	held := r.storeAway(s)
	lost := r.unreachable()
	r.console(s, "at the end")
	r.lastErrors(s)

	list = append(append(append(append(append(list, raw...), unbound...), pausing...), waiting...), held, lost)
	for _, k := range list {
		n, as := r.get(k.id)
		s.in("a row", strings.Join([]string{n.Errmsg, n.Field, string(n.Reason), string(n.Class), n.Queue}, "\n"))
		for _, a := range as {
			s.in("an attempt", strings.Join([]string{a.Errmsg, a.RID, a.Outcome}, "\n"))
		}
	}
	r.redis.stop()
	eventually(t, "the worker misses Redis", func() error {
		if strings.Contains(r.worker.log.String(), `"part is away","part":"redis"`) {
			return nil
		}
		return errors.New("not yet")
	})
	r.worker.terminate()
	r.traces.search(s)
	log := r.worker.log.String()
	s.in("the log", log)
	for _, text := range []string{`"level":"debug"`, "app paused", "no access token", "store does not answer", "task cannot be sent"} {
		if !strings.Contains(log, text) {
			t.Errorf("the log has no %q: a path was not gone", text)
		}
	}
	for place, least := range map[string]int{"a row": len(paths), "an attempt": len(paths), "a span": 4 * len(paths), "an error text in Redis": 20, "/archived_tasks": 3, "/retry_tasks": 3} {
		if s.places[place] < least {
			t.Errorf("%s: %d searched, want at least %d", place, s.places[place], least)
		}
	}
	t.Logf("%d ways to fail; searched %d bytes of %v", len(paths)+len(raw)+len(pausing)+3, s.bytes, s.places)
}

// rawFailures puts tasks on the queue that cannot be read.
func (r *leakRig) rawFailures() []sent {
	r.t.Helper()
	var list []sent
	for _, payload := range []string{
		canary,
		`{"template_id":"` + canary,
		`{"data":{"thing1":{"value":["` + leakText(1) + `"]}},"openid":"` + leakOpenID(1) + `"}`,
		`{"template_id":"t","user_id":{"name":"` + leakUser(1) + `"},"data":{"thing1":"` + leakText(1) + `"}}`,
		`{"template_id":"t","user_id":"` + leakUser(1) + strings.Repeat("x", 200) + `","data":{"张三 ` + canary + `":[]}}`,
		`{"template_id":"t","user_id":"` + leakUser(1) + `","openid":"` + leakOpenID(1) + `","data":{"thing1":"` + leakText(1) + `\u0000"}}`,
		`{"template_id":"t","app":"wxother","user_id":"` + leakUser(1) + `","data":{"thing1":"` + leakText(1) + `"}}`,
		`{"id":"` + phoneNumber + strings.Repeat("-", 36-len(phoneNumber)) + `","user_id":"` + leakUser(1) + `"}`,
		`{"lang":"` + canary + `","miniprogram_state":"` + canary + `","page":"` + leakPage(1) + `"}`,
	} {
		list = append(list, r.raw(payload))
	}
	r.raw(`{"user_id":"`+leakUser(1)+`"}`, asynq.TaskID(task.ID(missingRow, 1)))
	return append(list, sent{id: missingRow})
}

// missingRow is the id of a row that does not exist.
var missingRow = uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057")

// raw puts a task on the queue as any asynq client may.
func (r *rig) raw(payload string, opts ...asynq.Option) sent {
	r.t.Helper()
	client := asynq.NewClientFromRedisClient(r.rdb)
	info, err := client.EnqueueContext(r.t.Context(), asynq.NewTask(task.Type, []byte(payload)), append(opts, asynq.Queue(defaultQueue))...)
	if err != nil {
		r.t.Fatal(err)
	}
	return sent{id: task.RawID(defaultQueue, info.ID)}
}

// tokenFailures sends one message with each app that gets no token and waits
// until all these apps are paused for it, or back off.
func (r *leakRig) tokenFailures() []sent {
	r.t.Helper()
	n := len(tokenFaults(""))
	list := r.send(n, func(i int, n *producer.Notification) {
		n.App, n.OpenID, n.Data["thing1"] = leakApp(2+i).AppID, leakOpenID(600+i), leakText(600+i)
	})
	eventually(r.t, "these apps are paused", func() error {
		_, got := askReady(r.t, r.admin)
		paused := 0
		for _, d := range got.Degraded {
			if d.Part == "app" {
				paused++
			}
		}
		if paused != n+1 { // and the first app
			return fmt.Errorf("%+v", got.Degraded)
		}
		return nil
	})
	return list
}

// storeAway takes the store away while a call is in flight, so that its answer
// is held.
func (r *leakRig) storeAway(s *search) sent {
	r.t.Helper()
	openID := leakOpenID(700)
	r.fault(simulator.Fault{API: simulator.APISend, OpenID: openID, Action: simulator.ActLatency, Latency: time.Second, Count: 1})
	list := r.send(1, func(_ int, n *producer.Notification) {
		n.App, n.OpenID, n.Data["thing1"] = leakApp(1).AppID, openID, leakText(700)
	})
	r.awaitSim("a call is in flight", func(s simulator.State) bool { return s.InFlight > 0 })
	r.proxy.cut()
	eventually(r.t, "the answer is held", func() error {
		p := ask(r.t, "GET", r.admin+"/readyz", "")
		s.in("/readyz", p.body)
		if p.status != http.StatusServiceUnavailable || !strings.Contains(p.body, `"part":"store"`) {
			return errors.New(p.body)
		}
		return nil
	})
	r.proxy.join()
	eventually(r.t, "the answer is written", func() error {
		if n, _ := r.get(list[0].id); n.State != store.Sent {
			return fmt.Errorf("it is %s", n.State)
		}
		return nil
	})
	return list[0]
}

// unreachable sends when nobody listens.
func (r *leakRig) unreachable() sent {
	r.t.Helper()
	r.stopWeChat()
	list := r.send(1, func(_ int, n *producer.Notification) {
		n.App, n.OpenID, n.Data["thing1"] = leakApp(1).AppID, leakOpenID(800), leakText(800)
	})
	eventually(r.t, "nobody is reached", func() error {
		if _, as := r.get(list[0].id); len(as) == 0 || as[0].Outcome != wechat.KindUnreachable.String() {
			return fmt.Errorf("%+v", as)
		}
		return nil
	})
	return list[0]
}

// leakViewer is a user of the console who is not to see anything personal.
const leakViewer = "victor"

var notificationLink = regexp.MustCompile(`/admin/notifications/[0-9a-f-]{36}`)

// viewer searches the console's pages as a viewer sees them.
func (r *leakRig) viewer(s *search) {
	r.t.Helper()
	links := map[string]bool{}
	for _, path := range []string{"/admin/", "/admin/notifications", "/admin/dead", "/admin/refused", "/admin/templates", "/admin/users", "/admin/pauses", "/admin/audit"} {
		p := askAs(r.t, "GET", r.admin+path, leakViewer, leakPassword)
		if p.status != http.StatusOK {
			r.t.Fatalf("%s: %d", path, p.status)
		}
		s.in("console "+path, p.body)
		for _, link := range notificationLink.FindAllString(p.body, -1) {
			links[link] = true
		}
	}
	if len(links) < 20 {
		r.t.Errorf("the console links %d notifications", len(links))
	}
	for link := range links {
		s.in("console, one notification", askAs(r.t, "GET", r.admin+link, leakViewer, leakPassword).body)
	}
}

// console searches everything the admin listener shows.
func (r *leakRig) console(s *search, when string) {
	r.t.Helper()
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/admin/queues", "/admin/queues/api/servers", "/admin/queues/api/redis_info", "/admin/queues/api/queue_stats"} {
		s.in(path, ask(r.t, "GET", r.admin+path, leakPassword).body)
	}
	var queues struct{ Queues []struct{ Queue string } }
	if err := json.Unmarshal([]byte(ask(r.t, "GET", r.admin+"/admin/queues/api/queues", leakPassword).body), &queues); err != nil {
		r.t.Fatal(err)
	}
	if len(queues.Queues) == 0 {
		r.t.Fatal("the console shows no queues")
	}
	seen := map[string]int{}
	for _, q := range queues.Queues {
		for _, list := range []string{"active_tasks", "pending_tasks", "scheduled_tasks", "retry_tasks", "archived_tasks", "completed_tasks"} {
			p := ask(r.t, "GET", r.admin+"/admin/queues/api/queues/"+url.PathEscape(q.Queue)+"/"+list+"?size=500", leakPassword)
			var tasks struct {
				Tasks []struct{ ID string }
			}
			if err := json.Unmarshal([]byte(p.body), &tasks); p.status != http.StatusOK || err != nil {
				r.t.Fatalf("%s of %s: %d %v", list, q.Queue, p.status, err)
			}
			s.in("/"+list, p.body)
			seen[list] += len(tasks.Tasks)
			for _, one := range tasks.Tasks[:min(3, len(tasks.Tasks))] {
				s.in("/tasks", ask(r.t, "GET", r.admin+"/admin/queues/api/queues/"+url.PathEscape(q.Queue)+"/tasks/"+url.PathEscape(one.ID), leakPassword).body)
			}
		}
	}
	r.t.Logf("%s: %v", when, seen)
	for list, least := range map[string]map[string]int{"in flight": {"active_tasks": 60, "archived_tasks": 10}, "paused": {"pending_tasks": 1, "archived_tasks": 20}}[when] {
		if seen[list] < least {
			r.t.Errorf("%s: %d %s were shown, want at least %d", when, seen[list], list, least)
		}
	}
	r.viewer(s) // last: what is in flight does not wait for it
}

// lastErrors searches the error texts that asynq keeps.
func (r *leakRig) lastErrors(s *search) {
	r.t.Helper()
	inspector := r.inspector()
	queues, err := inspector.Queues()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, q := range queues {
		for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			inspector.ListArchivedTasks, inspector.ListRetryTasks, inspector.ListPendingTasks, inspector.ListActiveTasks, inspector.ListScheduledTasks,
		} {
			tasks, err := list(q, asynq.PageSize(1000))
			if err != nil {
				r.t.Fatal(err)
			}
			for _, info := range tasks {
				if info.LastErr != "" {
					s.in("an error text in Redis", info.LastErr)
				}
			}
		}
	}
}

// With TASK_PAYLOAD=id Redis holds nothing about anybody, whatever happens; the
// shared token is there because that is where the fleet shares it.
func TestRedisHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	r := newLeakRig(t, map[string]string{"TASK_PAYLOAD": "id"}, 0)
	s := &search{t: t, places: map[string]int{}}
	paths := sendPaths(r.token)
	list := r.burst(paths)
	look := func(when string) {
		t.Helper()
		for key, v := range r.redis.everything(t) {
			if !strings.HasPrefix(key, tokencache.DefaultPrefix) {
				s.in("Redis, "+when, key+" = "+v)
			}
		}
	}
	look("in flight")
	r.awaitBurst(paths, list)
	r.send(5, func(i int, n *producer.Notification) { n.OpenID, n.Data["thing1"] = leakOpenID(500+i), leakText(500+i) })
	r.send(5, func(i int, n *producer.Notification) {
		n.OpenID, n.Data["thing1"], n.Delay = leakOpenID(510+i), leakText(510+i), time.Second
	})
	eventually(t, "Relay has handed over what was in doubt or due later", func() error {
		for _, k := range list {
			if n, _ := r.get(k.id); n.State == store.InDoubt || n.State == store.Queued && !n.HandoverAt.IsZero() {
				return fmt.Errorf("%s is %s", k.id, n.State)
			}
		}
		return nil
	})
	look("afterwards")
	if s.places["Redis, in flight"] < len(paths) || s.places["Redis, afterwards"] < 20 {
		t.Errorf("too little was searched: %v", s.places)
	}
	t.Logf("searched %d bytes of %v", s.bytes, s.places)
}
