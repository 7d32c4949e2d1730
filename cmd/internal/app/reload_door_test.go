package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// A gateway takes over who may come in and what there is to send: a key and a
// user of the console that are gone open nothing any more, at once.
func TestGatewayReloads(t *testing.T) {
	t.Parallel()
	const newKey = "wxn_reporting000000000000000000000000000000001"
	for _, tt := range []struct {
		name, watch string
		tell        func(*testing.T, *door)
	}{
		{"on SIGHUP", "0s", func(t *testing.T, d *door) {
			t.Helper()
			if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}},
		{"by itself", "20ms", func(*testing.T, *door) {}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			keys, password, file := filepath.Join(dir, "keys"), filepath.Join(dir, "password"), filepath.Join(dir, "wxnotify.yaml")
			write := func(path, text string) {
				t.Helper()
				if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(path+".new", path); err != nil {
					t.Fatal(err)
				}
			}
			write(keys, "approval:"+doorKey)
			write(password, testPassword)
			write(file, "strict_templates: \"true\"\n")
			env := doorEnv()
			delete(env, "API_KEYS")
			env["API_KEYS_FILE"], env["ADMIN_PASSWORD_FILE"], env["WXNOTIFY_CONFIG"] = keys, password, file
			env["CONFIG_WATCH"] = tt.watch
			r := newRig(t, simulator.Config{}, env)
			d := r.spawnGateway("--with-worker")

			status := func(key, template string) int {
				t.Helper()
				d.key = key
				status, _, err := d.call(t.Context(), http.MethodPost, "/v1/notifications", map[string]any{
					"template_id": template, "openid": simulator.OpenID("reader"), "data": notice().Data, "page": notice().Page,
				})
				if err != nil {
					t.Fatal(err)
				}
				return status
			}
			console := func() int { return ask(t, http.MethodGet, d.admin+"/admin/", testPassword).status }
			if got := console(); got != http.StatusOK {
				t.Fatalf("console: %d", got)
			}
			if got := status(doorKey, "monthly"); got != http.StatusUnprocessableEntity {
				t.Fatalf("an alias that is not set yet: %d", got)
			}

			write(file, fmt.Sprintf("strict_templates: \"true\"\ntemplates:\n  - template_id: %s\n    alias: monthly\n", simulator.SeedReport))
			write(password, "another "+testPassword)
			write(keys, "reporting:"+newKey)
			tt.tell(t, d)
			eventually(t, "the new key opens", func() error {
				if got := status(newKey, "monthly"); got != http.StatusAccepted {
					return fmt.Errorf("status %d", got)
				}
				return nil
			})
			if got := status(doorKey, "monthly"); got != http.StatusUnauthorized {
				t.Errorf("the key that is gone: %d", got)
			}
			eventually(t, "the session of a changed password is over", func() error {
				if got := console(); got == http.StatusOK {
					return errors.New("the console lets it in")
				}
				return nil
			})

			write(file, "nonsense: 1\nmax_age: never\n")
			tt.tell(t, d)
			eventually(t, "the faults are in the log", func() error {
				for _, want := range []string{"nonsense", "MAX_AGE"} {
					if !strings.Contains(d.log.String(), want) {
						return fmt.Errorf("not %s", want)
					}
				}
				return nil
			})
			if got := status(newKey, "monthly"); got != http.StatusAccepted {
				t.Errorf("after settings that were refused: %d", got)
			}
			for _, secret := range []string{newKey, doorKey, testPassword} {
				if strings.Contains(d.log.String(), secret) {
					t.Error("the log has a secret")
				}
			}
		})
	}
}
