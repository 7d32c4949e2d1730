package simulator

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// ask is a template whose dialog a user can answer on the page of phones.
type ask struct {
	TemplateID, Title string
	// Allows is how many more messages the user allows, in words.
	Allows string
}

// someUsers are at most limit of the users that were made known, in the order of
// their names, then of their openids.
func (s *Simulator) someUsers(limit int) []pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []pair
	for _, a := range s.order {
		for openID := range a.users {
			keys = append(keys, pair{appID: a.AppID, openID: openID})
		}
	}
	slices.SortFunc(keys, func(x, y pair) int {
		if d := strings.Compare(s.cfg.Names[x.openID], s.cfg.Names[y.openID]); d != 0 {
			return d
		}
		return strings.Compare(x.openID, y.openID)
	})
	return keys[:min(len(keys), limit)]
}

// asks are the templates that a user may answer for; none where everybody
// allows everything.
func (s *Simulator) asks(appID, openID string) []ask {
	if s.cfg.AutoConsent {
		return nil
	}
	var list []ask
	for _, t := range s.templatesOf(appID) {
		allows := "nothing"
		switch balance, longTerm := s.Balance(appID, openID, t.PriTmplID); {
		case longTerm:
			allows = "always"
		case balance == 1:
			allows = "1 message"
		case balance > 1:
			allows = strconv.Itoa(balance) + " messages"
		}
		list = append(list, ask{TemplateID: t.PriTmplID, Title: t.Title, Allows: allows})
	}
	return list
}

// maxTap bounds the form of a tap.
const maxTap = 4 << 10

// tap is the user's answer to a template's dialog, from the form on the page of
// phones. It shows the page again; a browser keeps the fragment of the form's
// action, which is the user's place on it.
func (s *Simulator) tap(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTap)
	if err := r.ParseForm(); err != nil {
		replyError(w, http.StatusBadRequest, errors.New("the form cannot be read"))
		return
	}
	app, openID, template := r.PostForm.Get("appid"), r.PostForm.Get("openid"), r.PostForm.Get("template_id")
	err := errors.New("answer must be accept or reject")
	switch r.PostForm.Get("answer") {
	case "accept":
		err = s.Accept(app, openID, template, 1)
	case "reject":
		err = s.Reject(app, openID, template)
	}
	if err != nil {
		replyError(w, http.StatusBadRequest, err)
		return
	}
	http.Redirect(w, r, "/_sim/", http.StatusSeeOther)
}
