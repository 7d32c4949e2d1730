package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// loginPage is what the login shows.
type loginPage struct {
	Next    string
	Name    string
	Problem string // already translated
}

func (c *Console) showLogin(v *visit) error {
	switch err := v.identify(); {
	case err == nil:
		v.redirect(next(v.r.URL.Query().Get("next")))
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	v.show("login", "Log in", http.StatusOK, loginPage{Next: next(v.r.URL.Query().Get("next"))})
	return nil
}

// login checks name and password. It says the same, and takes as long, whether
// the name is unknown or the password wrong.
func (c *Console) login(v *visit) error {
	form := v.r.PostForm
	name, to := form.Get("name"), next(form.Get("next"))
	address := addressOf(v.r.RemoteAddr)
	select {
	case c.hashing <- struct{}{}:
		defer func() { <-c.hashing }()
	case <-v.ctx.Done():
		return store.ErrUnavailable
	}
	// Behind the gate, or tries that came at the same time would all be let
	// through before the first of them has failed.
	page := loginPage{Next: to, Name: name}
	keys := []struct {
		key  string
		most int
	}{{"user\x00" + address + "\x00" + shortened(name), triesPerUser}, {"address\x00" + address, triesPerAddress}}
	for _, k := range keys {
		if left := c.tries.locked(k.key, k.most); left > 0 {
			page.Problem = v.T("Too many wrong passwords: try again in %d minutes.", minutes(left))
			v.show("login", "Log in", http.StatusTooManyRequests, page)
			return nil
		}
	}
	a, known := c.users[name]
	hash := c.nobody // whatever it says
	if known {
		hash = a.Password
	}
	if right := hash.Verify(form.Get("password")); !right || !known {
		closes := false
		for _, k := range keys {
			closes = c.tries.fail(k.key, k.most) || closes
		}
		if closes {
			if err := c.noteLockOut(v, name, known, address); err != nil {
				return err
			}
		}
		page.Problem = v.T("The name or the password is wrong.")
		v.show("login", "Log in", http.StatusUnauthorized, page)
		return nil
	}
	c.tries.forgive(keys[0].key)
	v.user = &a
	if err := v.begin(a); err != nil {
		return err
	}
	if err := v.note(store.VerbLogin, address, ""); err != nil {
		return err
	}
	v.redirect(to)
	return nil
}

// noteLockOut puts a lock-out on record. A name that is nobody's is not: people
// type passwords into the wrong field.
func (c *Console) noteLockOut(v *visit, name string, known bool, address string) error {
	actor := "(unknown)"
	if known {
		actor = actorOf(name)
	}
	return c.cfg.Store.RecordAudit(v.ctx, store.AuditEntry{Actor: actor, Verb: store.VerbLockout, Subject: address})
}

func shortened(name string) string { return name[:min(len(name), maxName+1)] }

// minutes rounds up, for people who wait.
func minutes(d time.Duration) int { return int((d + time.Minute - 1) / time.Minute) }

func (c *Console) logout(v *visit) error {
	if err := c.cfg.Store.EndSession(v.ctx, v.key); err != nil {
		return err
	}
	http.SetCookie(v.w, cookie(v.r, ""))
	if err := v.note(store.VerbLogout, addressOf(v.r.RemoteAddr), ""); err != nil {
		return err
	}
	v.redirect(Path + "/login")
	return nil
}
