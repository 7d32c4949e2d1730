package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// appsFile is a world whose only setting is the file c.yaml.
func appsFile(text string) world {
	return world{flags: map[string]string{"config": "c.yaml"}, files: map[string]string{"c.yaml": text}}
}

func TestAppOfTheEnvironment(t *testing.T) {
	t.Parallel()
	cfg := world{env: map[string]string{
		"WECHAT_APPID": "wx1", "WECHAT_SECRET": "s", "WECHAT_TOKEN_SOURCE": "token", "MAX_SEND_RATE": "50",
	}}.load(t)
	want := []config.App{{
		AppID: "wx1", Secret: "s", Default: true, TokenSource: config.TokenSource{Kind: config.TokenClassic},
		MaxSendRate: 50, ConsentSource: config.ConsentClient, MiniprogramState: config.Formal, Lang: config.LangCN,
	}}
	if diff := cmp.Diff(want, cfg.Apps, cmp.AllowUnexported(config.RedisURL{})); diff != "" {
		t.Errorf("apps (-want +got):\n%s", diff)
	}
}

func TestAppsOfTheFile(t *testing.T) {
	t.Parallel()
	w := appsFile(`
max_send_rate: 30
apps:
  - appid: wxa
    secret_file: /run/a
    max_send_rate: 7
    miniprogram_state: trial
    lang: zh_TW
    only_to: [u1, 42]
  - appid: wxb
    secret: sb
    default: true
`)
	w.files["/run/a"] = "sa\n"
	cfg := w.load(t)
	stable := config.TokenSource{Kind: config.TokenStable}
	want := []config.App{
		{
			AppID: "wxa", Secret: "sa", TokenSource: stable, MaxSendRate: 7,
			ConsentSource: config.ConsentClient, MiniprogramState: config.Trial, Lang: config.LangTW, OnlyTo: []string{"u1", "42"},
		},
		{
			AppID: "wxb", Secret: "sb", Default: true, TokenSource: stable, MaxSendRate: 30,
			ConsentSource: config.ConsentClient, MiniprogramState: config.Formal, Lang: config.LangCN,
		},
	}
	if diff := cmp.Diff(want, cfg.Apps, cmp.AllowUnexported(config.RedisURL{})); diff != "" {
		t.Errorf("apps (-want +got):\n%s", diff)
	}
	if app, ok := cfg.App(""); !ok || app.AppID != "wxb" {
		t.Errorf("default app: got %q, want wxb", app.AppID)
	}
	if app, ok := cfg.App("wxa"); !ok || app.AppID != "wxa" {
		t.Errorf("App(wxa): got %q", app.AppID)
	}
	if _, ok := cfg.App("wxc"); ok {
		t.Error("App(wxc) is found")
	}
	got := effective(cfg)["apps[0].secret"]
	if want := (config.Setting{Name: "apps[0].secret", Value: "***", Origin: "file c.yaml:5"}); got != want {
		t.Errorf("effective: got %v, want %v", got, want)
	}
}

func TestASingleAppIsTheDefault(t *testing.T) {
	t.Parallel()
	cfg := appsFile("apps:\n  - {appid: wxa, secret: s}\n").load(t)
	if !cfg.Apps[0].Default {
		t.Error("the only app is not the default")
	}
}

func TestFaultsOfApps(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file string
		env        map[string]string
		want       []string
	}{
		{
			name: "twice", file: "apps:\n  - appid: wxa\n    default: true\n  - appid: wxa\n",
			want: []string{"apps[1].appid (file c.yaml:4): is the same app as apps[0]"},
		},
		{
			name: "twice, once in the environment", file: "apps:\n  - appid: wxa\n",
			env:  map[string]string{"WECHAT_APPID": "wxa"},
			want: []string{"apps[0].appid (file c.yaml:2): is the same app as WECHAT_APPID"},
		},
		{
			name: "no default", file: "apps:\n  - appid: wxa\n  - appid: wxb\n",
			want: []string{"apps (file c.yaml:2): one of the apps must have default: true"},
		},
		{
			name: "two defaults", file: "apps:\n  - {appid: wxa, default: true}\n  - {appid: wxb, default: true}\n",
			want: []string{"apps[1].default (file c.yaml:3): apps[0] is the default already"},
		},
		{
			name: "default beside the environment's", file: "apps:\n  - appid: wxa\n    default: true\n",
			env:  map[string]string{"WECHAT_APPID": "wxb"},
			want: []string{"apps[0].default (file c.yaml:2): WECHAT_APPID is the default already"},
		},
		{
			name: "secret without appid", env: map[string]string{"WECHAT_SECRET": "s"},
			want: []string{"WECHAT_SECRET (environment WECHAT_SECRET): belongs to the app of WECHAT_APPID, which is not set"},
		},
		{
			name: "keys of an app",
			file: `apps:
  - secret: a
    secret_file: /x
    default: yes
    lang: de_DE
    miniprogram_state: released
    max_send_rate: -1
    token_source: classic
    token_mirror: redis://h/0
    only_to: []
    colour: red
    lang: zh_CN
`,
			want: []string{
				"apps[0].lang (file c.yaml:12): is there already in line 5",
				"apps[0].appid (file c.yaml:2): is required",
				"apps[0].secret (file c.yaml:3): secret_file is set together with secret: set one of them",
				`apps[0].default (file c.yaml:4): "yes" must be true or false`,
				"apps[0].token_source (file c.yaml:8): must be stable_token, token, or redis://HOST/DB?key=NAME",
				"apps[0].token_mirror (file c.yaml:9): must name the key: redis://HOST/DB?key=NAME",
				`apps[0].max_send_rate (file c.yaml:7): "-1" must be a whole number, 0 to 100000`,
				`apps[0].miniprogram_state (file c.yaml:6): "released" must be one of developer, trial, formal`,
				`apps[0].lang (file c.yaml:5): "de_DE" must be one of zh_CN, en_US, zh_HK, zh_TW`,
				"apps[0].only_to (file c.yaml:10): must be a list of plain values with at least one; leave the key out for everybody",
				"apps[0].colour (file c.yaml:11): unknown key",
			},
		},
		{
			name: "an empty app", file: "apps:\n  - {}\n",
			want: []string{"apps[0].appid (file c.yaml:2): is required"},
		},
		{
			name: "an appid without a value", file: "apps:\n  - default: true\n    appid:\n",
			want: []string{"apps[0].appid (file c.yaml:3): is required"},
		},
		{
			name: "an app that is text", file: "apps:\n  - wxa\n",
			want: []string{"apps[0] (file c.yaml:2): must be a list of KEY: VALUE lines"},
		},
		{
			name: "a foreign key that we would write",
			env: map[string]string{
				"WECHAT_APPID": "wxa", "WECHAT_TOKEN_SOURCE": "redis://h/1?key=T", "WECHAT_TOKEN_MIRROR": "redis://:pw@h:6379/1?key=T",
			},
			want: []string{"WECHAT_APPID: token mirror (environment WECHAT_APPID): is the same Redis key as WECHAT_APPID: token source"},
		},
		{
			name: "one key for two apps",
			file: "apps:\n" +
				"  - {appid: wxa, default: true, token_mirror: \"redis://h/1?key=T\"}\n" +
				"  - {appid: wxb, token_mirror: \"redis://h/1?key=T\"}\n",
			want: []string{"apps[1]: token mirror (file c.yaml:3): is the same Redis key as apps[0]: token mirror"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := appsFile(tc.file)
			w.env = tc.env
			if diff := cmp.Diff(tc.want, w.faults(t)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
