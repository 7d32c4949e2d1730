package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUsersBind(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			sh.must(t, "migrate", "up")
			for _, step := range []struct{ user, openID, want string }{
				{"u1", testOpenID, "created\n"},
				{"u1", testOpenID, "unchanged\n"},
				{"u1", "oOther", "changed: the user had another openid\n"},
				{"u2", "oOther", "moved: the openid belonged to another user, who is unbound now\n"},
			} {
				if got := sh.must(t, "users", "bind", step.user, step.openID); got != step.want {
					t.Errorf("bind %s %s: got %q, want %q", step.user, step.openID, got, step.want)
				}
			}
			var counts map[string]int
			if err := json.Unmarshal([]byte(sh.must(t, "users", "bind", "u3", "oThird", "--json")), &counts); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]int{"created": 1, "changed": 0, "moved": 0, "unchanged": 0}, counts); diff != "" {
				t.Errorf("--json (-want +got):\n%s", diff)
			}
			if got := sh.run(t, "users", "show", "u1"); got.code != exitFailed || !strings.Contains(got.stderr, "not bound") {
				t.Errorf("show of the one who lost it: got %+v", got)
			}
		})
	}
}

func TestUsersBindWrongUsage(t *testing.T) {
	t.Parallel()
	sh := eachStore["sqlite"](t)
	sh.must(t, "migrate", "up")
	for name, args := range map[string][]string{
		"no openid":         {"u1"},
		"too many":          {"u1", "o", "x"},
		"empty user":        {"", "o"},
		"empty openid":      {"u1", ""},
		"long user":         {strings.Repeat("x", 129), "o"},
		"space in openid":   {"u1", "o x"},
		"slash in openid":   {"u1", "o/x"},
		"long openid":       {"u1", strings.Repeat("o", 129)},
		"invalid UTF-8":     {"\xd6\xd0", "o"},
		"control character": {"u\x1b[2J", "o"},
		"unknown app":       {"u1", "o", "--app", "wxother"},
	} {
		if got := sh.run(t, append([]string{"users", "bind"}, args...)...); got.code != exitUsage {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestUsersShow(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			const unionID = "uABCDEFGHIJKLMNOPQRSTUVWXYZ2"
			sh.must(t, "migrate", "up")
			sh.must(t, "users", "bind", "u1", testOpenID, "--unionid", unionID)
			text, asJSON := sh.must(t, "users", "show", "u1"), sh.must(t, "users", "show", "u1", "--json")
			if strings.Contains(text+asJSON, testOpenID) || strings.Contains(text+asJSON, unionID) {
				t.Error("an id is shown in full")
			}
			if !strings.Contains(text, "oAbc***xyz1") || !strings.Contains(text, "uABC***XYZ2") || !strings.Contains(text, testApp) {
				t.Errorf("got %s", text)
			}
			var list []shownBinding
			if err := json.Unmarshal([]byte(sh.must(t, "users", "show", "u1", "--json", "--reveal")), &list); err != nil {
				t.Fatal(err)
			}
			if len(list) != 1 || time.Since(list[0].UpdatedAt).Abs() > time.Hour {
				t.Fatalf("--json: got %+v", list)
			}
			list[0].UpdatedAt = time.Time{}
			if want := (shownBinding{App: testApp, UserID: "u1", OpenID: testOpenID, UnionID: unionID}); list[0] != want {
				t.Errorf("--reveal: got %+v, want %+v", list[0], want)
			}
			if got := sh.run(t, "users", "show", "u1", "--app", "wxother", "--json"); got.code != exitFailed || got.stdout != "[]\n" {
				t.Errorf("in another app: got %+v", got)
			}
		})
	}
}

func TestMaskID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"": "", "short": "***", "exactly15chars.": "***", "exactly16chars..": "exac***rs.."} {
		if got := maskID(id); got != want {
			t.Errorf("%q: got %q, want %q", id, got, want)
		}
	}
}
