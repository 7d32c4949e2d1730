package console

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// change is what a person changes of a message before it goes again; nil fields
// stay.
type change struct {
	templateID, page *string
	userID, openID   *string
	data             map[string]string // nil stays
	whole            bool              // data takes the place of all that was there
}

func (e change) empty() bool {
	return e.templateID == nil && e.page == nil && e.userID == nil && e.openID == nil && e.data == nil
}

// fault is one thing that is wrong with a changed message.
type fault struct{ Field, Reason string }

// apply makes the message that a notification becomes, or says what is wrong
// with it: by the rules of a payload, and by the template where it is known.
func (e change) apply(n store.Notification, catalog *template.Catalog) (*store.Content, []fault) {
	c := store.Content{TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID, Data: map[string]string{}}
	if !e.whole {
		maps.Copy(c.Data, n.Data)
	}
	maps.Copy(c.Data, e.data)
	if e.templateID != nil {
		c.TemplateID = *e.templateID
	}
	if e.page != nil {
		c.Page = *e.page
	}
	if e.userID != nil || e.openID != nil {
		c.UserID, c.OpenID = deref(e.userID), deref(e.openID)
	}
	var faults []fault
	p := task.Payload{
		App: n.App, TemplateID: c.TemplateID, Page: c.Page, UserID: c.UserID, OpenID: c.OpenID, Data: c.Data,
		Lang: n.Lang, MiniprogramState: n.MiniprogramState,
	}
	if bad, ok := errors.AsType[task.FieldErrors](p.Check()); ok {
		for _, f := range bad {
			faults = append(faults, fault(f))
		}
		return nil, faults
	}
	if !n.DataBlankedAt.IsZero() && e.page == nil && n.Page != "" {
		return nil, []fault{{"page", "has lost its query with the data: give it again"}}
	}
	t, bad := catalog.Resolve(n.App, c.TemplateID)
	if t != nil {
		c.TemplateID = t.ID
		var badData, badPage template.FieldErrors
		c.Data, badData = t.Check(c.Data)
		c.Page, badPage = t.CheckPage(c.Page)
		bad = slices.Concat(bad, badData, badPage)
	}
	for _, f := range bad {
		faults = append(faults, fault{strings.TrimPrefix(f.Field, "/"), f.Reason})
	}
	if faults != nil {
		return nil, faults
	}
	return &c, nil
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// names are what the change is about, for the record, which holds no texts.
func (e change) names(n store.Notification) string {
	var names []string
	for name, text := range map[string]*string{"template_id": e.templateID, "page": e.page, "user_id": e.userID, "openid": e.openID} {
		if text != nil {
			names = append(names, name)
		}
	}
	for key, text := range e.data {
		if n.Data[key] != text {
			names = append(names, "data."+shownKey(key))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return ""
	}
	return "set " + strings.Join(names, ", ")
}
