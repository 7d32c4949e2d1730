package simulator_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// tap posts the form of the page of phones, as a browser on the page at origin
// does, and returns the status without following the redirect.
func (c *caller) tap(origin string, form url.Values) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.base+"/_sim/tap", strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	res, err := c.client.Transport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// The user answers on the page: that changes the consent, the page shows it, and
// WeChat pushes the event.
func TestTapsOnThePageOfPhones(t *testing.T) {
	t.Parallel()
	address, pushes := receiver(t, success)
	cfg := withCallback(simulator.Callback{URL: address, Popups: true})
	cfg.Names = map[string]string{alice: "alice 爱丽丝"}
	c := start(t, cfg)
	if err := c.sim.AddUser("", alice, ""); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"appid": {app.AppID}, "openid": {alice}, "template_id": {simulator.SeedReview}, "answer": {"accept"}}
	for range 2 {
		if got := c.tap(c.base, form); got != http.StatusSeeOther {
			t.Fatalf("a tap: status %d", got)
		}
		c.next(pushes)
	}
	page := string(c.get("/_sim/").body)
	for _, want := range []string{"<strong>alice 爱丽丝</strong>", "No message yet.", "待审核通知 <small>allows 2 messages</small>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q: %s", want, page)
		}
	}
	form.Set("answer", "reject")
	c.tap("", form)
	c.next(pushes)
	if balance, _ := c.sim.Balance("", alice, simulator.SeedReview); balance != 0 {
		t.Errorf("%d messages are allowed after a refusal", balance)
	}
}

func TestTapsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	good := url.Values{"openid": {alice}, "template_id": {simulator.SeedReview}, "answer": {"accept"}}
	for name, tc := range map[string]struct {
		origin, field, value string
		want                 int
	}{
		"from another page": {origin: "https://evil.example", want: http.StatusForbidden},
		"no such template":  {field: "template_id", value: "none", want: http.StatusBadRequest},
		"no such answer":    {field: "answer", value: "perhaps", want: http.StatusBadRequest},
		"no user":           {field: "openid", value: "", want: http.StatusBadRequest},
		"too long":          {field: "answer", value: strings.Repeat("a", 5000), want: http.StatusBadRequest},
	} {
		form := maps.Clone(good)
		if tc.field != "" {
			form.Set(tc.field, tc.value)
		}
		if got := c.tap(tc.origin, form); got != tc.want {
			t.Errorf("%s: status %d, want %d", name, got, tc.want)
		}
	}
	if balance, _ := c.sim.Balance("", alice, simulator.SeedReview); balance != 0 {
		t.Errorf("%d messages are allowed", balance)
	}
}

// Where everybody allows everything there is nothing to tap.
func TestNoTapsWithAutoConsent(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{AutoConsent: true})
	if err := c.sim.AddUser("", alice, ""); err != nil {
		t.Fatal(err)
	}
	if page := string(c.get("/_sim/").body); strings.Contains(page, "<form") || !strings.Contains(page, alice) {
		t.Errorf("got %s", page)
	}
}
