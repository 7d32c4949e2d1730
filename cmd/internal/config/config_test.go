package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// world is flags, environment and files as literals.
type world struct {
	flags, env, files map[string]string
}

func (w world) sources() config.Sources {
	return config.Sources{
		Flags: w.flags,
		LookupEnv: func(name string) (string, bool) {
			text, ok := w.env[name]
			return text, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			text, ok := w.files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
	}
}

func (w world) load(t *testing.T) *config.Config {
	t.Helper()
	cfg, err := config.Load(w.sources())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

// faults loads and returns the faults, which must be there.
func (w world) faults(t *testing.T) []string {
	t.Helper()
	cfg, err := config.Load(w.sources())
	var bad *config.Error
	if !errors.As(err, &bad) {
		t.Fatalf("Load: got %v, want a *config.Error", err)
	}
	if cfg != nil {
		t.Error("Load returned a Config together with an error")
	}
	texts := make([]string, len(bad.Faults))
	for i, f := range bad.Faults {
		texts[i] = f.String()
	}
	return texts
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg := world{}.load(t)
	if cfg.Concurrency != 200 || cfg.SendTimeout != 10*time.Second || cfg.InDoubtWait != 90*time.Second ||
		cfg.MaxAttempts != 8 || cfg.MaxAge != 72*time.Hour || cfg.TaskPayload != config.PayloadFull {
		t.Errorf("sending: got %+v", cfg)
	}
	if cfg.AdminAddr != "127.0.0.1:9090" || cfg.AdminPassword != "" || cfg.LogLevel != "info" ||
		cfg.LogFormat != config.LogJSON || cfg.APIBaseURL != "https://api.weixin.qq.com" {
		t.Errorf("the rest: got %+v", cfg)
	}
	if !cfg.Redis.IsZero() || !cfg.Database.IsZero() || len(cfg.Apps) != 0 {
		t.Errorf("what has no default: got %+v", cfg)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	flags := map[string]string{"concurrency": "4"}
	env := map[string]string{"CONCURRENCY": "3", "WXNOTIFY_CONFIG": "c.yaml"}
	file := map[string]string{"c.yaml": "# first\nconcurrency: 2\n"}
	for _, tc := range []struct {
		name   string
		world  world
		want   int
		origin string
	}{
		{"default", world{}, 200, "default"},
		{"file over default", world{env: map[string]string{"WXNOTIFY_CONFIG": "c.yaml"}, files: file}, 2, "file c.yaml:2"},
		{"environment over file", world{env: env, files: file}, 3, "environment CONCURRENCY"},
		{"empty environment is none", world{
			env: map[string]string{"CONCURRENCY": "", "WXNOTIFY_CONFIG": "c.yaml"}, files: file,
		}, 2, "file c.yaml:2"},
		{"flag over environment", world{flags: flags, env: env, files: file}, 4, "flag --concurrency"},
		{"--config over WXNOTIFY_CONFIG", world{
			flags: map[string]string{"config": "c.yaml"},
			env:   map[string]string{"WXNOTIFY_CONFIG": "not-there.yaml"}, files: file,
		}, 2, "file c.yaml:2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := tc.world.load(t)
			if cfg.Concurrency != tc.want {
				t.Errorf("Concurrency: got %d, want %d", cfg.Concurrency, tc.want)
			}
			if got := effective(cfg)["CONCURRENCY"].Origin; got != tc.origin {
				t.Errorf("origin: got %q, want %q", got, tc.origin)
			}
		})
	}
}

func effective(cfg *config.Config) map[string]config.Setting {
	byName := map[string]config.Setting{}
	for _, s := range cfg.Effective() {
		byName[s.Name] = s
	}
	return byName
}

func TestEmptyAdminAddrMeansNone(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]world{
		"environment": {env: map[string]string{"ADMIN_ADDR": ""}},
		"flag":        {flags: map[string]string{"admin-addr": ""}},
		"file":        {flags: map[string]string{"config": "f"}, files: map[string]string{"f": `admin_addr: ""`}},
	} {
		if got := w.load(t).AdminAddr; got != "" {
			t.Errorf("%s: got %q, want none", name, got)
		}
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	w := world{
		flags: map[string]string{"concurrency": "many", "config": "c.yaml"},
		env: map[string]string{
			"SEND_TIMEOUT": "10",
			"DATABASE_URL": "mysql://root:hunter2@db/x",
			"REDIS_URL":    "redis://:p/ss@host",
			"ADMIN_ADDR":   "9090",
		},
		files: map[string]string{"c.yaml": `max_attempts: 0
log_leval: debug
task_payload: half
wechat_secret:s3cr3t-typo: 1
max_age: 72h
max_age: 71h
`},
	}
	want := []string{
		`log_leval (file c.yaml:2): unknown key`,
		`a key (file c.yaml:4): unknown key`,
		`max_age (file c.yaml:6): is there already in line 5`,
		`REDIS_URL (environment REDIS_URL): must name HOST or HOST:PORT after ://; reserved characters in a password are written as %XX`,
		`DATABASE_URL (environment DATABASE_URL): must be postgres://…, postgresql://… or sqlite:FILE`,
		`ADMIN_ADDR (environment ADMIN_ADDR): "9090" must be [HOST]:PORT, or empty for none`,
		`CONCURRENCY (flag --concurrency): "many" must be a whole number, 1 to 10000`,
		`SEND_TIMEOUT (environment SEND_TIMEOUT): "10" must be a duration with its unit, such as "10s", "90m" or "72h"`,
		`MAX_ATTEMPTS (file c.yaml:1): "0" must be a whole number, 1 to 100`,
		`TASK_PAYLOAD (file c.yaml:3): "half" must be one of full, id`,
	}
	if diff := cmp.Diff(want, w.faults(t)); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	_, err := config.Load(w.sources())
	if !strings.HasPrefix(err.Error(), "10 faults in the settings:\n  log_leval (file c.yaml:2): unknown key\n") {
		t.Errorf("error text: %v", err)
	}
	var bad *config.Error
	if !errors.As(err, &bad) || !bad.Usage() {
		t.Error("a wrong flag is not reported as wrong usage")
	}
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		ok, over []string
	}{
		{"CONCURRENCY", []string{"1", "10000"}, []string{"0", "10001", "-1", "1.5", "99999999999999999999"}},
		{"SEND_TIMEOUT", []string{"1s", "60s"}, []string{"999ms", "61s", "10", "-1s"}},
		{"IN_DOUBT_WAIT", []string{"1s", "1h"}, []string{"0s", "61m"}},
		{"MAX_SEND_RATE", []string{"0", "100000"}, []string{"-1", "100001"}},
		{"MAX_ATTEMPTS", []string{"1", "100"}, []string{"0", "101"}},
		{"MAX_AGE", []string{"1m", "8760h"}, []string{"59s", "8761h", "30d"}},
		{"TASK_PAYLOAD", []string{"full", "id"}, []string{"Full", "none"}},
		{"LOG_LEVEL", []string{"debug", "info", "warn", "error"}, []string{"trace", "INFO"}},
		{"LOG_FORMAT", []string{"json", "console"}, []string{"text"}},
		{"ADMIN_ADDR", []string{":9090", "127.0.0.1:0", "[::1]:9090"}, []string{"localhost", "x:http", "x:70000"}},
		{"LISTEN_ADDR", []string{":8080"}, []string{"8080"}},
		{"CALLBACK_ADDR", []string{":8081"}, []string{"x"}},
		{"ADMIN_PASSWORD", []string{"12345678"}, []string{"1234567"}},
		{"WECHAT_APPID", []string{"wx0123456789abcdef", "demo-app"}, []string{"wx 1", "wx:default", strings.Repeat("x", 65)}},
		{
			"WECHAT_API_BASE_URL",
			[]string{"http://127.0.0.1:8081", "https://proxy.example/wx/"},
			[]string{"api.weixin.qq.com", "ftp://x", "https://", "https://u:p@x", "https://x?a=b"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, text := range tc.ok {
				if _, err := config.Load(world{env: map[string]string{tc.name: text}}.sources()); err != nil {
					t.Errorf("%q: %v", text, err)
				}
			}
			for _, text := range tc.over {
				if _, err := config.Load(world{env: map[string]string{tc.name: text}}.sources()); err == nil {
					t.Errorf("%q is taken", text)
				}
			}
		})
	}
}

func TestBaseURLLosesItsSlash(t *testing.T) {
	t.Parallel()
	cfg := world{env: map[string]string{"WECHAT_API_BASE_URL": "http://sim:8081/"}}.load(t)
	if got, want := cfg.APIBaseURL, "http://sim:8081"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"/run/secret": "from-file\r\n",
		"/run/empty":  "\n",
		"c.yaml":      "wechat_secret_file: /run/secret\n",
		"both.yaml":   "wechat_secret: x\nwechat_secret_file: /run/secret\n",
	}
	const id = "wx0123456789abcdef"
	for _, tc := range []struct {
		name   string
		env    map[string]string
		origin string
		faults []string
	}{
		{name: "environment", env: map[string]string{"WECHAT_SECRET_FILE": "/run/secret"}, origin: "environment WECHAT_SECRET_FILE"},
		{name: "yaml", env: map[string]string{"WXNOTIFY_CONFIG": "c.yaml"}, origin: "file c.yaml:1"},
		{
			name: "environment over yaml", origin: "environment WECHAT_SECRET",
			env: map[string]string{"WXNOTIFY_CONFIG": "c.yaml", "WECHAT_SECRET": "from-file"},
		},
		{
			name:   "both set",
			env:    map[string]string{"WECHAT_SECRET_FILE": "/run/secret", "WECHAT_SECRET": "x"},
			faults: []string{"WECHAT_SECRET (environment WECHAT_SECRET_FILE): is set together with WECHAT_SECRET: set one of them"},
		},
		{
			name:   "both in yaml",
			env:    map[string]string{"WXNOTIFY_CONFIG": "both.yaml"},
			faults: []string{"WECHAT_SECRET (file both.yaml:2): wechat_secret_file is set together with wechat_secret: set one of them"},
		},
		{
			name:   "missing, and its path is not repeated",
			env:    map[string]string{"WECHAT_SECRET_FILE": "the-secret-itself"},
			faults: []string{"WECHAT_SECRET (environment WECHAT_SECRET_FILE): the file cannot be read: file does not exist"},
		},
		{
			name:   "empty",
			env:    map[string]string{"WECHAT_SECRET_FILE": "/run/empty"},
			faults: []string{"WECHAT_SECRET (environment WECHAT_SECRET_FILE): the file is empty"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.env["WECHAT_APPID"] = id
			w := world{env: tc.env, files: files}
			if tc.faults != nil {
				if diff := cmp.Diff(tc.faults, w.faults(t)); diff != "" {
					t.Errorf("faults (-want +got):\n%s", diff)
				}
				return
			}
			cfg := w.load(t)
			if got := cfg.Apps[0].Secret.Reveal(); got != "from-file" {
				t.Errorf("secret: got %q, want the file's text without its newline", got)
			}
			if got, want := effective(cfg)["WECHAT_SECRET"], (config.Setting{Name: "WECHAT_SECRET", Value: "***", Origin: tc.origin}); got != want {
				t.Errorf("effective: got %v, want %v", got, want)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"tab", "concurrency: 1\n\tmax_age: 1h\n", nil},
		{"list", "- a\n- b\n", []string{"file c.yaml:1: must be a list of KEY: VALUE lines"}},
		{"two documents", "max_age: 1h\n---\nmax_age: 2h\n", []string{"file c.yaml:3: holds more than one document"}},
		{"tag", "admin_password: !hunter2-hunter2 x\n", nil},
		{"alias", "admin_password: *hunter2-hunter2\n", nil},
		{"nested", "admin_password:\n  hunter2-hunter2: 1\n", nil},
		{"apps is text", "apps: wx1\n", []string{"apps (file c.yaml:1): must be a list of apps, each beginning with a dash"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := world{
				flags: map[string]string{"config": "c.yaml"},
				files: map[string]string{"c.yaml": tc.text},
			}.faults(t)
			if tc.want != nil && !cmp.Equal(tc.want, got) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if strings.Contains(fmt.Sprint(got), "hunter2") {
				t.Errorf("the fault repeats the file: %q", got)
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		got := world{flags: map[string]string{"config": "c.yaml"}}.faults(t)
		want := []string{"WXNOTIFY_CONFIG (flag --config): c.yaml cannot be read: file does not exist"}
		if !cmp.Equal(want, got) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestUnknownEnvironmentIsNoFault(t *testing.T) {
	t.Parallel()
	world{env: map[string]string{"WXNOTIFY_WHATEVER": "x", "LISTEN_ADDR": ":8080"}}.load(t)
}

// TestNothingPrintsSecrets loads one secret of each kind and looks for it in
// every way in which a Config can be printed, and in the faults when the same
// values are wrong.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	const s = "s3cr3t-value"
	good := world{
		flags: map[string]string{"config": "c.yaml"},
		env: map[string]string{
			"REDIS_URL":           "redis-sentinel://user:" + s + "@h1,h2/mymaster/1?sentinel_password=" + s,
			"DATABASE_URL":        "postgres://user:" + s + "@db/x?sslmode=disable&sslpassword=" + s,
			"WECHAT_APPID":        "wx0123456789abcdef",
			"WECHAT_SECRET":       s,
			"WECHAT_TOKEN_SOURCE": "redis://:" + s + "@other/1?key=AppletToken",
			"WECHAT_TOKEN_MIRROR": "rediss://:" + s + "@other/2?key=AppletToken",
			"ADMIN_PASSWORD":      s,
		},
		files: map[string]string{"c.yaml": `apps:
  - appid: wxaaaaaaaaaaaaaaaa
    secret: ` + s + `
    token_mirror: redis://:` + s + `@m/0?key=K
    only_to: [` + s + `]
`},
	}
	cfg := good.load(t)
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"%v": fmt.Sprintf("%v", *cfg), "%+v": fmt.Sprintf("%+v", *cfg), "%#v": fmt.Sprintf("%#v", cfg.Redis) +
			fmt.Sprintf("%#v %#v", cfg.Database, cfg.AdminPassword),
		"json": string(asJSON), "effective": fmt.Sprint(cfg.Effective()),
	} {
		text = strings.ReplaceAll(text, "["+s+"]", "") // only_to is personal, not secret, and not in effective
		text = strings.ReplaceAll(text, `["`+s+`"]`, "")
		if strings.Contains(text, s) {
			t.Errorf("%s shows a secret: %s", name, text)
		}
	}
	if strings.Contains(fmt.Sprint(cfg.Effective()), s) {
		t.Error("the effective settings show who may be sent to")
	}

	bad := world{flags: map[string]string{"config": "c.yaml"}, env: map[string]string{}, files: map[string]string{
		"c.yaml": `admin_password: [` + s + `]
wechat_secret:` + s + `
apps:
  - appid: wx1
    secret: {a: ` + s + `}
    token_source: ` + s + `
    ` + s + `!: 1
`,
	}}
	for name := range good.env {
		bad.env[name] = s + "://" + s + ":%zz@ #" + s
	}
	bad.env["WECHAT_SECRET_FILE"] = s
	bad.env["ADMIN_PASSWORD"] = "s3cr3t"
	bad.env["WECHAT_APPID"] = "wx1"
	for _, f := range bad.faults(t) {
		if strings.Contains(f, "s3cr3t") {
			t.Errorf("a fault shows a secret: %s", f)
		}
	}
	for _, text := range []string{
		"redis://:" + s + "/x@host", "redis://:" + s + "%@host", "redis://" + s + ":a:b:c", "redis://h/" + s,
		"redis://h?" + s + "=1", "redis://h,h2/" + s, "redis-sentinel://" + s + "@h", "redis-cluster://h?tls=" + s,
		"postgres://u:" + s + "/x@host/db", "postgres://u:" + s + "#x@h/db", "postgres://u:%zz" + s + "@h/db",
		"postgres://u@h/db?sslmode=" + s, "postgres://u@h:" + s + "/db", "sqlite:" + s + "?x",
	} {
		name := "REDIS_URL"
		if !strings.HasPrefix(text, "redis") {
			name = "DATABASE_URL"
		}
		for _, f := range (world{env: map[string]string{name: text}}).faults(t) {
			if strings.Contains(f, s) {
				t.Errorf("%s: the fault shows it: %s", text, f)
			}
		}
	}
}

func TestNeeds(t *testing.T) {
	t.Parallel()
	everything := map[string]string{
		"REDIS_URL": "redis://h", "DATABASE_URL": "sqlite:x.db", "WECHAT_APPID": "wx1", "WECHAT_SECRET": "s",
		"API_KEYS": "a:" + keyOne,
	}
	for _, tc := range []struct {
		role    config.Role
		without string
		want    string // "" means that nothing is missing
	}{
		{config.RoleWorker, "", ""},
		{config.RoleWorker, "REDIS_URL", "REDIS_URL"},
		{config.RoleWorker, "DATABASE_URL", "DATABASE_URL"},
		{config.RoleWorker, "WECHAT_SECRET", "the secret of app wx1"},
		{config.RoleWorker, "API_KEYS", ""},
		{config.RoleGateway, "", ""},
		{config.RoleGateway, "REDIS_URL", "REDIS_URL"},
		{config.RoleGateway, "API_KEYS", "API_KEYS"},
		{config.RoleGateway, "WECHAT_SECRET", "the secret of app wx1"},
		{config.RoleSend, "WECHAT_SECRET", ""},
		{config.RoleSend, "REDIS_URL", "REDIS_URL"},
		{config.RoleSend, "DATABASE_URL", "DATABASE_URL"},
		{config.RoleStore, "REDIS_URL", ""},
		{config.RoleStore, "DATABASE_URL", "DATABASE_URL"},
		{config.RoleDatabase, "REDIS_URL", ""},
		{config.RoleDatabase, "DATABASE_URL", "DATABASE_URL"},
		{config.RoleLive, "DATABASE_URL", ""},
		{config.RoleLive, "WECHAT_SECRET", "the secret of app wx1"},
	} {
		t.Run(string(tc.role)+" without "+tc.without, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			for k, v := range everything {
				if k != tc.without {
					env[k] = v
				}
			}
			err := world{env: env}.load(t).Needs(tc.role)
			var bad *config.Error
			switch {
			case tc.want == "":
				if err != nil {
					t.Errorf("got %v, want nothing missing", err)
				}
			case !errors.As(err, &bad) || len(bad.Faults) != 1 || bad.Faults[0].Setting != tc.want:
				t.Errorf("got %v, want only %s missing", err, tc.want)
			}
		})
	}
	if err := (world{}).load(t).Needs(config.RoleDatabase); err == nil || strings.Contains(err.Error(), "WECHAT") {
		t.Errorf("migrate with nothing set: got %v, want only DATABASE_URL missing", err)
	}
	for role, want := range map[config.Role][]string{
		config.RoleWorker:  {"REDIS_URL", "DATABASE_URL", "WECHAT_APPID", "WECHAT_SECRET"},
		config.RoleGateway: {"REDIS_URL", "DATABASE_URL", "WECHAT_APPID", "WECHAT_SECRET", "API_KEYS"},
		config.RoleLive:    {"WECHAT_APPID", "WECHAT_SECRET"},
		config.RoleSend:    {"REDIS_URL", "DATABASE_URL", "WECHAT_APPID"},
	} {
		var bad *config.Error
		if err := (world{}).load(t).Needs(role); !errors.As(err, &bad) {
			t.Fatalf("%s with nothing set: got %v", role, err)
		}
		var got []string
		for _, f := range bad.Faults {
			got = append(got, f.Setting)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s with nothing set (-want +got):\n%s", role, diff)
		}
	}
}
