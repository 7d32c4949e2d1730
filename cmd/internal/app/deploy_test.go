package app_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// settingNames are the variables that the program reads.
func settingNames() map[string]bool {
	names := map[string]bool{config.FileEnv: true}
	for _, d := range config.Definitions() {
		names[d.Env] = true
		if twin := d.FileTwin(); twin != "" {
			names[twin] = true
		}
	}
	return names
}

// wantSettings fails for a variable that nothing reads.
func wantSettings(t *testing.T, where string, names []string) {
	t.Helper()
	known := settingNames()
	for _, name := range names {
		if !known[name] {
			t.Errorf("%s sets %s, which is no setting", where, name)
		}
	}
}

// service is a service of docker-compose.yml.
type service struct {
	Image       string            `yaml:"image"`
	Command     any               `yaml:"command"`
	User        string            `yaml:"user"`
	Restart     string            `yaml:"restart"`
	ReadOnly    bool              `yaml:"read_only"`
	CapDrop     []string          `yaml:"cap_drop"`
	SecurityOpt []string          `yaml:"security_opt"`
	MemLimit    string            `yaml:"mem_limit"`
	CPUs        any               `yaml:"cpus"`
	PidsLimit   int               `yaml:"pids_limit"`
	Environment map[string]string `yaml:"environment"`
	Secrets     []string          `yaml:"secrets"`
	Ports       []string          `yaml:"ports"`
	Profiles    []string          `yaml:"profiles"`
	Grace       string            `yaml:"stop_grace_period"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	Deploy struct {
		Replicas int `yaml:"replicas"`
	} `yaml:"deploy"`
}

type compose struct {
	Services map[string]service `yaml:"services"`
	Secrets  map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

// checkHardened: a container that is taken over can do little, and takes nothing
// from the others.
func (s service) checkHardened(t *testing.T, name string) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("%s: read_only %t, cap_drop %v, security_opt %v", name, s.ReadOnly, s.CapDrop, s.SecurityOpt)
	}
	if s.User == "" || s.User == "0" || strings.HasPrefix(s.User, "0:") {
		t.Errorf("%s runs as user %q", name, s.User)
	}
	if s.MemLimit == "" || s.CPUs == nil || s.PidsLimit == 0 {
		t.Errorf("%s: memory %q, CPUs %v, processes %d: no limit", name, s.MemLimit, s.CPUs, s.PidsLimit)
	}
	for _, p := range s.Ports {
		if !strings.HasPrefix(p, "127.0.0.1:") {
			t.Errorf("%s: port %s can be reached from other machines", name, p)
		}
	}
	if tag := s.Image[strings.LastIndex(s.Image, ":")+1:]; tag == "latest" || strings.Contains(tag, "/") {
		t.Errorf("%s: image %s has no version", name, s.Image)
	}
	// One ends, the other is a toy that needs no watch.
	if once := strings.HasSuffix(name, "migrate"); once != (s.Restart == "no") {
		t.Errorf("%s: restart %q", name, s.Restart)
	} else if !once && name != "demo-simulator" && len(s.Healthcheck.Test) == 0 {
		t.Errorf("%s has no health check", name)
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	c := documents[compose](t, "docker-compose.yml")[0]
	made := deployFile(t, "deploy/secrets.sh")
	ports := map[string]string{}
	for name, s := range c.Services {
		s.checkHardened(t, name)
		for _, secret := range s.Secrets {
			if c.Secrets[secret].File != "deploy/secrets/"+secret || !regexp.MustCompile(`\b`+secret+`\b`).MatchString(made) {
				t.Errorf("%s: secret %s is not declared, or not made by secrets.sh", name, secret)
			}
		}
		for _, value := range s.Environment {
			if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, secret) {
				t.Errorf("%s reads secret %s, which it is not given", name, secret)
			}
		}
		for _, p := range s.Ports {
			host := p[:strings.LastIndex(p, ":")]
			if ports[host] != "" {
				t.Errorf("%s and %s share %s", name, ports[host], host)
			}
			ports[host] = name
		}
		if strings.HasPrefix(s.Image, "wxnotify:") {
			checkEnvironment(t, name, s)
		}
	}
	if n := c.Services["worker"].Deploy.Replicas; n != 2 {
		t.Errorf("%d workers", n)
	}
	for name, most := range map[string]time.Duration{"worker": 30 * time.Second, "demo-worker": 30 * time.Second, "gateway": 50 * time.Second, "demo-gateway": 50 * time.Second} {
		if d, err := time.ParseDuration(c.Services[name].Grace); err != nil || d < most {
			t.Errorf("%s gets %q to end, which needs %v", name, c.Services[name].Grace, most)
		}
	}
}

// checkEnvironment loads the settings as the program does. Secrets that are
// files are replaced by something that fits.
func checkEnvironment(t *testing.T, name string, s service) {
	t.Helper()
	env := map[string]string{}
	maps.Copy(env, s.Environment)
	wantSettings(t, name, keys(env))
	if strings.HasPrefix(env["WECHAT_APPID"], "${") {
		env["WECHAT_APPID"] = "wx0123456789abcdef"
	}
	cfg, err := config.Load(config.Sources{
		LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			text, ok := secretExamples[filepath.Base(path)]
			if !ok {
				return nil, fmt.Errorf("%s: %w", path, os.ErrNotExist)
			}
			return []byte(text), nil
		},
	})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	roles := map[string]config.Role{"worker": config.RoleWorker, "gateway": config.RoleGateway, "migrate": config.RoleDatabase}
	if role, ok := roles[strings.TrimPrefix(name, "demo-")]; ok {
		if err := cfg.Needs(role); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Healthcheck.Test != nil && cfg.AdminAddr != ":9090" {
		t.Errorf("%s: ADMIN_ADDR is %q, and Prometheus asks port 9090", name, cfg.AdminAddr)
	}
}

// TestSecretsScript: it makes every secret that the compose file mounts, each of
// a form that the program takes, and keeps what is there.
func TestSecretsScript(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	script := filepath.Join(top, "deploy", "secrets.sh")
	if err := os.MkdirAll(filepath.Dir(script), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte(deployFile(t, "deploy/secrets.sh")), 0o600); err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for range 2 {
		cmd := exec.CommandContext(t.Context(), "bash", script)
		cmd.Stdin = strings.NewReader("0123456789abcdef0123456789abcdef")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for name, example := range documents[compose](t, "docker-compose.yml")[0].Secrets {
			b, err := os.ReadFile(filepath.Join(top, example.File))
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := made[name]; ok && before != string(b) {
				t.Errorf("the second run made another %s", name)
			}
			made[name] = string(b)
		}
	}
	_, err := config.Load(config.Sources{
		LookupEnv: func(k string) (string, bool) {
			name, ok := map[string]string{
				"REDIS_URL_FILE": "redis_url", "DATABASE_URL_FILE": "database_url", "WECHAT_SECRET_FILE": "wechat_secret",
				"ADMIN_PASSWORD_FILE": "admin_password", "WECHAT_CALLBACK_TOKEN_FILE": "callback_token",
				"WECHAT_CALLBACK_AES_KEY_FILE": "callback_aes_key", "API_KEYS_FILE": "api_keys",
			}[k]
			if k == "WECHAT_APPID" {
				return "wx0123456789abcdef", true
			}
			if !ok {
				return "", false
			}
			return filepath.Join(top, "deploy", "secrets", name), true
		},
		ReadFile: os.ReadFile,
	})
	if err != nil {
		t.Error(err)
	}
}

// secretExamples are what the files of secrets may hold.
var secretExamples = map[string]string{
	"redis_url": "redis://:x@redis:6379/0", "database_url": "postgres://wxnotify:x@postgres:5432/wxnotify",
	"wechat_secret": "0123456789abcdef0123456789abcdef", "admin_password": "0123456789abcdef",
	"callback_token": "token", "callback_aes_key": callbackAESKey, "api_keys": "default:" + strings.Repeat("k", 32),
}

func keys(m map[string]string) []string { return slices.Collect(maps.Keys(m)) }

// TestDockerfile: the image runs as somebody who is not root, from images with a
// version, and fetches nothing but modules.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	file := deployFile(t, "deploy/Dockerfile")
	var user string
	for line := range strings.Lines(file) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "USER":
			user = rest
		case "FROM":
			if rest != "scratch" && !regexp.MustCompile(`:[0-9][^ ]* AS build$`).MatchString(rest) {
				t.Errorf("FROM %s: no version", rest)
			}
		case "ADD":
			t.Errorf("ADD %s: COPY does what is seen", rest)
		case "RUN":
			if strings.Contains(rest, "curl") || strings.Contains(rest, "wget") || strings.Contains(rest, "apt") {
				t.Errorf("RUN %s: fetches what nobody checks", rest)
			}
		}
	}
	if !regexp.MustCompile(`^[1-9][0-9]*:[1-9][0-9]*$`).MatchString(user) {
		t.Errorf("USER %q", user)
	}
	if !strings.HasSuffix(strings.TrimSpace(file), "CMD [\"--help\"]") || !strings.Contains(file, "CGO_ENABLED=0") {
		t.Error("not a static program with an entry point")
	}
}

// TestSystemdUnits: the units set what is a setting, start what is a command,
// and may do little.
func TestSystemdUnits(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]time.Duration{"worker": 30 * time.Second, "gateway": 50 * time.Second} {
		path := "deploy/systemd/wxnotify-" + name + ".service"
		given := map[string][]string{}
		for line := range strings.Lines(deployFile(t, path)) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
				given[key] = append(given[key], value)
			}
		}
		var names, credentials []string
		for _, v := range given["LoadCredential"] {
			credential, _, _ := strings.Cut(v, ":")
			credentials = append(credentials, credential)
		}
		for _, v := range given["Environment"] {
			key, value, _ := strings.Cut(v, "=")
			names = append(names, key)
			if credential, ok := strings.CutPrefix(value, "%d/"); ok && !slices.Contains(credentials, credential) {
				t.Errorf("%s: %s is not loaded", path, credential)
			}
		}
		wantSettings(t, path, names)
		for key, want := range map[string]string{
			"ExecStart": "/usr/local/bin/wxnotify " + name, "Restart": "always", "DynamicUser": "yes", "NoNewPrivileges": "yes",
			"ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "CapabilityBoundingSet": "",
			"MemoryDenyWriteExecute": "yes", "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
		} {
			if !slices.Contains(given[key], want) {
				t.Errorf("%s: %s is %q, want %q", path, key, given[key], want)
			}
		}
		if d, err := time.ParseDuration(strings.Join(given["TimeoutStopSec"], "") + "s"); err != nil || d < least {
			t.Errorf("%s: TimeoutStopSec %q, want at least %v", path, given["TimeoutStopSec"], least)
		}
	}
}
