package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// visit is one request with who makes it.
type visit struct {
	c    *Console
	w    http.ResponseWriter
	r    *http.Request
	ctx  context.Context //nolint:containedctx // the request's own, with a limit
	lang lang
	user *account // nil before the login
	csrf string   // "" before the login
	key  [32]byte // of the session
}

// problem is an error that is shown as a page.
type problem struct {
	status int
	text   string // one of the messages
}

// Error implements error.
func (p *problem) Error() string { return p.text }

// The problems that more than one route has.
var (
	errNotFound  = &problem{http.StatusNotFound, "There is nothing here."}
	errForbidden = &problem{http.StatusForbidden, "Your role does not allow this."}
	errForged    = &problem{http.StatusForbidden, "This request did not come from a page of the console. Go back, reload the page and try again."}
	errTooLarge  = &problem{http.StatusRequestEntityTooLarge, "The form is too large or cannot be read."}
)

func badRequest(text string) *problem { return &problem{http.StatusBadRequest, text} }

const (
	// pageTimeout bounds what a page asks of store and Redis.
	pageTimeout = 15 * time.Second
	// maxForm holds an edited message of the largest kind, several times.
	maxForm = 256 << 10
)

// enter is the way into every route: language, session, role, forged requests,
// and what becomes of an error.
func (c *Console) enter(w http.ResponseWriter, r *http.Request, route Route) {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	v := &visit{c: c, w: w, r: r.WithContext(ctx), ctx: ctx, lang: chooseLang(r)}
	v.headers()
	if err := v.admit(route); err != nil {
		v.fail(err)
		return
	}
}

func (v *visit) admit(route Route) error {
	if route.Method != http.MethodGet {
		if v.c.origin.Check(v.r) != nil {
			return errForged
		}
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if err := v.r.ParseForm(); err != nil {
			return errTooLarge
		}
	} else if code := v.r.URL.Query().Get("lang"); code != "" {
		v.keepLang(code)
		return nil
	}
	if route.Access == ForAnyone {
		return route.serve(v)
	}
	switch err := v.identify(); {
	case errors.Is(err, store.ErrNotFound):
		v.toLogin()
		return nil
	case err != nil:
		return err
	case route.Access == ForOperators && v.user.Role != Operator:
		return errForbidden
	case route.Method != http.MethodGet && !v.genuine():
		return errForged
	}
	return route.serve(v)
}

// headers are those of every answer. No page is kept anywhere, none is framed,
// none loads anything from elsewhere, and inline script does not run.
func (v *visit) headers() {
	h := v.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("Vary", "Accept-Language, Cookie")
}

const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// fail answers with an error's page.
func (v *visit) fail(err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, store.ErrNotFound):
		p = errNotFound
	case errors.Is(err, store.ErrUnavailable):
		p = &problem{http.StatusServiceUnavailable, "The database does not answer, or not in time. Nothing was changed that a page did not say."}
	default:
		p = &problem{http.StatusInternalServerError, "Something failed; the log says what."}
	}
	if p.status >= http.StatusInternalServerError && v.r.Context().Err() == nil {
		v.c.cfg.Logger.Error("console page failed", zap.String("pattern", v.r.Pattern), zap.Error(err))
	}
	v.show("error", "Error", p.status, v.T(p.text))
}

func (v *visit) redirect(to string) { http.Redirect(v.w, v.r, to, http.StatusSeeOther) }

// toLogin sends people to the login and back, and tells programs that they are
// not logged in.
func (v *visit) toLogin() {
	if strings.HasPrefix(v.r.URL.Path, QueuesPath+"/api/") {
		http.Error(v.w, "not logged in", http.StatusUnauthorized)
		return
	}
	to := Path + "/login"
	if v.r.Method == http.MethodGet && v.r.URL.Path != Path+"/" {
		to += "?" + url.Values{"next": {v.r.URL.RequestURI()}}.Encode()
	}
	v.redirect(to)
}

// next is where a login leads: a path of the console and nothing else.
func next(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, Path+"/") || strings.Contains(text, `\`) {
		return Path + "/"
	}
	return u.RequestURI()
}
