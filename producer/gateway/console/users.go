package console

import (
	"net/http"

	"github.com/wxnotify/wxnotify/store"
)

type userPage struct {
	User     string // as it was asked for
	Asked    bool
	Bindings []boundUser
	Titles   titles
}

// boundUser is a binding with what its openid allowed.
type boundUser struct {
	store.Binding
	Consents []store.Consent
}

// showUser shows the openids of a user and their consents.
func (c *Console) showUser(v *visit) error {
	q := v.query()
	page := userPage{User: q.text("user")}
	if page.User != "" {
		page.Asked = true
		bindings, err := c.cfg.Store.Bindings(v.ctx, page.User)
		if err != nil {
			return err
		}
		for _, b := range bindings {
			consents, err := c.cfg.Store.Consents(v.ctx, b.App, b.OpenID)
			if err != nil {
				return err
			}
			page.Bindings = append(page.Bindings, boundUser{b, consents})
		}
		if page.Titles, err = c.titles(v.ctx); err != nil {
			return err
		}
	}
	v.show("users", "Users", http.StatusOK, page)
	return nil
}
