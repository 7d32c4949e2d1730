package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
)

// acted is the answer to a replay or a cancel that was done.
type acted struct {
	ID    uuid.UUID   `json:"id"`
	Ref   string      `json:"ref,omitempty"`
	State store.State `json:"state"`
}

// edit is what a replay changes; nil fields stay.
type edit struct {
	templateID, page *string
	data             map[string]string
}

func (e edit) empty() bool { return e.templateID == nil && e.page == nil && e.data == nil }

// names are what the edit is about, for the record, which holds no texts.
func (e edit) names() string {
	var names []string
	if e.data != nil {
		names = append(names, "data")
	}
	if e.page != nil {
		names = append(names, "page")
	}
	if e.templateID != nil {
		names = append(names, "template_id")
	}
	if names == nil {
		return ""
	}
	return "set " + strings.Join(names, ", ")
}

// postReplay starts a dead notification anew, changed if the request says so.
func (g *Gateway) postReplay(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := c.optionalObject()
	if err != nil {
		return err
	}
	var e edit
	if _, ok := o.get("data"); ok {
		e.data = o.data("data")
	}
	e.templateID, e.page = o.given("template_id"), o.given("page")
	force := o.flag("force")
	if err := o.done(); err != nil {
		return err
	}
	n, _, err := g.own(r, c.caller)
	if err != nil {
		return err
	}
	replay := store.Replay{
		ID: n.ID, Generation: n.Generation, MaxAge: g.config.MaxAge, Force: force, Actor: c.Name, Detail: e.names(),
	}
	if n.State != store.Dead {
		return wrongState(n.State)
	}
	if !e.empty() {
		if replay.Content, err = g.edited(r.Context(), c, n, e); err != nil {
			return err
		}
	}
	if n.Producer == c.Name && n.Priority.Above(cmp.Or(c.MaxPriority, store.Critical)) {
		replay.Priority = c.MaxPriority // it was accepted when the producer might ask for more
	}
	if force {
		replay.Detail = strings.TrimPrefix(replay.Detail+"; forced", "; ")
	}
	results, err := g.config.Notifications.Replay(r.Context(), []store.Replay{replay})
	if err != nil {
		return err
	}
	return answerActed(w, http.StatusAccepted, n, results)
}

// given is a string that is there; nil when it is absent.
func (o *object) given(name string) *string {
	if _, ok := o.get(name); !ok {
		return nil
	}
	text := o.text(name)
	return &text
}

// edited is what a notification says after an edit, checked as a new one is.
func (g *Gateway) edited(ctx context.Context, c *call, n store.Notification, e edit) (*store.Content, error) {
	if !n.DataBlankedAt.IsZero() {
		switch {
		case e.data == nil:
			return nil, noContent()
		case e.page == nil && n.Page != "":
			return nil, FieldErrors{{Field: "/page", Code: FieldRequired, Reason: "is required: its query was removed with the data"}}
		}
	}
	asked := Asked{Waits: true, Notification: producer.Notification{
		App: n.App, TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID, Data: n.Data,
		Lang: n.Lang, MiniprogramState: n.MiniprogramState,
	}}
	if e.templateID != nil {
		asked.TemplateID = *e.templateID
	}
	if e.page != nil {
		asked.Page = *e.page
	}
	if e.data != nil {
		asked.Data = e.data
	}
	p, err := g.prepare(ctx, c, asked, "", nil)
	if err != nil {
		return nil, err
	}
	return &store.Content{TemplateID: p.TemplateID, Page: p.Page, UserID: p.UserID, OpenID: p.OpenID, Data: p.Data}, nil
}

// postCancel ends a notification that is not being sent.
func (g *Gateway) postCancel(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := c.optionalObject()
	if err != nil {
		return err
	}
	if err := o.done(); err != nil {
		return err
	}
	n, _, err := g.own(r, c.caller)
	if err != nil {
		return err
	}
	results, err := g.config.Notifications.Cancel(r.Context(), []store.Cancel{{ID: n.ID, Actor: c.Name}})
	if err != nil {
		return err
	}
	return answerActed(w, http.StatusOK, n, results)
}

// answerActed answers what the store made of an intervention.
func answerActed(w http.ResponseWriter, status int, n store.Notification, results []store.Acted) error {
	if len(results) != 1 {
		return fmt.Errorf("the store answered %d of 1", len(results))
	}
	switch got := results[0]; got.Result {
	case store.ActDone, store.ActBefore:
		writeJSON(w, status, acted{n.ID, n.Ref, got.State})
		return nil
	case store.ActNotFound:
		return errNotFound
	case store.ActInDoubt:
		return refuse(http.StatusConflict, CodeInDoubt, "nobody knows whether WeChat delivered it: with force the user may get it twice")
	case store.ActNoContent:
		return noContent()
	case store.ActWrongState:
		return wrongState(got.State)
	}
	return fmt.Errorf("the store answered %q", string(results[0].Result))
}

// noContent refuses a replay of what has nothing to send.
func noContent() *Problem {
	return refuse(http.StatusConflict, CodeNoContent, "its data is not kept any more: give all of it")
}

func wrongState(s store.State) *Problem {
	return refuse(http.StatusConflict, CodeWrongState, "it is "+string(s))
}
