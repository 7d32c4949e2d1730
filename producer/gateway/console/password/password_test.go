package password_test

import (
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/producer/gateway/console/password"
)

func TestHash(t *testing.T) {
	t.Parallel()
	h := password.New("correct horse")
	if strings.Contains(h.String(), "correct") || !strings.HasPrefix(h.String(), "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("text: %s", h)
	}
	read, err := password.Parse(h.String())
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"correct horse": true, "correct hors": false, "correct horse ": false, "": false} {
		if h.Verify(text) != want || read.Verify(text) != want {
			t.Errorf("%q: %v and %v, want %v", text, h.Verify(text), read.Verify(text), want)
		}
	}
	if password.New("correct horse").String() == h.String() {
		t.Error("two hashes have one salt")
	}
	if (password.Hash{}).Verify("") {
		t.Error("the zero hash verifies")
	}
}

// Processes with one password come to one hash, and other passwords to others.
func TestShared(t *testing.T) {
	t.Parallel()
	a, b := password.Shared("correct horse"), password.Shared("correct horse")
	if a.String() != b.String() || !a.Verify("correct horse") || a.String() == password.Shared("battery staple").String() {
		t.Errorf("%s and %s", a, b)
	}
}

// The hash is that of a test of the reference implementation,
// https://github.com/P-H-C/phc-winner-argon2/blob/master/src/test.c, in its text
// form.
func TestParse(t *testing.T) {
	t.Parallel()
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	h, err := password.Parse("$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + key)
	if err != nil || !h.Verify("password") {
		t.Errorf("the reference's hash: %v", err)
	}
	for name, text := range map[string]string{
		"empty":           "",
		"a password":      "correct horse battery staple",
		"another kind":    "$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + key,
		"bcrypt":          "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"another version": "$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + key,
		"text behind":     "$argon2id$v=19$m=65536,t=2,p=1,x=1$" + salt + "$" + key,
		"no salt":         "$argon2id$v=19$m=65536,t=2,p=1$$" + key,
		"no key":          "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$",
		"a short key":     "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$AAAA",
		"not base64":      "$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$****",
		"no passes":       "$argon2id$v=19$m=65536,t=0,p=1$" + salt + "$" + key,
		"no threads":      "$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + key,
		"too much memory": "$argon2id$v=19$m=4194304,t=2,p=1$" + salt + "$" + key,
		"too many passes": "$argon2id$v=19$m=65536,t=999,p=1$" + salt + "$" + key,
	} {
		if _, err := password.Parse(text); err == nil {
			t.Errorf("%s: read", name)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error repeats the text", name)
		}
	}
}
