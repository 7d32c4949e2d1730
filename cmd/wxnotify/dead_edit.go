package main

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// deadEdit is what --set changes of a message; nil fields stay.
type deadEdit struct {
	templateID, page, userID, openID *string
	data                             map[string]string // "" takes the key out
}

// parseEdit reads --set; nil when there is none. No message repeats a text: a
// command line ends up in logs.
func parseEdit(pairs []string) (*deadEdit, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	e := &deadEdit{data: map[string]string{}}
	seen := map[string]bool{}
	for _, pair := range pairs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, usagef("--set must be NAME=TEXT, such as data.thing1=办公用品")
		}
		if seen[name] {
			return nil, usagef("--set gives one name twice")
		}
		seen[name] = true
		switch name {
		case "template_id":
			e.templateID = &text
		case "page":
			e.page = &text
		case "user_id":
			e.userID = &text
		case "openid":
			e.openID = &text
		default:
			key, isData := strings.CutPrefix(name, "data.")
			if !isData || key == "" {
				return nil, usagef("--set knows template_id, page, user_id, openid and data.KEY")
			}
			e.data[key] = text
		}
	}
	if e.userID != nil && e.openID != nil {
		return nil, usagef("--set takes user_id or openid, not both")
	}
	return e, nil
}

// apply makes the message that a notification becomes, or says what is wrong
// with it.
func (e *deadEdit) apply(n store.Notification) (*store.Content, task.FieldErrors) {
	c := store.Content{TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID, Data: map[string]string{}}
	maps.Copy(c.Data, n.Data)
	for key, text := range e.data {
		if text == "" {
			delete(c.Data, key)
			continue
		}
		c.Data[key] = text
	}
	for _, set := range []struct{ to, text *string }{{&c.TemplateID, e.templateID}, {&c.Page, e.page}} {
		if set.text != nil {
			*set.to = *set.text
		}
	}
	switch {
	case e.userID != nil:
		c.UserID, c.OpenID = *e.userID, ""
	case e.openID != nil:
		c.UserID, c.OpenID = "", *e.openID
	}
	p := task.Payload{
		App: n.App, TemplateID: c.TemplateID, Page: c.Page, UserID: c.UserID, OpenID: c.OpenID, Data: c.Data,
		Lang: n.Lang, MiniprogramState: n.MiniprogramState,
	}
	faults, ok := errors.AsType[task.FieldErrors](p.Check())
	if !n.DataBlankedAt.IsZero() && e.page == nil && n.Page != "" {
		faults, ok = append(faults, task.FieldError{Field: "page", Reason: "has lost its query with the data: give it again"}), true
	}
	if ok {
		return nil, faults
	}
	return &c, nil
}

// names are what the edit is about, for the record, which holds no texts.
func (e *deadEdit) names() string {
	if e == nil {
		return ""
	}
	var names []string
	for _, set := range []struct {
		name string
		text *string
	}{{"template_id", e.templateID}, {"page", e.page}, {"user_id", e.userID}, {"openid", e.openID}} {
		if set.text != nil {
			names = append(names, set.name)
		}
	}
	for key := range e.data {
		names = append(names, "data."+app.ShownDataKey(key))
	}
	slices.Sort(names)
	return "set " + strings.Join(names, ", ")
}
