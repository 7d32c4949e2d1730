package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// withWeChat gives a shell the simulator's app, and a settings file.
func withWeChat(t *testing.T, sh shell, file string) (shell, *simulator.Simulator) {
	t.Helper()
	sim, url := simulatortest.Start(t, simulator.Config{})
	seed := simulator.SeedApp()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"DATABASE_URL": sh.env["DATABASE_URL"], "WECHAT_APPID": seed.AppID, "WECHAT_SECRET": seed.Secret,
		"WECHAT_API_BASE_URL": url, "WXNOTIFY_CONFIG": path,
	}
	return shell{env: env, stdin: sh.stdin}, sim
}

// exampleCatalog is the part of the example that has the templates.
func exampleCatalog(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../deploy/config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "\ntemplates:\n")
	if !ok {
		t.Fatal("the example has no templates")
	}
	list, _, _ := strings.Cut(rest, "\n\n")
	return "templates:\n" + list + "\n"
}

func TestTemplatesSync(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh, sim := withWeChat(t, newShell(t), exampleCatalog(t))
			app := sh.env["WECHAT_APPID"]
			sh.must(t, "migrate", "up")
			if got, want := sh.must(t, "templates", "sync"), "app "+app+": 5 templates, 5 new, 0 changed, 0 gone\n"; got != want {
				t.Errorf("sync: got %q, want %q", got, want)
			}
			pauseTemplate(t, sh.forApp(testApp), simulator.SeedReview) // another app's
			if err := sim.DeleteTemplate(app, simulator.SeedPickup); err != nil {
				t.Fatal(err)
			}
			var synced []shownSync
			if err := json.Unmarshal([]byte(sh.must(t, "templates", "sync", "--json")), &synced); err != nil {
				t.Fatal(err)
			}
			want := []shownSync{{
				App: app, Total: 4, Added: []string{}, Changed: []string{}, Gone: []string{simulator.SeedPickup}, Resumed: []string{},
			}}
			if diff := cmp.Diff(want, synced); diff != "" {
				t.Errorf("sync again (-want +got):\n%s", diff)
			}

			got := sh.run(t, "templates", "list")
			for _, line := range []string{
				"need_confirm     " + simulator.SeedReview + "  one_time   synced  5       待审核通知",
				"pickup           " + simulator.SeedPickup + "  one_time   gone    4       领用单领用通知",
			} {
				if !strings.Contains(got.stdout, line) {
					t.Errorf("list lacks %q:\n%s", line, got.stdout)
				}
			}
			if !strings.Contains(got.stderr, "template pickup: WeChat does not list this template any more") {
				t.Errorf("list warns %q", got.stderr)
			}

			if _, err := sim.AddFault(simulator.Fault{API: simulator.APITemplates, Count: 1, Action: simulator.ActErrcode, Errcode: 45009}); err != nil {
				t.Fatal(err)
			}
			if got := sh.run(t, "templates", "sync"); got.code != exitFailed || !strings.Contains(got.stderr, "45009") ||
				!strings.Contains(got.stderr, "the templates of 1 app could not be synced; the last list stays") {
				t.Errorf("no quota: %+v", got)
			}
			if got := sh.must(t, "templates", "list"); !strings.Contains(got, simulator.SeedReview) {
				t.Errorf("after a failure: %s", got)
			}
		})
	}
}

// forApp is the shell with another app in place of its own, and no settings file.
func (s shell) forApp(id string) shell {
	env := maps.Clone(s.env)
	env["WECHAT_APPID"] = id
	delete(env, "WXNOTIFY_CONFIG")
	return shell{env: env, stdin: s.stdin}
}

// TestTemplatesPrintYAML: what is printed loads, says what the file said, and is
// a fixed point.
func TestTemplatesPrintYAML(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"no file": "",
		"a file":  exampleCatalog(t),
		"policies": `templates:
  - template_id: ` + simulator.SeedReport + `
    alias: report
    fields: {period: thing2}
    page: "pages/report?id={id}"
    overlong: truncate
    duplicates: allow
    wait: 36h
    no_consent: dead
    release: oldest
    priority: low
    quiet_hours: {from: "22:00", to: "08:00", zone: Europe/Berlin, critical: send}
  - {template_id: gone-since, alias: old, fields: {thing: thing1, 状态: short_thing2}, limits: {short_thing2: 6}}
`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh, _ := withWeChat(t, eachStore["sqlite"](t), file)
			sh.must(t, "migrate", "up")
			first := sh.run(t, "templates", "sync", "--print-yaml")
			if first.code != exitOK || !strings.Contains(first.stderr, "5 templates, 5 new") {
				t.Fatalf("sync: %+v", first)
			}
			if err := os.WriteFile(sh.env["WXNOTIFY_CONFIG"], []byte(first.stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			if second := sh.must(t, "templates", "sync", "--print-yaml"); second != first.stdout {
				t.Errorf("printed again (-first +second):\n%s", cmp.Diff(first.stdout, second))
			}
			before, after := entriesOf(t, sh, file), entriesOf(t, sh, first.stdout)
			for id, e := range before {
				got := after[id]
				if diff := cmp.Diff(e.Policy, got.Policy); diff != "" || got.Alias != e.Alias || got.Page != e.Page || len(got.Fields) < len(e.Fields) {
					t.Errorf("%s became %+v", id, got)
				}
			}
			review := after[simulator.SeedReview]
			if len(after) < 5 || len(review.Fields) != 5 || review.Title != "待审核通知" {
				t.Errorf("printed %d templates, review as %+v", len(after), review)
			}
		})
	}
}

// entriesOf loads a settings file and returns its entries by template.
func entriesOf(t *testing.T, sh shell, file string) map[string]template.Entry {
	t.Helper()
	cfg, err := config.Load(config.Sources{
		LookupEnv: func(name string) (string, bool) {
			text, ok := sh.env[name]
			return text, ok
		},
		ReadFile: func(string) ([]byte, error) { return []byte(file), nil },
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	entries := map[string]template.Entry{}
	for _, e := range cfg.Templates {
		entries[e.TemplateID] = e
	}
	return entries
}

func TestDoorOf(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		":8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://127.0.0.1:80", "[::]:8081": "http://127.0.0.1:8081",
		"10.1.2.3:8080": "http://10.1.2.3:8080", "[::1]:80": "http://[::1]:80", "gateway:8080": "http://gateway:8080",
	} {
		if got := doorOf(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

func TestTemplatesShow(t *testing.T) {
	t.Parallel()
	sh, _ := withWeChat(t, eachStore["sqlite"](t), exampleCatalog(t))
	sh.must(t, "migrate", "up")
	sh.must(t, "templates", "sync")
	sh.env["LISTEN_ADDR"] = ":18080"
	got := sh.must(t, "templates", "show", "need_confirm")
	for _, want := range []string{
		"kind       one_time\n",
		"thing1   applicant   申请人    at most 20 characters",
		"time4    applied_at  申请时间",
		`curl -sS http://127.0.0.1:18080/v1/notifications \
  -H "Authorization: Bearer $WXNOTIFY_KEY" -H 'Content-Type: application/json' \
  -d '{
    "template_id": "need_confirm",
    "user_id": "USER",
    "data": {
      "applicant": "李雷",
      "department": "设备部",
      "trade": "电工",
      "applied_at": "2026年3月2日 09:12",
      "item": "绝缘手套"
    }
  }'`,
		`msgSendUtil.msgSend("need_confirm", null,
        AppletParamUtil.of(
                "applicant", "李雷",`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("show lacks\n%s\nin\n%s", want, got)
		}
	}
	var shown struct {
		shownTemplate
		Curl string `json:"curl"`
	}
	if err := json.Unmarshal([]byte(sh.must(t, "templates", "show", simulator.SeedReview, "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Alias != "need_confirm" || len(shown.Fields) != 5 || shown.Fields[0].Label != "申请人" || shown.Curl == "" {
		t.Errorf("show --json: %+v", shown)
	}
	// What is shown is a line that passes.
	_, body, _ := strings.Cut(shown.Curl, "-d '")
	sh.stdin = strings.ReplaceAll(strings.TrimSuffix(body, "'"), "\n", "")
	sh.must(t, "templates", "check", "-")
	if got := sh.run(t, "templates", "show", "nobody"); got.code != exitFailed || !strings.Contains(got.stderr, "template nobody is not known") {
		t.Errorf("unknown: %+v", got)
	}
}

func TestSampleCallQuotes(t *testing.T) {
	t.Parallel()
	c := sampleCall{app: "wx2", template: "T", page: "p?a=1&b='2'", data: [][2]string{{"thing1", `it's "so" <b>`}}}
	if got := c.curl(); !strings.Contains(got, `"thing1": "it'\''s \"so\" <b>"`) || !strings.Contains(got, `"page": "p?a=1&b='\''2'\''"`) ||
		!strings.Contains(got, `"app": "wx2"`) {
		t.Errorf("curl:\n%s", got)
	}
	if got := c.java(); !strings.Contains(got, `"thing1", "it's \"so\" <b>"`) {
		t.Errorf("java:\n%s", got)
	}
}

func TestTemplatesCheck(t *testing.T) {
	t.Parallel()
	const good = `{"template_id":"data_report","user_id":"u1","wait":86400,"data":{"report":"月报","统计周期":"2026年2月"}}`
	lines := strings.Join([]string{
		good,
		`{"template_id":"data_report","user_id":7,"data":{"thing1":"` + strings.Repeat("好", 21) + `"}}`,
		``,
		`{"template_id":"nobody","user_id":"u1","data":{"thing1":"x"}}`,
		`{"template_id":"data_report","data":{"report":"a\nb","period":{"value":3.50}},"wait":-1,"colour":1}`,
		`not JSON`,
		`{"template_id":"data_report","user_id":"u1","data":"{}"}`,
	}, "\n")
	sh, _ := withWeChat(t, eachStore["sqlite"](t), exampleCatalog(t))
	sh.must(t, "migrate", "up")
	sh.must(t, "templates", "sync")
	sh.stdin = lines
	got := sh.run(t, "templates", "check", "-")
	const want = `line 2: /data/thing1 has 21 characters; at most 20 are allowed; for example 设备领用月报
line 2: /data/thing2 is required: WeChat refuses a message without it; for example 2026年2月
line 4: /template_id is neither the id nor the alias of a template of this app; a new one is known after 'wxnotify templates sync'; for example approval_result
line 5: /colour is not a field here
line 5: /user_id is required (or openid)
line 5: /wait must be 0 to 31622400 seconds; for example 3600
line 5: /data/report has a newline or another control character, which WeChat refuses: replace it by a blank; for example 设备领用月报
line 6: is not JSON: column 2
line 7: /data must be an object such as {"thing1":"text"}, not a string that contains one
`
	if diff := cmp.Diff(want, got.stdout); diff != "" || got.code != exitFailed {
		t.Errorf("exit code %d (-want +got):\n%s", got.code, diff)
	}
	if !strings.Contains(got.stderr, "6 lines: 1 good, 5 bad\n") {
		t.Errorf("sum: %q", got.stderr)
	}

	got = sh.run(t, "templates", "check", "-", "--json")
	first, rest, _ := strings.Cut(got.stdout, "\n")
	wantFirst := `{"line":1,"ok":true,"template_id":"` + simulator.SeedReport + `","data":{"thing1":"月报","thing2":"2026年2月"}}`
	if first != wantFirst || strings.Count(rest, "\n") != 5 || !strings.Contains(rest, `"field":"/data/thing1","code":"too_long"`) {
		t.Errorf("--json:\n%s", got.stdout)
	}

	// Without a database the file is what is known, and its fields go by type.
	offline := shell{env: map[string]string{"WXNOTIFY_CONFIG": sh.env["WXNOTIFY_CONFIG"]}, stdin: `{"template_id":"work_order_done","openid":"o1","data":` +
		`{"order":"GD-1","work":"x","cost":"1,0","handler":"张三","done_on":"2026-02-30"}}`}
	got = offline.run(t, "templates", "check", "-")
	if got.code != exitFailed || !strings.Contains(got.stdout, "/data/cost must be") || !strings.Contains(got.stdout, "/data/done_on has a date that is not in the calendar") ||
		strings.Count(got.stdout, "\n") != 2 {
		t.Errorf("offline: %+v", got)
	}
	if got := offline.must(t, "templates", "list"); !strings.Contains(got, "work_order_done") {
		t.Errorf("offline list: %s", got)
	}
}

func TestTemplatesResumeByAlias(t *testing.T) {
	t.Parallel()
	sh, _ := withWeChat(t, eachStore["sqlite"](t), "templates:\n  - {template_id: TEMPLATE, alias: short}\n")
	sh.env["WECHAT_APPID"] = testApp
	sh.must(t, "migrate", "up")
	pauseTemplate(t, sh.forApp(testApp), "TEMPLATE")
	if got, want := sh.must(t, "templates", "resume", "short"), "resumed; 2 notifications queued\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What templates check lets pass, send takes: the alias becomes WeChat's id, and
// names and labels its keys.
func TestSendByAlias(t *testing.T) {
	t.Parallel()
	s, file := newSite(t), filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(exampleCatalog(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	sh := s.with(map[string]string{"WXNOTIFY_CONFIG": file})
	sh.must(t, "templates", "sync")
	sh.stdin = `{"template_id":"data_report","user_id":"u1","wait":60,"data":{"report":"月报","统计周期":"2026年2月"}}`
	sh.must(t, "send", "-")
	sh.must(t, "send", "--template", "data_report", "--user", "u2", "--data", "report=月报", "--data", "统计周期=2026年2月")
	if got := sh.run(t, "send", "--template", "data_report", "--user", "u2", "--data", "report=月报"); got.code != exitUsage || !strings.Contains(got.stderr, "--data") {
		t.Errorf("a field too few: %+v", got)
	}
	rows := s.rows(t)
	if len(rows) != 2 {
		t.Fatalf("%d rows, want 2", len(rows))
	}
	for _, n := range rows {
		if n.TemplateID != simulator.SeedReport || n.Data["thing1"] != "月报" || n.Data["thing2"] != "2026年2月" {
			t.Errorf("row: %+v", n)
		}
	}
}
