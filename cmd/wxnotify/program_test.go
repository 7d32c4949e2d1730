package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// shell runs command lines in this process.
type shell struct {
	env   map[string]string
	stdin string
}

type answer struct {
	code           int
	stdout, stderr string
}

func (s shell) run(t *testing.T, args ...string) answer {
	t.Helper()
	return s.runContext(context.Background(), args...)
}

func (s shell) runContext(ctx context.Context, args ...string) answer {
	var stdout, stderr bytes.Buffer
	p := &program{
		stdin: strings.NewReader(s.stdin), stdout: &stdout, stderr: &stderr,
		lookupEnv: func(name string) (string, bool) {
			text, ok := s.env[name]
			return text, ok
		},
		readFile: os.ReadFile,
	}
	code := p.run(ctx, args)
	return answer{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// must runs a command line that has to succeed and returns its stdout.
func (s shell) must(t *testing.T, args ...string) string {
	t.Helper()
	got := s.run(t, args...)
	if got.code != exitOK {
		t.Fatalf("wxnotify %s: exit code %d\n%s", strings.Join(args, " "), got.code, got.stderr)
	}
	return got.stdout
}

func TestExitCodesOfTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		code int
		says string // on stderr; "" means that stderr is empty
	}{
		{"help", []string{"--help"}, nil, exitOK, ""},
		{"help of a command", []string{"config", "--help"}, nil, exitOK, ""},
		{"help by command", []string{"help", "version"}, nil, exitOK, ""},
		{"nothing", nil, nil, exitUsage, "Usage:"},
		{"unknown command", []string{"sned"}, nil, exitUsage, `unknown command "sned"`},
		{"near command", []string{"vversion"}, nil, exitUsage, "did you mean version?"},
		{"unknown flag", []string{"version", "--jsno"}, nil, exitUsage, "unknown flag: --jsno"},
		{"flag without value", []string{"config", "--concurrency"}, nil, exitUsage, "flag needs an argument"},
		{"argument too many", []string{"version", "x"}, nil, exitUsage, "See 'wxnotify version --help'"},
		{"two forms at once", []string{"config", "--json", "--markdown"}, nil, exitUsage, "markdown"},
		{"wrong setting on the command line", []string{"config", "--concurrency=0"}, nil, exitUsage, "CONCURRENCY (flag --concurrency)"},
		{"wrong setting elsewhere", []string{"config"}, map[string]string{"CONCURRENCY": "0"}, exitFailed, "CONCURRENCY (environment CONCURRENCY)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := shell{env: tc.env}.run(t, tc.args...)
			if got.code != tc.code {
				t.Errorf("exit code: got %d, want %d", got.code, tc.code)
			}
			if !strings.Contains(got.stderr, tc.says) || tc.says == "" && got.stderr != "" {
				t.Errorf("stderr: got %q, want %q in it", got.stderr, tc.says)
			}
			if (got.stdout == "") != (tc.code != exitOK) {
				t.Errorf("stdout: got %q", got.stdout)
			}
		})
	}
}

// TestEveryCommandIsDescribed walks the tree, so that a new command cannot
// forget its help.
func TestEveryCommandIsDescribed(t *testing.T) {
	t.Parallel()
	root := new(program).root()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: the short help is %q", cmd.CommandPath(), cmd.Short)
		}
		if cmd.RunE == nil {
			t.Errorf("%s does nothing when it is called", cmd.CommandPath())
		}
		if cmd.Parent() == root && cmd.GroupID == "" && !cmd.Hidden {
			t.Errorf("%s is in no group", cmd.CommandPath())
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		if got := (shell{}).run(t, append(path, "--help")...); got.code != exitOK || !strings.Contains(got.stdout, "Usage:") {
			t.Errorf("%s --help: exit code %d, %q", cmd.CommandPath(), got.code, got.stdout)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

func TestConfigShowsEverythingButSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-value"
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("max_attempts: 3\napps: [{appid: wxb, secret: "+secret+"}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sh := shell{env: map[string]string{
		"WXNOTIFY_CONFIG": file, "REDIS_URL": "redis://:" + secret + "@h/0", "WECHAT_APPID": "wxa", "WECHAT_SECRET": secret,
	}}
	text := sh.must(t, "config", "--concurrency", "9")
	rows := map[string][]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 {
			rows[f[0]] = f[1:]
		}
	}
	for name, want := range map[string]string{
		"SETTING":        "VALUE FROM",
		"REDIS_URL":      "redis://:***@h:6379/0 environment REDIS_URL",
		"WECHAT_SECRET":  "*** environment WECHAT_SECRET",
		"CONCURRENCY":    "9 flag --concurrency",
		"MAX_ATTEMPTS":   "3 file " + file + ":1",
		"SEND_TIMEOUT":   "10s default",
		"ADMIN_PASSWORD": "not set",
		"apps[0].secret": "*** file " + file + ":2",
	} {
		if got := strings.Join(rows[name], " "); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}

	asJSON := sh.must(t, "config", "--json")
	var list []config.Setting
	if err := json.Unmarshal([]byte(asJSON), &list); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(list, config.Setting{Name: "WECHAT_SECRET", Value: "***", Origin: "environment WECHAT_SECRET"}) {
		t.Errorf("--json: got %v", list)
	}
	if strings.Contains(text+asJSON, secret) {
		t.Error("a secret is shown")
	}
	if got := sh.must(t, "config", "--markdown"); got != config.Markdown() {
		t.Errorf("--markdown: got %q", got)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := (shell{}).must(t, "version"); !strings.HasPrefix(got, "wxnotify ") || !strings.Contains(got, " go1.") {
		t.Errorf("got %q", got)
	}
	var v versionInfo
	if err := json.Unmarshal([]byte(shell{}.must(t, "version", "--json")), &v); err != nil || v.Go == "" || v.Version == "" {
		t.Errorf("--json: got %+v, %v", v, err)
	}
}

func TestVersionOfARelease(t *testing.T) {
	t.Parallel()
	v := newVersionInfo(&debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
		},
	})
	v.Go, v.Platform = "go1.26", "linux/amd64"
	if got, want := v.String(), "wxnotify v1.2.3 (abc with changes, 2026-01-02T03:04:05Z) go1.26 linux/amd64"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for name, info := range map[string]*debug.BuildInfo{"no build information": nil, "nothing of the work tree": {}} {
		v := newVersionInfo(info)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if v.Version != "(devel)" || strings.Contains(string(b), "modified") || strings.Contains(v.String(), "changes") {
			t.Errorf("%s: got %s, %q", name, b, v)
		}
	}
}

// TestBinary builds and runs the real thing once: main hands over arguments,
// environment and exit code.
func TestBinary(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "wxnotify")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, tc := range []struct {
		args []string
		code int
	}{
		{[]string{"config", "--json"}, exitFailed},
		{[]string{"config", "--max-attempts=x"}, exitUsage},
		{[]string{"version"}, exitOK},
	} {
		cmd := exec.CommandContext(t.Context(), binary, tc.args...)
		cmd.Env = []string{"CONCURRENCY=none"}
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != tc.code {
			t.Errorf("%v: exit code %d, want %d\n%s", tc.args, got, tc.code, out)
		}
	}
}
