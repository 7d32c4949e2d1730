package gateway

import (
	"context"
	"errors"
	"net/http"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Tokens hands out an app's access token; *wechat.Tokens does.
type Tokens interface {
	Token(ctx context.Context) (string, error)
}

// token is an app's access token. How long it is good for is not said: whoever
// asks again within minutes gets the right one, also after WeChat took one back.
type token struct {
	AccessToken string `json:"access_token"`
}

// getToken hands an app's access token to another service of the company, so
// that there are not two that fetch one and end each other's.
func (g *Gateway) getToken(w http.ResponseWriter, r *http.Request, c *call) error {
	id := r.PathValue("appid")
	if err := c.mayApp(id); err != nil {
		return err
	}
	app := g.findApp(id)
	if app == nil || app.Tokens == nil {
		return errNotFound
	}
	log := g.config.Logger.With(zap.String("producer", c.Name), zap.String("app", id))
	value, err := app.Tokens.Token(r.Context())
	if err != nil {
		log.Warn("access token not handed out", zap.Error(err))
		p := refuse(http.StatusServiceUnavailable, CodeTokenUnavailable, "there is no access token for this app now; why is in this server's log")
		p.RetryAfter = retryAfter
		if e, ok := errors.AsType[*wechat.Error](err); ok {
			p.RetryAfter = max(e.RetryAfter, retryAfter)
		}
		return p
	}
	g.people.tokens.Inc()
	log.Info("access token handed out")
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, token{AccessToken: value})
	return nil
}
