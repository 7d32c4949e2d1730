package wechat

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"ok", "ok"},
		{"user refuse to accept the msg rid: 610b7ea3-036ff8e0-21a3f70c", "user refuse to accept the msg"},
		{"invalid code, rid: 610b7ea3-036ff8e0-21a3f70c", "invalid code"},
		{"invalid credential, access_token is invalid or not latest hint: [IWJsFA00994126]", "invalid credential, access_token is invalid or not latest"},
		{"invalid openid hints: [4EadlWPfe-.yw22a!] rid: 1-2-3", "invalid openid"},
		{"invalid openid hints: [ req_id: abc ]", "invalid openid"},
		{"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 1-2-3", "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist"},
		{"argument invalid! data.thing1.value invalid", "argument invalid! data.thing1.value invalid"},
		{"token " + testToken + " of " + testOpenID, "token *** of ***"},
		{"another's openid oZZZZZZZZZZZZZZZZZZZZZZZZZZZ", "another's openid ***"},
		{"text " + testText + "!", "text ***!"},
		{"page pages%2Freport%3Fpatient%3D4711 bad", "page *** bad"},
		{"a\x00b\r\nc\u202ed\xffe", "a b c d e"},
		{"short ab stays", "short ab stays"},
		{"longest " + testText + "续 first", "longest *** first"},
	} {
		got := clean(tc.in, []string{testToken, testOpenID, testText, testText + "续", testPage, "ab", ""})
		if got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestClipKeepsRunesWhole(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		got := clean(strings.Repeat("x", n)+strings.Repeat("字", 200), nil)
		if len(got) > maxMsg || len(got) < maxMsg-3 || !utf8.ValidString(got) {
			t.Errorf("offset %d: got %d bytes, valid %t", n, len(got), utf8.ValidString(got))
		}
	}
}

func TestFindRID(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ errmsg, field, want string }{
		{"x rid: 610b7ea3-036ff8e0-21a3f70c", "", "610b7ea3-036ff8e0-21a3f70c"},
		{"x", "610b7ea3-036ff8e0-21a3f70c", "610b7ea3-036ff8e0-21a3f70c"},
		{"x rid: 1-2", "3-4", "1-2"},
		{"x", testOpenID, ""},
		{"x rid: " + strings.Repeat("a", 65), "", ""},
		{"", "", ""},
	} {
		if got := findRID(tc.errmsg, tc.field); got != tc.want {
			t.Errorf("%q, %q: got %q, want %q", tc.errmsg, tc.field, got, tc.want)
		}
	}
}
