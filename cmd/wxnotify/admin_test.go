package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// What admin password prints is what a process loads, and nothing shows the
// password.
func TestAdminPasswordPrintsWhatIsLoaded(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ada", "null"} {
		got := shell{stdin: "correct horse\n"}.must(t, "admin", "password", name, "--role", "operator")
		path := filepath.Join(t.TempDir(), "users.yaml")
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Sources{Flags: map[string]string{"config": path}, ReadFile: os.ReadFile})
		if err != nil {
			t.Fatal(err)
		}
		if len(cfg.AdminUsers) != 1 || cfg.AdminUsers[0].Name != name || cfg.AdminUsers[0].Role != config.RoleOperator ||
			!cfg.AdminUsers[0].Password.Verify("correct horse") {
			t.Errorf("%s: %+v", name, cfg.AdminUsers)
		}
		if strings.Contains(got, "correct") {
			t.Errorf("the password is shown: %s", got)
		}
	}
}

func TestAdminPasswordRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin, want string
		args        []string
	}{
		"a short password": {"short\n", "at least 8", []string{"ada"}},
		"no password":      {"", "at least 8", []string{"ada"}},
		"a bad name":       {"correct horse\n", "name: ", []string{"ada lovelace"}},
		"no name":          {"correct horse\n", "NAME", nil},
		"another role":     {"correct horse\n", "--role", []string{"ada", "--role", "root"}},
	} {
		got := shell{stdin: c.stdin}.run(t, append([]string{"admin", "password"}, c.args...)...)
		if got.code == exitOK || got.stdout != "" || !strings.Contains(got.stderr, c.want) || strings.Contains(got.stderr, "correct horse") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
