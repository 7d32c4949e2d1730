package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// checks returns the last column of the samples' table by title.
func checks(t *testing.T, stdout string) map[string]string {
	t.Helper()
	found := map[string]string{}
	header := ""
	for text := range strings.Lines(stdout) {
		if header == "" {
			header = text
		}
		for _, s := range samples() {
			if !strings.HasPrefix(text, s.title+" ") {
				continue
			}
			fields := strings.Split(strings.TrimSpace(text), "  ")
			found[s.title] = strings.TrimSpace(fields[len(fields)-1])
		}
	}
	if len(found) != len(samples()) || !strings.HasSuffix(header, "CHECK\n") {
		t.Fatalf("the table does not show every sample:\n%s", stdout)
	}
	return found
}

func TestDevOnce(t *testing.T) {
	t.Parallel()
	// Nothing listens on port 1: whoever called WeChat there would fail.
	real := shell{env: map[string]string{
		"WECHAT_APPID": "wxreal", "WECHAT_SECRET": "r34l-secret", "WECHAT_API_BASE_URL": "http://127.0.0.1:1",
		"REDIS_URL": "not a URL", "DATABASE_URL": "mysql://elsewhere", "WXNOTIFY_CONFIG": "/no/such/file",
	}}
	got := real.run(t, "dev", "--once", "--wechat-appid", "wxother", "--config", "/no/such/file")
	if got.code != exitOK {
		t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for title, check := range checks(t, got.stdout) {
		if check != "ok" {
			t.Errorf("%s: got %q, want ok", title, check)
		}
	}
	for _, want := range []string{"10 of 10 samples", "1 waiting, 7 sent, 2 dead", "accepted 7 in this run", "40001, ok", "43108, ok", "rejected: thing1"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("stdout: %q is missing in\n%s", want, got.stdout)
		}
	}
	var said string
	for text := range strings.Lines(got.stderr) {
		if strings.HasPrefix(text, "Not used by dev") {
			said = text
		}
	}
	for _, name := range []string{"--config", "--wechat-appid", "WECHAT_APPID", "WECHAT_SECRET", "WECHAT_API_BASE_URL", "REDIS_URL", "DATABASE_URL", "WXNOTIFY_CONFIG"} {
		if !strings.Contains(said, name) {
			t.Errorf("%s is not said to be unused: %q", name, said)
		}
	}
	if strings.Contains(got.stdout+got.stderr, "r34l-secret") {
		t.Error("a secret is shown")
	}
}

func TestDevWithDataSendsSamplesOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	shell{}.must(t, "dev", "--once", "--data", dir)
	again := shell{}.must(t, "dev", "--once", "--data", dir)
	for title, check := range checks(t, again) {
		if check != "ok, earlier" {
			t.Errorf("%s: got %q, want ok, earlier", title, check)
		}
	}
	if !strings.Contains(again, "accepted 0 in this run") {
		t.Errorf("something was sent again:\n%s", again)
	}
	if _, err := os.Stat(filepath.Join(dir, "dev.log")); err != nil {
		t.Errorf("the log: %v", err)
	}
}

// A row under a sample's ref with other content makes the store and the samples
// differ.
func TestDevFailsWhenASampleDiffers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDevStore(t, dir)
	if err := s.Migrate(t.Context(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Insert(t.Context(), []store.Acceptance{{
		Notification: store.Notification{
			ID: uuid.Must(uuid.NewV7()), App: simulator.SeedApp().AppID, Producer: app.DevProducer, Ref: "dev-sample-5",
			ContentHash: []byte("other"), TemplateID: "other", UserID: "nobody", Data: map[string]string{"thing1": "x"},
			Priority: store.Default, Duplicates: store.DuplicatesAllow, State: store.Queued, Receipt: store.ReceiptNone, Generation: 1,
		},
		MaxAge: time.Hour,
	}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	got := shell{}.run(t, "dev", "--once", "--data", dir)
	if got.code != exitFailed || !strings.Contains(got.stderr, "1 of 10 samples did not go as they should") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
	for title, check := range checks(t, got.stdout) {
		if want := title == "工单完成提醒"; strings.HasPrefix(check, "DIFFERS: ") != want {
			t.Errorf("%s: got %q", title, check)
		}
	}
}

// The link to a dead letter is the console's, which knows it also in a second
// run, whose embedded Redis is empty.
func TestDevLinksTheDeadLetter(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	dir := t.TempDir()
	for run := range 2 {
		dev := shell{}.start(t, "dev", "--data", dir, "--admin-addr", "127.0.0.1:0")
		dev.stderr.await(ctx, t, "Running")
		text := dev.stdout.String()
		if !regexp.MustCompile(`/admin/notifications/[0-9a-f-]{36}\s+the dead letter of the bad field`).MatchString(text) {
			t.Errorf("run %d: the dead letter is not linked:\n%s", run+1, text)
		}
		for _, want := range []string{"in this folder, a clone of wxnotify", `"errcode":43108,"count":2`, `/metrics | grep 'errcode="43108"'`} {
			if !strings.Contains(text, want) {
				t.Errorf("run %d: %q is missing in\n%s", run+1, want, text)
			}
		}
		if code := dev.stop(ctx, t); code != exitOK {
			t.Fatalf("run %d: exit code %d, stderr:\n%s", run+1, code, &dev.stderr)
		}
	}
}

func TestDevHelpMarksWhatIsForLive(t *testing.T) {
	t.Parallel()
	help := shell{}.must(t, "dev", "--help")
	for flag, marked := range map[string]bool{"config": true, "wechat-appid": true, "wechat-api-base-url": true, "yes": true, "concurrency": false, "data": false} {
		_, rest, _ := strings.Cut(help, "--"+flag+" ")
		text, _, _ := strings.Cut(rest, "\n")
		if got := strings.Contains(text, "with --live: "); text == "" || got != marked {
			t.Errorf("--%s: got %q, marked is %t", flag, text, marked)
		}
	}
	if got := (shell{}).must(t, "config", "--help"); strings.Contains(got, "--live") {
		t.Errorf("config --help speaks of --live:\n%s", got)
	}
}

func openDevStore(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "wxnotify.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// script posts an order to a simulator.
func script(t *testing.T, simURL, path string, order any) {
	t.Helper()
	body, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(simURL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, res.Status)
	}
}

// awaitState polls a simulator of another process until ok.
func awaitState(ctx context.Context, t *testing.T, simURL string, ok func(simulator.State) bool) {
	t.Helper()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, simURL+"state", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("the simulator's state did not come about: %v", err)
		}
		var s simulator.State
		err = json.NewDecoder(res.Body).Decode(&s)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if ok(s) {
			return
		}
	}
}

// enqueueRaw puts a task on a queue as any asynq client does.
func enqueueRaw(t *testing.T, redisURL string, payload string) {
	t.Helper()
	redis, err := asynq.ParseRedisURI(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	c := asynq.NewClient(redis)
	defer c.Close()
	if _, err := c.Enqueue(asynq.NewTask(task.Type, []byte(payload))); err != nil {
		t.Fatal(err)
	}
}

const rawPayload = `{"template_id":"` + simulator.SeedReport + `","page":"p","user_id":"zhangwei","data":{"thing1":"a","thing2":"b"}}`

// A task whose call hangs when dev is stopped is in doubt; the next dev on the
// same directory ends the doubt and sends it.
func TestDevGoesOnAfterAStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	dir := t.TempDir()
	dev := shell{}.start(t, "dev", "--data", dir, "--send-timeout", "1s")
	urls := dev.stderr.await(ctx, t, `Simulated WeChat: (\S+)  embedded Redis: (\S+)`)
	dev.stderr.await(ctx, t, "Running")
	if second := (shell{}).run(t, "dev", "--once", "--data", dir); second.code != exitFailed ||
		!strings.Contains(second.stderr, dir+" is in use by another wxnotify") {
		t.Errorf("a second dev: exit code %d, %q", second.code, second.stderr)
	}
	script(t, urls[1], "faults", simulator.Fault{API: simulator.APISend, Action: simulator.ActHang})
	enqueueRaw(t, urls[2], rawPayload)
	awaitState(ctx, t, urls[1], func(s simulator.State) bool { return s.Hanging == 1 })
	if code := dev.stop(ctx, t); code != exitOK {
		t.Fatalf("exit code %d, stderr:\n%s", code, &dev.stderr)
	}

	got := shell{}.must(t, "dev", "--once", "--data", dir)
	if !strings.Contains(got, "Left open by the run before: 1 notification: 1 sent.") || !strings.Contains(got, "accepted 1 in this run") {
		t.Errorf("the second run:\n%s", got)
	}
}

// A killed dev leaves claims that nobody settles: they become doubts when their
// leases end, and doubts end as each sample's policy says. What was not claimed
// is simply sent. Nothing is sent that WeChat did not get.
func TestDevGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	const inFlight = 3
	dir := t.TempDir()
	var stderr output
	cmd := spawn(t, &stderr, "dev", "--data", dir, "--latency", "60s", "--concurrency", "3", "--send-timeout", "5s", "--admin-addr", "127.0.0.1:0")
	urls := stderr.await(ctx, t, `Simulated WeChat: (\S+)`)
	awaitState(ctx, t, urls[1], func(s simulator.State) bool {
		return s.InFlight == inFlight && s.Requests[simulator.APISend] == inFlight
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed

	got := shell{}.run(t, "dev", "--once", "--data", dir)
	if got.code != exitOK {
		t.Fatalf("exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	checks(t, got.stdout)
	rows, err := openDevStore(t, dir).List(ctx, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	doubts := 0
	for _, n := range rows {
		doubts += n.Doubts
		if n.Doubts > 0 && n.Duplicates == store.DuplicatesAvoid && n.State != store.Dead {
			t.Errorf("%s was in doubt and is %s: it may have been sent twice", n.Ref, n.State)
		}
	}
	if len(rows) != len(samples()) || doubts != inFlight {
		t.Errorf("got %d rows with %d doubts, want %d with %d", len(rows), doubts, len(samples()), inFlight)
	}
}

func TestDevLive(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), runDeadline)
	defer cancel()
	wechat, url := simulatortest.Start(t, simulator.Config{AutoConsent: true})
	a := simulator.SeedApp()
	sh := shell{env: map[string]string{"WECHAT_APPID": a.AppID, "WECHAT_SECRET": a.Secret, "WECHAT_API_BASE_URL": url}}
	dev := sh.start(t, "dev", "--live", "--yes", "--admin-addr", "127.0.0.1:0")
	dev.stderr.await(ctx, t, "sends to the real users of "+a.AppID)
	dev.stderr.await(ctx, t, "Running")
	redisURL := dev.stdout.await(ctx, t, `"(redis://:\w+@\S+)"`)[1]
	if n := wechat.State().Sends; n != 0 {
		t.Errorf("%d messages were sent unasked", n)
	}
	enqueueRaw(t, redisURL, strings.Replace(rawPayload, `"user_id":"zhangwei"`, `"openid":"`+zhangWei.openID()+`"`, 1))
	if err := wechat.Await(ctx, func(s simulator.State) bool { return s.Accepted == 1 }); err != nil {
		t.Fatal("the task was not sent")
	}
	if code := dev.stop(ctx, t); code != exitOK {
		t.Errorf("exit code %d, stderr:\n%s", code, &dev.stderr)
	}
	if strings.Contains(dev.stdout.String()+dev.stderr.String(), a.Secret) {
		t.Error("the secret is shown")
	}
}

func TestDevRefuses(t *testing.T) {
	t.Parallel()
	env := map[string]string{"WECHAT_APPID": "wxreal", "WECHAT_SECRET": "s", "WECHAT_API_BASE_URL": "http://127.0.0.1:1"}
	for _, tc := range []struct {
		name string
		env  map[string]string
		args []string
		code int
		says string
	}{
		{"live and once", env, []string{"--live", "--once"}, exitUsage, "--once sends the samples"},
		{"live with a latency", env, []string{"--live", "--latency", "1s"}, exitUsage, "--latency"},
		{"yes to no question", env, []string{"--yes"}, exitUsage, "--yes answers the question of --live"},
		{"negative latency", nil, []string{"--latency", "-1s"}, exitUsage, "--latency must not be negative"},
		{"live and nobody to ask", env, []string{"--live"}, exitUsage, "give --yes"},
		{"live without an app", nil, []string{"--live", "--yes"}, exitFailed, "WECHAT_APPID"},
		{"live without a secret", map[string]string{"WECHAT_APPID": "wxreal"}, []string{"--live", "--yes"}, exitFailed, "the secret of app wxreal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := shell{env: tc.env}.run(t, append([]string{"dev", "--admin-addr", "127.0.0.1:0"}, tc.args...)...)
			if got.code != tc.code || !strings.Contains(got.stderr, tc.says) {
				t.Errorf("got exit code %d, %q; want %d, %q", got.code, got.stderr, tc.code, tc.says)
			}
		})
	}
}
