package simulator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// alive checks what a send with the token is answered; the openid is unknown,
// so a token that is good gets 40003.
func (c *caller) alive(what, token string, errcode int) {
	c.t.Helper()
	if errcode == 0 {
		errcode = 40003
	}
	if r := c.send(token, report(bob)); r.Errcode != errcode {
		c.t.Errorf("%s: got %s, want errcode %d", what, r.body, errcode)
	}
}

func TestStableToken(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	first := c.stable(false)
	if len(first.Token) != 512 || first.Expires != 7200 {
		t.Fatalf("got a token of %d characters for %d s, want 512 for 7200", len(first.Token), first.Expires)
	}
	c.sim.ShiftTime(6900 * time.Second)
	if r := c.stable(false); r.Token != first.Token || r.Expires != 300 {
		t.Errorf("with 300 s left: got another token %t, expires_in %d; want the same for 300", r.Token != first.Token, r.Expires)
	}
	c.sim.ShiftTime(time.Second)
	second := c.stable(false)
	if second.Token == first.Token || second.Expires != 7200 {
		t.Errorf("with 299 s left: got the same token %t, expires_in %d; want a new one for 7200", second.Token == first.Token, second.Expires)
	}
	if r := c.stable(false); r.Token != second.Token {
		t.Error("a repeated call rotated the token")
	}
	c.alive("old token in the overlap", first.Token, 0)
	c.alive("new token in the overlap", second.Token, 0)
	c.sim.ShiftTime(299 * time.Second)
	c.alive("old token after its life", first.Token, 42001)
	c.alive("new token after the overlap", second.Token, 0)
	c.sim.ShiftTime(time.Second)
	c.alive("old token, expired before it was ended", first.Token, 42001)
}

func TestStableTokenForced(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	leaked := c.token()
	second := c.stable(true).Token
	if second == leaked {
		t.Fatal("force_refresh did not rotate")
	}
	c.sim.ShiftTime(29 * time.Second)
	if got := c.stable(true).Token; got != second {
		t.Error("force_refresh rotated after 29 s, want it to be ignored")
	}
	c.alive("leaked token after one rotation", leaked, 0)
	c.sim.ShiftTime(time.Second)
	third := c.stable(true).Token
	c.alive("leaked token after two rotations", leaked, 40001)
	c.alive("second token", second, 0)
	for n := 3; n <= 20; n++ {
		c.sim.ShiftTime(30 * time.Second)
		c.stable(true).want(t, 0)
	}
	c.alive("third token, long replaced", third, 40001)
	c.sim.ShiftTime(30 * time.Second)
	c.stable(true).want(t, 45009)
	c.stable(false).want(t, 0)
	c.sim.ShiftTime(24 * time.Hour)
	c.stable(true).want(t, 0)
}

func TestClassicToken(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	stable := c.token()
	first, second := c.classic(), c.classic()
	if first.Token == second.Token || second.Expires != 7200 {
		t.Errorf("got the same token %t, expires_in %d; want a new one at each call", first.Token == second.Token, second.Expires)
	}
	c.alive("previous", first.Token, 0)
	c.sim.ShiftTime(299 * time.Second)
	c.alive("previous before the end of the overlap", first.Token, 0)
	c.sim.ShiftTime(time.Second)
	c.alive("previous after the overlap", first.Token, 40001)
	c.alive("latest", second.Token, 0)
	c.alive("stable, which the classic calls must not touch", stable, 0)
	third := c.classic()
	c.classic()
	c.alive("the last but one", third.Token, 0)
	c.alive("the last but two", second.Token, 40001)
	for range 1996 {
		c.classic()
	}
	c.classic().want(t, 45009)
	c.sim.ShiftTime(24 * time.Hour)
	c.classic().want(t, 0)
	if got := c.sim.State(); got.Requests[simulator.APIToken] != 2002 || got.Requests[simulator.APIStableToken] != 1 || got.TokensIssued != 2002 {
		t.Errorf("got %d classic and %d stable requests, %d tokens; want 2002, 1, 2002",
			got.Requests[simulator.APIToken], got.Requests[simulator.APIStableToken], got.TokensIssued)
	}
}

func TestTokenEndpointsRefuse(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	const classic, stable, login = "/cgi-bin/token?grant_type=%s&appid=%s&secret=%s", "stable", "/sns/jscode2session?js_code=x&grant_type=%s&appid=%s&secret=%s"
	for _, tc := range []struct {
		name                 string
		grant, appID, secret string
		errcode              int
		errmsg               string
	}{
		{"grant type", "password", app.AppID, app.Secret, 40002, "invalid grant_type"},
		{"no appid", "", "", app.Secret, 41002, "appid missing"},
		{"unknown appid", "", "wx0", app.Secret, 40013, "invalid appid"},
		{"no secret", "", app.AppID, "", 41004, "appsecret missing"},
		{"wrong secret", "", app.AppID, "x", 40125, "invalid appsecret"},
	} {
		for _, path := range []string{classic, stable, login} {
			grant := tc.grant
			if grant == "" {
				grant = "client_credential"
				if path == login {
					grant = "authorization_code"
				}
			}
			var r result
			sep := " "
			switch path {
			case stable:
				r = c.post("/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":%q,"appid":%q,"secret":%q}`, grant, tc.appID, tc.secret))
			case login:
				sep = ", "
				fallthrough
			default:
				r = c.get(fmt.Sprintf(path, grant, tc.appID, tc.secret))
			}
			r.want(t, tc.errcode)
			if got := trimRID(t, r, sep); got != tc.errmsg {
				t.Errorf("%s, %.20s: got errmsg %q, want %q", tc.name, path, got, tc.errmsg)
			}
		}
	}
	for name, tc := range map[string]struct {
		body    string
		errcode int
	}{
		"form instead of JSON": {"grant_type=client_credential&appid=" + app.AppID + "&secret=" + app.Secret, 47001},
		"empty":                {"", 44002},
		"array":                {"[]", 47001},
		"force_refresh text":   {fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q,"force_refresh":"true"}`, app.AppID, app.Secret), 47001},
	} {
		t.Run(name, func(t *testing.T) {
			c.post("/cgi-bin/stable_token?grant_type=client_credential&appid="+app.AppID+"&secret="+app.Secret, tc.body).want(t, tc.errcode)
		})
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		source simulator.API
		atOnce bool
		stable int // what the stable token gets right after
	}{
		{"a foreign classic call", simulator.APIToken, true, 0},
		{"forced, with overlap", simulator.APIStableToken, false, 0},
		{"forced, at once", simulator.APIStableToken, true, 40001},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, simulator.Config{})
			stable, classic := c.token(), c.classic().Token
			must(t, c.sim.Rotate("", tc.source, tc.atOnce))
			c.alive("stable", stable, tc.stable)
			c.sim.ShiftTime(5 * time.Minute)
			wantStable, wantClassic := 40001, 0
			if tc.source == simulator.APIToken {
				wantStable, wantClassic = 0, 40001
			}
			c.alive("stable after the overlap", stable, wantStable)
			c.alive("classic after the overlap", classic, wantClassic)
			c.alive("stable, fetched again", c.token(), 0)
			if got := c.sim.State().Requests; got[simulator.APIStableToken] != 2 || got[simulator.APIToken] != 1 {
				t.Errorf("got requests %v, want the rotation not counted", got)
			}
		})
	}
	c := start(t, simulator.Config{})
	if err := c.sim.Rotate("", simulator.APISend, true); err == nil {
		t.Error("rotated the tokens of subscribe_send")
	}
}

func TestDeadTokens(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	token := c.token()
	must(t, c.sim.SetDeadTokens("", true))
	c.alive("dead", token, 40001)
	if got := c.token(); got != token {
		t.Error("stable_token returned another token, want the same dead one")
	}
	must(t, c.sim.SetDeadTokens("", false))
	c.alive("alive again", token, 0)
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{TokenLife: 301 * time.Second, TokenLength: 157})
	r := c.stable(false)
	if len(r.Token) != 157 || r.Expires != 301 {
		t.Errorf("got %d characters for %d s, want 157 for 301", len(r.Token), r.Expires)
	}
	c.sim.ShiftTime(time.Second)
	if again := c.stable(false); again.Token != r.Token || again.Expires != 300 {
		t.Errorf("got expires_in %d, want 300 of the same token", again.Expires)
	}
}

// Clients find the ends of quotas by the Date of an answer.
func TestAnswersAreDatedByWeChatsClock(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	c.sim.ShiftTime(29 * time.Second)
	if got, want := c.stable(false).header.Get("Date"), "Mon, 02 Mar 2026 10:00:59 GMT"; got != want {
		t.Errorf("dated %q, want %q", got, want)
	}
}
