package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Logins asks WeChat whose a login code is; *wechat.Client does. The session key
// that comes with the answer is not part of a Session, so it cannot leave.
type Logins interface {
	Code2Session(ctx context.Context, app wechat.App, code string) (wechat.Session, error)
}

// loginPause is how long a login waits before it asks WeChat once more after
// errcode -1: the code may still be good.
const loginPause = 100 * time.Millisecond

// settingPause is what a client is asked to wait for a person to set something.
const settingPause = 5 * time.Minute

// login is the answer to a login.
type login struct {
	UserID string `json:"user_id"`
	OpenID string `json:"openid"`
}

// postLogin binds a user to the openid of a login code.
//
// A code is good for one call, so one that was begun is carried through when the
// caller hangs up, and who comes again with the same code and user gets what
// came of it.
func (g *Gateway) postLogin(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := c.object()
	if err != nil {
		return err
	}
	b := store.Binding{App: o.appID("app"), UserID: o.requiredID("user_id")}
	code := o.required("code")
	o.key("user_id", b.UserID)
	o.key("code", code)
	if err := o.done(); err != nil {
		return err
	}
	if b.App, err = g.appOf(c, b.App); err != nil {
		return err
	}
	app := g.findApp(b.App)
	if app == nil || app.Secret == "" { // a reload may take it away under the request
		p := refuse(http.StatusServiceUnavailable, CodeLoginUnavailable, "this app's secret is not set here, and logins need it")
		p.RetryAfter = settingPause
		return p
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.config.Limits.Request)
	defer cancel()
	s, err := g.exchanges.do(r.Context(), exchangeKey(b.App, b.UserID, code), func() (wechat.Session, error) {
		return g.exchange(ctx, wechat.App{AppID: app.ID, Secret: app.Secret}, code)
	})
	if err != nil {
		return g.loginProblem(b.App, err)
	}
	b.OpenID, b.UnionID = s.OpenID, s.UnionID
	if _, err := g.bind(ctx, b, viaLogin); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, login{UserID: b.UserID, OpenID: b.OpenID})
	return nil
}

// exchangeKey tells one login from others without keeping the code.
func exchangeKey(app, userID, code string) [sha256.Size]byte {
	return sha256.Sum256([]byte(app + "\x00" + userID + "\x00" + code))
}

// exchange asks WeChat, and once more when it was only busy or not reached: then
// the code was not used.
func (g *Gateway) exchange(ctx context.Context, app wechat.App, code string) (wechat.Session, error) {
	s, err := g.config.Logins.Code2Session(ctx, app, code)
	e, ok := errors.AsType[*wechat.Error](err)
	if !ok || e.Code != -1 && e.Kind != wechat.KindUnreachable {
		return s, err
	}
	t := time.NewTimer(loginPause)
	defer t.Stop()
	select {
	case <-t.C:
		return g.config.Logins.Code2Session(ctx, app, code)
	case <-ctx.Done():
		return s, err
	}
}

// WeChat's errcodes about login codes.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session.html
const (
	errcodeBadCode     = 40029 // wrong, expired, or another app's
	errcodeUsedCode    = 40163 // not documented
	errcodeBlockedUser = 40226
)

// loginProblem is the answer to a login that WeChat refused, or did not answer.
func (g *Gateway) loginProblem(app string, err error) error {
	e, ok := errors.AsType[*wechat.Error](err)
	if !ok {
		return err
	}
	p := g.judgeLogin(app, e)
	g.people.refusedLogins.WithLabelValues(string(p.Code)).Inc()
	return p
}

func (g *Gateway) judgeLogin(app string, e *wechat.Error) *Problem {
	switch e.Code {
	case errcodeBadCode:
		return refuse(http.StatusUnprocessableEntity, CodeCodeInvalid, "the code is wrong, older than five minutes, or another app's: call wx.login again")
	case errcodeUsedCode:
		return refuse(http.StatusUnprocessableEntity, CodeCodeUsed, "the code was used before: call wx.login again")
	case errcodeBlockedUser:
		return refuse(http.StatusForbidden, CodeCodeBlocked, "WeChat blocks logins of this user for now")
	}
	after := max(e.RetryAfter, retryAfter)
	log := g.config.Logger.With(zap.String("app", app), zap.Int("errcode", e.Code), zap.Stringer("kind", e.Kind), zap.Error(e))
	p := refuse(http.StatusServiceUnavailable, CodeLoginUnavailable, "WeChat did not answer; call wx.login again and repeat")
	p.RetryAfter = after
	switch e.Kind {
	case wechat.KindThrottled, wechat.KindThrottledDay:
		p = refuse(http.StatusTooManyRequests, CodeWeChatThrottled, "WeChat takes no more logins for now; call wx.login again then")
		p.RetryAfter = after
		log.Warn("login throttled by WeChat")
	case wechat.KindUnreachable, wechat.KindBusy, wechat.KindUnsure, wechat.KindInDoubt:
		log.Warn("login not answered by WeChat")
	case wechat.KindOK, wechat.KindConcurrent, wechat.KindBadToken, wechat.KindOpenIDThrottled, wechat.KindAccount,
		wechat.KindTemplate, wechat.KindPage, wechat.KindRefused, wechat.KindBadAddress, wechat.KindRejected,
		wechat.KindBadCode, wechat.KindUnknown:
		// Nothing the caller could do better: the app, its secret, or the way there.
		p.Detail = "WeChat refuses logins of this app; why is in this server's log"
		log.Error("login refused by WeChat for a fault of the app")
	}
	return p
}
