package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestUsersErase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const user = "u-to-be-erased"
	s.must(t, "users", "bind", user, siteOpenID)
	for range 2 {
		s.must(t, "send", "--template", "T", "--user", user, "--data", "thing1=geheim")
	}
	got := s.run(t, "users", "erase", user, "--dry-run")
	if got.code != exitOK || !strings.Contains(got.stderr, "1 binding and 2 notifications") {
		t.Errorf("dry run: %+v", got)
	}
	if got := s.run(t, "users", "erase", user); got.code != exitUsage || !strings.Contains(got.stderr, "--yes") {
		t.Errorf("with nobody to ask: %+v", got)
	}
	s.must(t, "users", "show", user)
	if got := s.run(t, "users", "erase", user, "--yes", "--app", "wxother"); got.code != exitUsage {
		t.Errorf("in an app that is not there: %+v", got)
	}

	var counts erasedCount
	if err := json.Unmarshal([]byte(s.must(t, "users", "erase", user, "--yes", "--json", "--by", "alice")), &counts); err != nil {
		t.Fatal(err)
	}
	if want := (erasedCount{Cancelled: 2, Unbound: 1, Tasks: 2}); counts != want {
		t.Errorf("got %+v, want %+v", counts, want)
	}
	if got := s.run(t, "users", "show", user); got.code != exitFailed {
		t.Errorf("still bound: %+v", got)
	}
	again := s.must(t, "users", "erase", user, "--yes", "--app", siteApp.AppID)
	if lines := strings.Fields(again); strings.Join(lines[len(lines)-7:], "") != "0000000" {
		t.Errorf("again: %s", again)
	}
	for name, args := range map[string][]string{"nobody": {}, "two": {"a", "b"}, "empty": {"", "--yes"}} {
		if got := s.run(t, append([]string{"users", "erase"}, args...)...); got.code != exitUsage {
			t.Errorf("%s: %+v", name, got)
		}
	}
	away := s.with(map[string]string{"REDIS_URL": "redis://127.0.0.1:1"})
	if got := away.run(t, "users", "erase", user, "--yes"); got.code != exitFailed || !strings.Contains(got.stderr, "repeat") {
		t.Errorf("without Redis: %+v", got)
	}
}
