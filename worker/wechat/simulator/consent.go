package simulator

import (
	"errors"
	"fmt"
)

// consent is what one openid allowed for one template.
type consent struct {
	balance  int
	longTerm bool
}

// AddUser makes an openid known to the app. unionID may be "".
func (s *Simulator) AddUser(appID, openID, unionID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	if openID == "" {
		return errors.New("simulator: an openid is needed")
	}
	a.users[openID] = unionID
	return nil
}

// register makes openID known without changing its unionid. s.mu must be held.
func (a *appState) register(openID string) error {
	if openID == "" {
		return errors.New("simulator: an openid is needed")
	}
	if _, ok := a.users[openID]; !ok {
		a.users[openID] = ""
	}
	return nil
}

// Accept is the user's tap on "allow", times over: so many messages of a
// one-time template, or any number of a long-term one (times is then ignored).
// The openid becomes known.
func (s *Simulator) Accept(appID, openID, templateID string, times int) error {
	return s.answerDialog(appID, openID, templateID, "accept", func(t *templateState, c *consent) error {
		if t.Type == TypeLongTerm {
			c.longTerm = true
			return nil
		}
		if times < 1 {
			return fmt.Errorf("simulator: accept: times is %d", times)
		}
		c.balance += times
		return nil
	})
}

// Reject is the user's refusal in the settings: nothing that was allowed is
// left. The openid becomes known.
func (s *Simulator) Reject(appID, openID, templateID string) error {
	return s.answerDialog(appID, openID, templateID, "reject", func(_ *templateState, c *consent) error {
		*c = consent{}
		return nil
	})
}

func (s *Simulator) answerDialog(appID, openID, templateID, result string, change func(*templateState, *consent) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return err
	}
	t, ok := a.templates[templateID]
	if !ok {
		return fmt.Errorf("simulator: no template %q", templateID)
	}
	key := pair{a.AppID, openID, templateID}
	c := a.consents[key]
	if err := change(t, &c); err != nil {
		return err
	}
	if err := a.register(openID); err != nil {
		return err
	}
	a.consents[key] = c
	if a.Callback.Popups {
		s.events.popup(a, openID, templateID, result, s.now())
	}
	return nil
}

// Balance returns how many messages of the template the openid still allows,
// and whether its consent is long-term.
func (s *Simulator) Balance(appID, openID, templateID string) (balance int, longTerm bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.app(appID)
	if err != nil {
		return 0, false
	}
	c := a.consents[pair{a.AppID, openID, templateID}]
	return c.balance, c.longTerm
}

// spend takes one message from the consent and reports whether there was one.
// s.mu must be held.
func (s *Simulator) spend(a *appState, openID, templateID string) bool {
	if s.cfg.AutoConsent {
		return true
	}
	key := pair{a.AppID, openID, templateID}
	c := a.consents[key]
	if c.longTerm {
		return true
	}
	if c.balance == 0 {
		return false
	}
	c.balance--
	a.consents[key] = c
	return true
}
