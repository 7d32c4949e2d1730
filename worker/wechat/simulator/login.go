package simulator

import (
	"fmt"
	"time"
)

type loginCode struct {
	app    *appState
	openID string
	until  time.Time
	used   bool
}

// LoginCode mints what wx.login gives the Mini Program: a code that
// jscode2session takes once within five minutes. The openid becomes known.
func (s *Simulator) LoginCode(appID, openID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return "", err
	}
	if err := a.register(openID); err != nil {
		return "", err
	}
	code := fmt.Sprintf("0%015x%016x", s.rng.Uint64()>>4, s.rng.Uint64())
	s.codes[code] = &loginCode{app: a, openID: openID, until: s.now().Add(codeLife)}
	return code, nil
}

type sessionReply struct {
	SessionKey string `json:"session_key"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid,omitempty"`
}

// code2Session is GET /sns/jscode2session.
func (x *exchange) code2Session() answer {
	if x.query.Get("grant_type") != "authorization_code" {
		return x.refuse(40002)
	}
	a, code := x.s.credentials(x.query.Get("appid"), x.query.Get("secret"))
	if code != 0 {
		return x.refuse(code)
	}
	js := x.query.Get("js_code")
	if js == "" {
		return x.refuse(41008)
	}
	reply, code := x.s.redeem(a, js, x.at)
	if code != 0 {
		return x.refuse(code)
	}
	ans := jsonAnswer(reply)
	ans.kind = plainType
	return ans
}

// redeem exchanges a login code.
func (s *Simulator) redeem(a *appState, js string, at time.Time) (sessionReply, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.codes[js]
	switch {
	case !ok || c.app != a:
		return sessionReply{}, 40029
	case c.used:
		return sessionReply{}, 40163
	case at.After(c.until):
		return sessionReply{}, 40029
	}
	c.used = true
	return sessionReply{
		// 24 characters of base64, like WeChat's.
		SessionKey: fmt.Sprintf("%011x%011x==", s.rng.Uint64()>>20, s.rng.Uint64()>>20),
		OpenID:     c.openID,
		UnionID:    a.users[c.openID],
	}, 0
}
