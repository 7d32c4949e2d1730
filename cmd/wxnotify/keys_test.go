package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
)

// What keys new prints is what the gateway loads: the key opens for the
// producer it was made for.
func TestKeysNewPrintsWhatTheGatewayLoads(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"approval", "null", "1e3"} {
		got := shell{}.must(t, "keys", "new", name, "--rights", "send,users")
		m := regexp.MustCompile(`(?s)^key: (wxn_[\w-]{43})\n\n(producers:\n.*)$`).FindStringSubmatch(got)
		if m == nil {
			t.Fatalf("got %q", got)
		}
		path := filepath.Join(t.TempDir(), "producers.yaml")
		if err := os.WriteFile(path, []byte(m[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Sources{Flags: map[string]string{"config": path}, ReadFile: os.ReadFile})
		if err != nil {
			t.Fatal(err)
		}
		want := []config.Producer{{
			Name: name, Keys: []apikey.Hash{apikey.Of(m[1])},
			Rights: []config.Right{config.RightSend, config.RightUsers},
		}}
		if diff := cmp.Diff(want, cfg.Producers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if again := (shell{}).must(t, "keys", "new", name); strings.Contains(again, m[1]) {
			t.Error("two runs printed one key")
		}
	}
}

func TestKeysNewAsJSON(t *testing.T) {
	t.Parallel()
	var k newKey
	if err := json.Unmarshal([]byte(shell{}.must(t, "keys", "new", "crm", "--json")), &k); err != nil {
		t.Fatal(err)
	}
	want := newKey{Name: "crm", Key: k.Key, Hash: apikey.Of(k.Key).String(), Rights: []string{"send", "read"}}
	if diff := cmp.Diff(want, k); diff != "" || len(k.Key) != 47 {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeysNewRefuses(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"name: ":                 {"bad name"},
		"there are send, read":   {"crm", "--rights", "fly"},
		"keys new needs NAME":    {},
		"at least one; leave th": {"crm", "--rights", ""},
	} {
		got := shell{}.run(t, append([]string{"keys", "new"}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, says) || got.stdout != "" {
			t.Errorf("%q: exit code %d, %q %q", args, got.code, got.stdout, got.stderr)
		}
	}
}
