package config_test

import (
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
)

func TestAdminUsers(t *testing.T) {
	t.Parallel()
	hash := password.New("correct horse").String()
	w := appsFile("apps: [{appid: wx0000000000000001, secret: s}]\nadmin_users:\n" +
		"  - {name: ada, password_hash: \"" + hash + "\", role: operator}\n" +
		"  - {name: grace, password_hash_file: /run/secrets/grace}\n")
	w.files["/run/secrets/grace"] = hash + "\n"
	cfg := w.load(t)
	if len(cfg.AdminUsers) != 2 || cfg.AdminUsers[0].Role != config.RoleOperator || cfg.AdminUsers[1].Role != config.RoleViewer {
		t.Fatalf("users: %+v", cfg.AdminUsers)
	}
	for _, u := range cfg.AdminUsers {
		if !u.Password.Verify("correct horse") || u.Password.Verify("correct") {
			t.Errorf("the password of %s does not verify", u.Name)
		}
	}
	for _, s := range cfg.Effective() {
		if strings.Contains(s.Value, "argon2id") {
			t.Errorf("%s shows the hash", s.Name)
		}
	}
}

func TestAdminUsersFaults(t *testing.T) {
	t.Parallel()
	hash := password.New("correct horse").String()
	const apps = "apps: [{appid: wx0000000000000001, secret: s}]\nadmin_users:\n"
	for name, c := range map[string]struct{ item, want string }{
		"no name":        {"- {password_hash: '" + hash + "'}", "admin_users[0].name"},
		"no hash":        {"- {name: ada}", "admin_users[0].password_hash"},
		"a password":     {"- {name: ada, password_hash: canary-password}", "admin_users[0].password_hash"},
		"no such role":   {"- {name: ada, password_hash: '" + hash + "', role: root}", "admin_users[0].role"},
		"twice":          {"- {name: ada, password_hash: '" + hash + "'}\n- {name: ada, password_hash: '" + hash + "'}", "admin_users[1].name"},
		"the one of env": {"- {name: admin, password_hash: '" + hash + "'}", "admin_users[0].name"},
		"unknown key":    {"- {name: ada, password_hash: '" + hash + "', password: x}", "admin_users[0].password"},
	} {
		w := appsFile(apps + c.item)
		w.env = map[string]string{"ADMIN_PASSWORD": "long enough"}
		_, err := config.Load(w.sources())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a fault of %s", name, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), hash) {
			t.Errorf("%s: the fault repeats a secret", name)
		}
	}
}
