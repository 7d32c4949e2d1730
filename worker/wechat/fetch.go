package wechat

import (
	"context"
	"net/url"
	"time"
)

// maxLife bounds expires_in, so that a nonsense number cannot overflow. WeChat
// documents values up to 7200 s.
const maxLife = 30 * 24 * time.Hour

// StableToken returns the app's stable token: the current one with the rest of
// its life, or a new one within the last five minutes of it. It never asks for
// force_refresh, which rotates the token under everybody and is rationed to 20 a
// day.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-access-token/api_getstableaccesstoken.html
func (c *Client) StableToken(ctx context.Context, app App) (Token, error) {
	r, err := stableRequest(app)
	if err != nil {
		return Token{}, &Error{API: APIStableToken, Kind: KindAccount, Msg: "appid and secret cannot be written as JSON"}
	}
	return c.fetch(ctx, r)
}

func stableRequest(app App) (request, error) {
	body, err := encode(struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}{"client_credential", app.AppID, app.Secret, false})
	if err != nil {
		return request{}, err
	}
	return request{
		api:     APIStableToken,
		path:    "/cgi-bin/stable_token",
		body:    body,
		limit:   maxAnswer,
		private: []string{app.Secret},
	}, nil
}

// ClassicToken issues a new token of the older kind. Each call rotates: the
// token before it works for some five minutes more, for everybody on this appid.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-access-token/api_getaccesstoken.html
func (c *Client) ClassicToken(ctx context.Context, app App) (Token, error) {
	return c.fetch(ctx, classicRequest(app))
}

// classicPath is the older token endpoint.
const classicPath = "/cgi-bin/token"

func classicRequest(app App) request {
	return request{
		api:  APIToken,
		path: classicPath,
		query: url.Values{
			"grant_type": {"client_credential"},
			"appid":      {app.AppID},
			"secret":     {app.Secret},
		}.Encode(),
		limit:   maxAnswer,
		private: []string{app.Secret},
	}
}

func (c *Client) fetch(ctx context.Context, r request) (Token, error) {
	var t Token
	r.read = t.read
	if _, err := c.do(ctx, r); err != nil {
		return Token{}, err
	}
	return t, nil
}

// read takes the token out of an answer.
func (t *Token) read(f fields) string {
	value := f.Text("access_token")
	seconds, state := integer(f.Get("expires_in"))
	switch {
	case !plausible(value):
		return "the answer has no usable access_token"
	case state != valueGood || seconds <= 0:
		return "the answer has no usable expires_in"
	}
	seconds = min(seconds, int64(maxLife/time.Second))
	*t = Token{Value: value, ExpiresIn: time.Duration(seconds) * time.Second}
	return ""
}

// maxToken is far above the 512 bytes that WeChat asks to reserve.
const maxToken = 8 << 10

// plausible reports whether value may be a token: visible ASCII, of sane length.
func plausible(value string) bool {
	if value == "" || len(value) > maxToken {
		return false
	}
	for _, b := range []byte(value) {
		if b <= ' ' || b >= 0x7f || b == '"' {
			return false
		}
	}
	return true
}
