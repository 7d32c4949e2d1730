package simulator_test

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func (c *caller) login(code string) result {
	return c.get("/sns/jscode2session?grant_type=authorization_code&appid=" + app.AppID + "&secret=" + app.Secret + "&js_code=" + code)
}

func (c *caller) code(appID, openID string) string {
	c.t.Helper()
	code, err := c.sim.LoginCode(appID, openID)
	must(c.t, err)
	return code
}

func TestCode2Session(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{Apps: []simulator.App{app, {AppID: "wx2", Secret: "s2"}}})
	must(t, c.sim.AddUser("", bob, "union-bob"))

	code := c.code("", alice)
	r := c.login(code)
	r.want(t, 0)
	if r.OpenID != alice || len(r.Session) != 24 || r.UnionID != "" || r.header.Get("Content-Type") != "text/plain" {
		t.Errorf("got %s as %s, want alice's openid, a session key of 24 characters, no unionid, as text/plain", r.body, r.header.Get("Content-Type"))
	}
	used := c.login(code)
	used.want(t, 40163)
	if got := trimRID(t, used, ", "); got != "code been used" {
		t.Errorf("got errmsg %q, want %q", got, "code been used")
	}
	c.send(c.token(), report(alice)).want(t, 43101) // the login made the openid known

	if r := c.login(c.code("", bob)); r.UnionID != "union-bob" {
		t.Errorf("got %s, want bob's unionid", r.body)
	}
	code = c.code("", alice)
	c.sim.ShiftTime(5 * time.Minute)
	c.login(code).want(t, 0)
	code = c.code("", alice)
	c.sim.ShiftTime(5*time.Minute + time.Second)
	c.login(code).want(t, 40029)
	c.login("invented").want(t, 40029)
	c.login(c.code("wx2", alice)).want(t, 40029)
	c.login("").want(t, 41008)
}
