package wechat

import (
	"context"
	"net/url"
)

// Session is who logged in.
type Session struct {
	OpenID string
	// UnionID is "" unless the app is bound to an Open Platform account.
	UnionID string
}

// Code2Session trades the code of wx.login for the openid. A code is good for
// five minutes and one call, so the call is never repeated here. The session_key
// in the answer decrypts what the phone sends and nothing here needs it: it does
// not leave this function.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session.html
func (c *Client) Code2Session(ctx context.Context, app App, code string) (Session, error) {
	var s Session
	if _, err := c.do(ctx, sessionRequest(app, code, &s)); err != nil {
		return Session{}, err
	}
	return s, nil
}

// sessionRequest fills s when it is answered.
func sessionRequest(app App, code string, s *Session) request {
	return request{
		api:  APICode2Session,
		path: "/sns/jscode2session",
		query: url.Values{
			"appid":      {app.AppID},
			"secret":     {app.Secret},
			"js_code":    {code},
			"grant_type": {"authorization_code"},
		}.Encode(),
		read: func(f fields) string {
			*s = Session{OpenID: f.Text("openid"), UnionID: f.Text("unionid")}
			if s.OpenID == "" {
				return "the answer has no usable openid"
			}
			return ""
		},
		limit:   maxAnswer,
		private: []string{app.Secret, code},
	}
}
