package main

import (
	"errors"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// A change is taken over once it has stood still, and once; a fault too, since it
// must be told, but not each time.
func TestSettingsChanged(t *testing.T) {
	t.Parallel()
	files := map[string]string{"wxnotify.yaml": "max_attempts: 3\nwechat_secret_file: secret\n", "secret": "one"}
	s := &settings{
		load: func(readFile func(string) ([]byte, error)) (*config.Config, error) {
			return config.Load(config.Sources{Flags: map[string]string{config.FileFlag: "wxnotify.yaml"}, ReadFile: readFile})
		},
		read: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, errors.New("no such file")
		},
	}
	files["wxnotify.yaml"] = "wechat_appid: wx0123456789abcdef\n" + files["wxnotify.yaml"]
	if _, err := s.now(); err != nil {
		t.Fatal(err)
	}
	looks := func(what string, want ...bool) {
		t.Helper()
		for i, w := range want {
			if got := s.changed(); got != w {
				t.Errorf("%s: look %d: changed %t, want %t", what, i+1, got, w)
			}
		}
	}
	looks("nothing", false, false)
	files["secret"] = "two"
	looks("a secret", false, true)
	cfg, err := s.now()
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := cfg.App(""); a.Secret.Reveal() != "two" {
		t.Error("the new secret was not read")
	}
	looks("taken over", false)
	files["secret"] = "thr"
	looks("half written", false)
	files["secret"] = "three"
	looks("still being written", false, true)
	files["secret"] = "two"
	looks("as before", false, false)
	delete(files, "secret")
	looks("a fault", false, true)
	if _, err := s.now(); err == nil {
		t.Error("a file that is gone is no fault")
	}
	looks("the same fault", false, false)
}
