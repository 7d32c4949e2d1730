package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
)

const examplePath = "../../../deploy/config.example.yaml"

func example(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestExampleLoads(t *testing.T) {
	t.Parallel()
	cfg := appsFile(example(t)).load(t)
	if cfg.Redis.IsZero() || cfg.Database.IsZero() || len(cfg.Apps) != 1 {
		t.Errorf("the example leaves out what a worker needs: %v", cfg.Effective())
	}
	if len(cfg.Templates) != 5 || cfg.StrictTemplates != template.StrictAuto {
		t.Errorf("the example has %d templates, %s: want 5, auto", len(cfg.Templates), cfg.StrictTemplates)
	}
}

// keyLine is a setting of the example, commented out or not.
var keyLine = regexp.MustCompile(`^ *(?:- )?(?:# *)?(?:- )?([a-z_]+): ?(.*)$`)

// TestExampleIsComplete holds the example to the table: every setting is in it,
// and what is commented out shows its default.
func TestExampleIsComplete(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	for line := range strings.Lines(example(t)) {
		if m := keyLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			values[m[1]] = m[2]
		}
	}
	check := func(key, def string, secret bool) {
		value, ok := values[key]
		if !ok && secret {
			_, ok = values[key+"_file"]
		}
		if !ok {
			t.Errorf("%s is missing in the example", key)
		}
		if ok && !secret && def != "" && value != def && key != "max_send_rate" && key != "default" {
			t.Errorf("%s: the example shows %q, the default is %q", key, value, def)
		}
	}
	for _, d := range config.Definitions() {
		check(d.Key, d.Default, d.Secret)
	}
	for _, d := range slices.Concat(config.AppDefinitions(), config.ProducerDefinitions(), config.TemplateDefinitions(), config.AdminUserDefinitions()) {
		check(d.Key[strings.LastIndex(d.Key, ".")+1:], d.Default, d.Secret)
	}
}

// TestExampleUncommented loads the example with all that is commented out, so
// that no sample in it is wrong.
func TestExampleUncommented(t *testing.T) {
	t.Parallel()
	var lines []string
	commented := regexp.MustCompile(`^( *)# ( *[a-z_]+:(?: .*)?)$`)
	for line := range strings.Lines(example(t)) {
		line = strings.TrimRight(line, "\n")
		m := commented.FindStringSubmatch(line)
		if m == nil {
			lines = append(lines, line)
			continue
		}
		key, _, _ := strings.Cut(m[2], ":")
		switch strings.TrimSpace(key) {
		case "database_url_file", "wechat_appid", "wechat_token_source", "wechat_token_mirror", "wechat_secret_file",
			"wechat_callback_token_file", "wechat_callback_aes_key_file", "wechat_callback_plaintext":
			continue // instead of a line that is there already
		}
		lines = append(lines, m[1]+m[2])
	}
	w := appsFile(strings.Join(lines, "\n"))
	w.files["/run/secrets/wechat_secret"] = "secret"
	w.files["/run/secrets/admin_password"] = "long enough"
	w.files["/run/secrets/callback_token"] = "Token1"
	w.files["/run/secrets/callback_aes_key"] = strings.Repeat("A", 43)
	w.files["/run/secrets/api_keys"] = "other:" + strings.Repeat("k", 32)
	w.files["/run/secrets/approval_webhook"] = "whsec_" + strings.Repeat("A", 32)
	cfg := w.load(t)
	if got, want := cfg.Apps[0].OnlyTo, 2; len(got) != want {
		t.Errorf("the app's lines were not uncommented: only_to is %v", got)
	}
	if p := cfg.Producers[1]; p.Webhook.URL == "" || len(p.Webhook.Events) != 2 || !cfg.Apps[0].Callback.Receives() {
		t.Errorf("the lines of producers and callbacks were not uncommented: %+v", p)
	}
	if e := cfg.Templates[0]; e.App != cfg.Apps[0].AppID || e.Page == "" || *e.Policy.Wait != 24*time.Hour || len(e.Limits) != 1 {
		t.Errorf("the lines of templates were not uncommented: %+v", e)
	}
	if cfg.AdminPassword.Reveal() != "long enough" {
		t.Error("the settings' lines were not uncommented")
	}
}

func TestTableIsWellFormed(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
	config.AddFlags(flags) // panics on a flag that is there twice
	for _, d := range config.Definitions() {
		if !strings.HasSuffix(d.Doc, ".") || strings.Contains(d.Doc+d.Values+d.Default, "|") {
			t.Errorf("%s: %q is not a sentence that fits into a table", d.Env, d.Doc)
		}
		if d.Secret != (d.Flag == "") || d.Secret != (d.FileTwin() != "") {
			t.Errorf("%s: a secret has no flag and a file twin, anything else the reverse", d.Env)
		}
		if d.Flag != "" && flags.Lookup(d.Flag) == nil {
			t.Errorf("--%s is missing", d.Flag)
		}
		if !strings.Contains(config.Markdown(), "| `"+d.Env+"`") {
			t.Errorf("%s is missing in the table of the README", d.Env)
		}
	}
}

func TestGivenFlags(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
	config.AddFlags(flags)
	flags.Bool("json", false, "not ours")
	if err := flags.Parse([]string{"--json", "--concurrency=7", "--admin-addr", "", "--config", "c.yaml"}); err != nil {
		t.Fatal(err)
	}
	w := world{flags: config.GivenFlags(flags), files: map[string]string{"c.yaml": "max_attempts: 3\n"}}
	if len(w.flags) != 3 {
		t.Errorf("got %v, want the three that were given and are settings", w.flags)
	}
	cfg := w.load(t)
	if cfg.Concurrency != 7 || cfg.AdminAddr != "" || cfg.MaxAttempts != 3 {
		t.Errorf("got %+v", cfg)
	}
}
