package main

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// site is everything the commands stand on: a migrated database of its own, an
// embedded Redis of its own and a simulator.
type site struct {
	shell
	sim *simulator.Simulator
}

// The app of the simulator and a person who uses it.
var (
	siteApp    = simulator.SeedApp()
	siteOpenID = simulator.OpenID("send")
)

func newSite(t *testing.T) site {
	t.Helper()
	_, address := postgrestest.Open(t)
	rdb := miniredis.RunT(t)
	sim, base := simulatortest.Start(t, simulator.Config{})
	return site{sim: sim, shell: shell{env: map[string]string{
		"REDIS_URL": "redis://" + rdb.Addr(), "DATABASE_URL": address, "WECHAT_API_BASE_URL": base,
		"WECHAT_APPID": siteApp.AppID, "WECHAT_SECRET": siteApp.Secret, "ADMIN_ADDR": "", "LOG_LEVEL": "error",
	}}}
}

// on is a program of the site with streams of the test's own.
func (s site) on(stdin io.Reader, stdout, stderr io.Writer) *program {
	return &program{stdin: stdin, stdout: stdout, stderr: stderr, readFile: os.ReadFile, lookupEnv: func(name string) (string, bool) {
		text, ok := s.env[name]
		return text, ok
	}}
}

// with is the site with other settings.
func (s site) with(env map[string]string) site {
	s.env = maps.Clone(s.env)
	maps.Copy(s.env, env)
	return s
}

func (s site) config(t *testing.T) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Sources{ReadFile: os.ReadFile, LookupEnv: func(name string) (string, bool) {
		text, ok := s.env[name]
		return text, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// work runs a worker until the test ends.
func (s site) work(t *testing.T) {
	t.Helper()
	cfg, st := s.config(t), s.open(t)
	w, err := app.StartWorker(context.Background(), app.Parts{Config: cfg, Store: st, Redis: cfg.Redis.NewClient, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.Stop(ctx); err != nil {
			t.Errorf("stop the worker: %v", err)
		}
		st.Close()
	})
}

// rows are the notifications in the database, first accepted first.
func (s site) rows(t *testing.T) []store.Notification {
	t.Helper()
	st := s.open(t)
	defer st.Close()
	list, err := st.List(t.Context(), store.Filter{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// tasks are the TaskIDs pending on a queue.
func (s site) tasks(t *testing.T, queue string) []string {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(s.env["REDIS_URL"], "redis://")})
	defer rdb.Close()
	ids, err := rdb.LRange(t.Context(), "asynq:{"+queue+"}:pending", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// sendArgs is a valid send, with more arguments.
func sendArgs(more ...string) []string {
	return append([]string{
		"send", "--template", simulator.SeedReport, "--data", "thing1=月报, 第 1 部分", "--data", "thing2=2026=2",
	}, more...)
}

func TestSendAccepts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	expires := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	args := sendArgs("--user", "u1", "--page", "pages/a?b=1", "--priority", "critical", "--duplicates", "avoid",
		"--expires-at", expires.In(time.FixedZone("", 8*60*60)).Format(time.RFC3339),
		"--lang", "en_US", "--miniprogram-state", "trial", "--ref", "r1")
	out := s.must(t, args...)
	rows := s.rows(t)
	if len(rows) != 1 {
		t.Fatalf("%d rows, want 1", len(rows))
	}
	n := rows[0]
	if want := "accepted  " + n.ID.String() + "  queued\n"; out != want {
		t.Errorf("stdout: got %q, want %q", out, want)
	}
	if n.UserID != "u1" || n.Page != "pages/a?b=1" || n.Priority != store.Critical || n.Duplicates != store.DuplicatesAvoid ||
		n.Lang != "en_US" || n.MiniprogramState != "trial" || n.Ref != "r1" || n.App != siteApp.AppID || n.Producer != cliProducer ||
		!n.ExpiresAt.Equal(expires) ||
		n.Data["thing1"] != "月报, 第 1 部分" || n.Data["thing2"] != "2026=2" {
		t.Errorf("row: got %+v", n)
	}
	if got := s.tasks(t, "critical"); len(got) != 1 || got[0] != n.ID.String()+":1" {
		t.Errorf("queue: got %v", got)
	}

	again := s.must(t, append(args, "--json")...)
	var answer struct {
		ID        uuid.UUID
		Ref       string
		State     string
		Duplicate bool
	}
	if err := json.Unmarshal([]byte(again), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.ID != n.ID || answer.Ref != "r1" || answer.State != "queued" || !answer.Duplicate {
		t.Errorf("the same again: got %s", again)
	}
	other := s.run(t, sendArgs("--user", "u2", "--ref", "r1")...)
	if other.code != exitFailed || !strings.Contains(other.stderr, "ref: was used for another notification") {
		t.Errorf("other content under the ref: got %+v", other)
	}
}

func TestSendLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := time.Now()
	s.must(t, sendArgs("--user", "u1", "--delay", "10m")...)
	s.must(t, sendArgs("--user", "u1", "--send-at", before.Add(time.Hour).Format(time.RFC3339))...)
	rows := s.rows(t)
	if len(rows) != 2 {
		t.Fatalf("%d rows, want 2", len(rows))
	}
	for i, want := range []time.Duration{10 * time.Minute, time.Hour} {
		if got := rows[i].DueAt.Sub(before); got < want-time.Minute || got > want+time.Minute {
			t.Errorf("due in %s, want %s", got, want)
		}
	}
	if got := s.tasks(t, "default"); len(got) != 0 {
		t.Errorf("on the queue already: %v", got)
	}
}

// TestSendWithoutRedis: what is accepted is in the database; Relay tells the
// queue later.
func TestSendWithoutRedis(t *testing.T) {
	t.Parallel()
	s := newSite(t).with(map[string]string{"REDIS_URL": "redis://127.0.0.1:1"})
	got := s.run(t, sendArgs("--user", "u1")...)
	if want := "not on the queue yet: Redis does not answer; " + relayDoesIt + "\n"; got.code != exitOK ||
		!strings.HasPrefix(got.stdout, "accepted  ") || got.stderr != want {
		t.Errorf("got %+v, want it accepted with the note %q", got, want)
	}
	if got := s.rows(t); len(got) != 1 || got[0].HandoverAt.IsZero() {
		t.Errorf("rows: got %+v, want one that Relay looks after", got)
	}
	if got := s.run(t, sendArgs("--user", "u1", "--delay", "1h")...); got.code != exitOK || got.stderr != "" {
		t.Errorf("due later: got %+v, want no note", got)
	}
	s.stdin = strings.Repeat(good("u1", "")+"\n", 2) + good("u1", `,"send_at":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"`)
	got = s.run(t, "send", "-")
	if want := "2 notifications not on the queue yet: Redis does not answer; " + relayDoesIt + "\n"; got.code != exitOK || !strings.HasSuffix(got.stderr, want) {
		t.Errorf("a file: got %+v, want the note %q", got, want)
	}
}

// TestSendToARedisThatRefuses: the note has Redis's word and nothing of the
// credentials.
func TestSendToARedisThatRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	rdb := miniredis.RunT(t)
	rdb.RequireAuth("other")
	got := s.with(map[string]string{"REDIS_URL": "redis://:s3cr3t@" + rdb.Addr()}).run(t, sendArgs("--user", "u1")...)
	if want := "not on the queue yet: Redis refused it (WRONGPASS); " + relayDoesIt + "\n"; got.code != exitOK || got.stderr != want {
		t.Errorf("got %+v, want the note %q", got, want)
	}
}

func TestSendWrongUsage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := t.TempDir() + "/x.jsonl"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"nothing":             {[]string{"send"}, "--template is required"},
		"no addressee":        {sendArgs(), "--user (or --openid) is required"},
		"two addressees":      {sendArgs("--user", "u", "--openid", "o"), "wxnotify: give --user or --openid, not both\n"},
		"no data":             {[]string{"send", "--template", "T", "--user", "u"}, "--data is required"},
		"data without key":    {sendArgs("--user", "u", "--data", "s3cr3t text"), "--data must be KEY=TEXT"},
		"data twice":          {sendArgs("--user", "u", "--data", "thing1=s3cr3t"), "--data gives one key twice"},
		"bad value":           {sendArgs("--user", "u", "--data", "a1=s3cr3t\x00"), "--data a1 has a newline or another control character"},
		"priority":            {sendArgs("--user", "u", "--priority", "high"), "--priority must be one of critical, default, low"},
		"duplicates":          {sendArgs("--user", "u", "--duplicates", "no"), "--duplicates must be allow or avoid"},
		"state":               {sendArgs("--user", "u", "--miniprogram-state", "x"), "--miniprogram-state must be one of"},
		"time without offset": {sendArgs("--user", "u", "--send-at", "2099-01-02T03:04:05"), "--send-at must be a time with an offset"},
		"two times":           {sendArgs("--user", "u", "--delay", "1m", "--send-at", "2099-01-02T03:04:05Z"), "wxnotify: give --send-at or --delay, not both"},
		"expired":             {sendArgs("--user", "u", "--expires-at", "2020-01-02T03:04:05Z"), "--expires-at is in the past"},
		"expires too early":   {sendArgs("--user", "u", "--send-at", "2099-01-02T03:04:05Z", "--expires-at", "2098-01-02T03:04:05Z"), "--expires-at is not after --send-at"},
		"blank value":         {[]string{"send", "--template", "T", "--user", "u", "--data", "thing1= "}, "--data thing1 is empty"},
		"wait 0":              {sendArgs("--user", "u", "--wait", "0s"), "--wait must be longer"},
		"unknown app":         {sendArgs("--user", "u", "--app", "wxother"), "not among the apps"},
		"strict of one":       {sendArgs("--user", "u", "--strict"), "--strict has no meaning for a single notification"},
		"yes of one":          {sendArgs("--user", "u", "--yes"), "--yes has no meaning for a single notification"},
		"file and message":    {[]string{"send", file, "--template", "T"}, "--template has no meaning for a FILE"},
		"live and file":       {[]string{"send", "--live", file}, "not a FILE"},
		"live and user":       {sendArgs("--live", "--user", "u"), "no database to find the user's openid in"},
		"live and wait":       {sendArgs("--live", "--openid", "o", "--wait", "1s"), "--wait has no meaning for --live"},
		"live without openid": {sendArgs("--live"), "--live needs --openid"},
		"live without yes":    {sendArgs("--live", "--openid", "o"), "give --yes"},
		"two files":           {[]string{"send", file, file}, "send takes FILE and nothing else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.run(t, tc.args...)
			if got.code != exitUsage || !strings.Contains(got.stderr, tc.says) || got.stdout != "" {
				t.Errorf("got %+v, want exit code 2 and %q", got, tc.says)
			}
			if strings.Contains(got.stderr, "s3cr3t") {
				t.Errorf("the message repeats a value: %s", got.stderr)
			}
		})
	}
	t.Cleanup(func() {
		if n := s.sim.State().Sends; n != 0 {
			t.Errorf("%d messages were sent", n)
		}
	})
}

func TestSendNeedsSchemaAndSettings(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, tc := range map[string]struct {
		env  map[string]string
		says string
	}{
		"no database":  {map[string]string{"DATABASE_URL": ""}, "DATABASE_URL: is not set"},
		"no Redis":     {map[string]string{"REDIS_URL": ""}, "REDIS_URL: is not set"},
		"not migrated": {map[string]string{"DATABASE_URL": postgrestest.URL(t)}, "wxnotify migrate up"},
		"away":         {map[string]string{"DATABASE_URL": "postgres://u@127.0.0.1:1/x"}, "unavailable"},
	} {
		got := s.with(tc.env).run(t, sendArgs("--user", "u")...)
		if got.code != exitFailed || !strings.Contains(got.stderr, tc.says) {
			t.Errorf("%s: got %+v, want exit code 1 and %q", name, got, tc.says)
		}
	}
}

func TestSendWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.work(t)
	if err := s.sim.Accept("", siteOpenID, simulator.SeedReport, 1); err != nil {
		t.Fatal(err)
	}
	refused := simulator.OpenID("refused")
	if err := s.sim.AddUser("", refused, ""); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		"sent":    {[]string{"--openid", siteOpenID}, exitOK, []string{"sent  ", "msgid     19888108123243", "attempts  1"}, ""},
		"refused": {[]string{"--openid", refused}, exitFailed, []string{"dead  ", "class     refused", "reason    not_subscribed", "errcode   43101", "errmsg    user refuse", "do        the user has to subscribe again"}, "not sent: dead"},
		"unbound": {[]string{"--user", "stranger"}, exitFailed, []string{"dead  ", "reason    unbound", "wxnotify users bind"}, "not sent: dead"},
		"later":   {[]string{"--openid", siteOpenID, "--delay", "1h", "--wait", "100ms"}, exitFailed, []string{"queued  "}, "not sent within 100ms: queued"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.run(t, sendArgs(append([]string{"--wait", "30s"}, tc.args...)...)...)
			if got.code != tc.code || !strings.Contains(got.stderr, tc.stderr) {
				t.Errorf("got %+v, want exit code %d and %q", got, tc.code, tc.stderr)
			}
			for _, want := range tc.stdout {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("stdout: got %q, want %q in it", got.stdout, want)
				}
			}
		})
	}

	got := s.run(t, sendArgs("--openid", refused, "--wait", "30s", "--json")...)
	var answer struct {
		State, Class, Reason, Errmsg, Do string
		Errcode, Attempts                int
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil {
		t.Fatalf("%v in %q", err, got.stdout)
	}
	if answer.State != "dead" || answer.Class != "refused" || answer.Errcode != 43101 || answer.Attempts != 1 || answer.Do == "" {
		t.Errorf("--json: got %s", got.stdout)
	}
}

// TestSendWaitInterrupted: an interrupt ends the wait, and tells how it stands.
func TestSendWaitInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	st := s.open(t)
	defer st.Close()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer cancel()
		for range time.Tick(5 * time.Millisecond) {
			if list, err := st.List(ctx, store.Filter{}); err != nil || len(list) > 0 {
				return
			}
		}
	}()
	defer func() { <-watched }()
	got := s.runContext(ctx, sendArgs("--user", "u1", "--wait", "10m")...)
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, "queued  ") || !strings.Contains(got.stderr, "interrupted") {
		t.Errorf("got %+v", got)
	}
}
