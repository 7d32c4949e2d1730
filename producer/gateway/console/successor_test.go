package console_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
)

// A console with other settings lets nobody in who is gone, and forgets no wrong
// password.
func TestSuccessor(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newRig(t, func(c *console.Config) { c.Now = func() time.Time { return now } })
	olga, victor, thief := r.nobody(), r.nobody(), r.nobody()
	thief.remote = "198.51.100.1:1"
	for _, v := range []struct {
		*visitor
		name string
	}{{olga, "olga"}, {victor, "victor"}} {
		if a := v.login(v.name, testPassword); a.Code != http.StatusSeeOther {
			t.Fatalf("%s: %d", v.name, a.Code)
		}
	}
	for range 5 {
		thief.login("olga", "wrong")
	}

	next := r.config
	next.Users = r.config.Users[:1]
	after, err := r.console.Successor(next)
	if err != nil {
		t.Fatal(err)
	}
	olga.console, victor.console, thief.console = after, after, after
	olga.want("/admin/", http.StatusOK)
	if a := victor.get("/admin/"); a.Code != http.StatusSeeOther {
		t.Errorf("the session of a user who is gone: %d", a.Code)
	}
	if a := thief.login("olga", testPassword); a.Code != http.StatusTooManyRequests {
		t.Errorf("who was locked out: %d", a.Code)
	}
	next.Users = nil
	if _, err := r.console.Successor(next); err == nil {
		t.Error("a console for nobody")
	}
}
