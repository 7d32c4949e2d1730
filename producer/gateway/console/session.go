package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

const (
	// sessionIdle ends the session of who left the desk, sessionLife that of a
	// working day.
	sessionIdle = 30 * time.Minute
	sessionLife = 12 * time.Hour
	sessionLen  = 32 // random bytes
)

// The session's cookie. Its second name is for TLS: browsers take one with the
// prefix only with Secure and for this host alone.
const (
	plainCookie  = "wxnotify_console"
	secureCookie = "__Host-wxnotify_console"
)

// secure reports whether the browser speaks TLS, to us or to a proxy in front.
// The proxy's word is believed: who forges it only keeps his own cookie from
// coming back.
func secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// cookie is the session's; value "" takes it back.
func cookie(r *http.Request, value string) *http.Cookie {
	c := &http.Cookie{
		Name: plainCookie, Value: value, Path: Path, MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if secure(r) {
		c.Name, c.Path, c.Secure = secureCookie, "/", true
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

var cookieEncoding = base64.RawURLEncoding.Strict()

// sessionOf is the secret that the request's cookie holds; nil for none.
func sessionOf(r *http.Request) []byte {
	c, err := r.Cookie(cookie(r, "").Name)
	if err != nil {
		return nil
	}
	secret, err := cookieEncoding.DecodeString(c.Value)
	if err != nil || len(secret) != sessionLen {
		return nil
	}
	return secret
}

// begin starts a session of the account and hands the cookie out.
func (v *visit) begin(a account) error {
	secret := make([]byte, sessionLen)
	rand.Read(secret)
	s := store.ConsoleSession{Key: sha256.Sum256(secret), User: a.Name, Credential: a.credential}
	if err := v.c.cfg.Store.BeginSession(v.ctx, s, sessionLife); err != nil {
		return err
	}
	http.SetCookie(v.w, cookie(v.r, cookieEncoding.EncodeToString(secret)))
	return nil
}

// identify finds the session of the request; store.ErrNotFound when there is
// none, or none any more: it is over, or its user is gone or has another
// password.
func (v *visit) identify() error {
	secret := sessionOf(v.r)
	if secret == nil {
		return store.ErrNotFound
	}
	v.key = sha256.Sum256(secret)
	// asynqmon asks by itself every few seconds, which is no sign of life.
	rule := store.SessionRule{Idle: sessionIdle, Life: sessionLife, Touch: !strings.HasPrefix(v.r.URL.Path, QueuesPath+"/api/")}
	s, err := v.c.cfg.Store.Session(v.ctx, v.key, rule)
	if err != nil {
		return err
	}
	a, known := v.c.users[s.User]
	if !known || a.credential != s.Credential {
		return store.ErrNotFound
	}
	v.user, v.csrf = &a, csrfToken(secret)
	return nil
}

// csrfToken is what a form must carry. It follows from the session and cannot be
// turned back into it.
func csrfToken(session []byte) string {
	mac := hmac.New(sha256.New, session)
	mac.Write([]byte("csrf"))
	return cookieEncoding.EncodeToString(mac.Sum(nil))
}

// genuine reports whether the form is one that this session was shown.
func (v *visit) genuine() bool {
	return subtle.ConstantTimeCompare([]byte(v.r.PostForm.Get("csrf")), []byte(v.csrf)) == 1
}

// actor is the visitor's name on record.
func (v *visit) actor() string { return actorOf(v.user.Name) }

// actorOf tells the console's users from API keys and from users of a shell.
func actorOf(name string) string { return "console:" + name }

// note puts what was done on record. It is done by then, so that a visitor who
// has gone must not keep it from being written.
func (v *visit) note(verb store.Verb, subject, detail string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), pageTimeout)
	defer cancel()
	return v.c.cfg.Store.RecordAudit(ctx, store.AuditEntry{Actor: v.actor(), Verb: verb, Subject: subject, Detail: detail})
}
