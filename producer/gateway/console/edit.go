package console

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/store"
)

type editPage struct {
	store.Notification
	TemplateID, Page string // as they stand in the form
	UserID, OpenID   string
	Fields           []shownField
	Known            []namedTemplate
	Force            bool
	Faults           []fault
}

func (c *Console) showEdit(v *visit) error {
	n, _, err := v.notification()
	if err != nil {
		return err
	}
	page := editPage{Notification: n, TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID}
	return c.edit(v, page, n.Data, http.StatusOK)
}

// edit shows the form, with rows for the template's keys and one more.
func (c *Console) edit(v *visit, page editPage, data map[string]string, status int) error {
	catalog, _, err := c.catalog(v.ctx)
	if err != nil {
		return err
	}
	labels, keys := map[string]string{}, slices.Sorted(maps.Keys(data))
	for _, t := range catalog.Templates(page.App) {
		page.Known = append(page.Known, namedTemplate{t.ID, t.Title})
		if t.ID != page.TemplateID {
			continue
		}
		for _, f := range t.Fields {
			labels[f.Key] = f.Label
			if _, there := data[f.Key]; !there {
				keys = append(keys, f.Key)
			}
		}
	}
	for _, key := range append(keys, "") {
		page.Fields = append(page.Fields, shownField{key, labels[key], data[key]})
	}
	v.show("edit", "Edit and replay", status, page)
	return nil
}

// replayEdited replays a notification as the form says.
func (c *Console) replayEdited(v *visit) error {
	n, err := v.seen()
	if err != nil {
		return err
	}
	form := v.r.PostForm
	data, ok := formData(form)
	if !ok {
		return badRequest("The form is incomplete.")
	}
	page := editPage{
		Notification: n, TemplateID: strings.TrimSpace(form.Get("template_id")), Page: strings.TrimSpace(form.Get("page")),
		UserID: strings.TrimSpace(form.Get("user_id")), OpenID: strings.TrimSpace(form.Get("openid")), Force: form.Get("force") != "",
	}
	e := change{whole: true, data: data}
	for _, f := range []struct {
		to       **string
		text, is string
	}{{&e.templateID, page.TemplateID, n.TemplateID}, {&e.page, page.Page, n.Page}} {
		if f.text != f.is || !n.DataBlankedAt.IsZero() {
			*f.to = &f.text
		}
	}
	if page.UserID != n.UserID || page.OpenID != n.OpenID {
		if page.UserID != "" || page.OpenID == "" {
			e.userID = &page.UserID
		}
		if page.OpenID != "" {
			e.openID = &page.OpenID
		}
	}
	catalog, _, err := c.catalog(v.ctx)
	if err != nil {
		return err
	}
	content, faults := e.apply(n, catalog)
	if faults != nil {
		page.Faults = faults
		return c.edit(v, page, data, http.StatusUnprocessableEntity)
	}
	r := c.newReplay(v, n, page.Force, content, e.names(n))
	if err := r.Check(); err != nil {
		page.Faults = []fault{{"", "is not valid text"}}
		return c.edit(v, page, data, http.StatusUnprocessableEntity)
	}
	acted, err := c.cfg.Store.Replay(v.ctx, []store.Replay{r})
	if err != nil {
		return err
	}
	return v.answer(n, acted, "replayed")
}

// formData pairs the keys of a form with their texts; a key without a text is
// taken out of the message.
func formData(form url.Values) (data map[string]string, ok bool) {
	keys, texts := form["key"], form["text"]
	if len(keys) != len(texts) {
		return nil, false
	}
	data = map[string]string{}
	for i, key := range keys {
		if key = strings.TrimSpace(key); key != "" && texts[i] != "" {
			data[key] = texts[i]
		}
	}
	return data, true
}
