package main

import (
	"strings"
	"testing"
)

func TestArgumentsAreNamed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		says string
		args []string
	}{
		{"users bind needs USER and OPENID", []string{"users", "bind", "u1"}},
		{"users bind needs USER and OPENID", []string{"users", "bind"}},
		{"users bind takes USER and OPENID and nothing else", []string{"users", "bind", "u1", "o1", "x"}},
		{"users show needs USER", []string{"users", "show"}},
		{"users import needs FILE", []string{"users", "import"}},
		{"users import takes FILE and nothing else", []string{"users", "import", "a", "b"}},
		{"templates resume needs TEMPLATE", []string{"templates", "resume"}},
		{"send takes FILE and nothing else", []string{"send", "a", "b"}},
	} {
		got := shell{}.run(t, tc.args...)
		path := tc.args[0]
		if path != "send" {
			path += " " + tc.args[1]
		}
		want := answer{code: exitUsage, stderr: "wxnotify: " + tc.says + "\nSee 'wxnotify " + path + " --help'.\n"}
		if got != want {
			t.Errorf("%v: got %+v, want %+v", tc.args, got, want)
		}
	}
}

func TestPositional(t *testing.T) {
	t.Parallel()
	for use, want := range map[string]struct {
		names   string
		least   int
		repeats bool
	}{
		"version":                     {"", 0, false},
		"bind USER OPENID":            {"USER OPENID", 2, false},
		"send [FILE]":                 {"FILE", 0, false},
		"show ID [flags]":             {"ID", 1, false},
		"settle ID... --as sent|dead": {"ID", 1, true},
		"search [WORD...]":            {"WORD", 0, true},
		"replay ID... | --all":        {"", 0, false},
	} {
		names, least, repeats := positional(use)
		if strings.Join(names, " ") != want.names || least != want.least || repeats != want.repeats {
			t.Errorf("%q: got %v, %d, %t, want %+v", use, names, least, repeats, want)
		}
	}
}
