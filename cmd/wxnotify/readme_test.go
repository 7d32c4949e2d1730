package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The settings table is that of the code; write it anew with
// `wxnotify config --markdown`.
func TestReadmeHasTheSettings(t *testing.T) {
	t.Parallel()
	_, rest, found := strings.Cut(readme(t), "<!-- settings: wxnotify config --markdown -->\n")
	table, _, closed := strings.Cut(rest, "<!-- end of settings -->")
	if !found || !closed {
		t.Fatal("the README has no marked settings table")
	}
	if got, want := strings.TrimSpace(table), strings.TrimSpace(config.Markdown()); got != want {
		t.Errorf("the README's settings table differs from `wxnotify config --markdown`:\n%s", want)
	}
}

// Every command that the README shows exists, and every sample of dev is in its
// table with the state it must end in.
func TestReadmeShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	text := readme(t)
	commands := map[string]bool{}
	for _, c := range (&program{}).root().Commands() {
		commands[c.Name()] = true
	}
	for _, m := range regexp.MustCompile("(?m)(?:\\./|`| )wxnotify ([a-z]+)").FindAllStringSubmatch(text, -1) {
		if word := m[1]; !commands[word] && word != "sends" && word != "finds" {
			t.Errorf("the README speaks of `wxnotify %s`, which is no command", word)
		}
	}
	if strings.Contains(text, "@@") {
		t.Error("the README has a placeholder")
	}
	for _, s := range samples() {
		line := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(s.title) + `\s.*\s` + string(s.want.state) + `\s.*ok$`)
		if !line.MatchString(text) {
			t.Errorf("the README's output of dev does not show %q ending %s", s.title, s.want.state)
		}
	}
}
