package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// NotificationStore is what the Gateway needs of a store to show notifications
// and to act on them; store/postgres and store/sqlite have it.
type NotificationStore interface {
	// Get returns a notification and its attempts in order; store.ErrNotFound when
	// there is none.
	Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error)
	// List returns one page, the newest first.
	List(ctx context.Context, f store.Filter) ([]store.Notification, error)
	// Replay starts dead notifications anew.
	Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error)
	// Cancel ends notifications that are not being sent.
	Cancel(ctx context.Context, cancels []store.Cancel) ([]store.Acted, error)
}

// notificationView is a notification as it is answered: what became of it, and
// not what it says, which the producer knows.
type notificationView struct {
	ID         uuid.UUID        `json:"id"`
	Ref        string           `json:"ref,omitempty"`
	App        string           `json:"app"`
	TemplateID string           `json:"template_id"`
	UserID     string           `json:"user_id,omitempty"`
	Priority   store.Priority   `json:"priority"`
	Duplicates store.Duplicates `json:"duplicates"`

	State   store.State   `json:"state"`
	Class   store.Class   `json:"class,omitempty"`
	Reason  store.Reason  `json:"reason,omitempty"`
	Field   string        `json:"field,omitempty"` // what WeChat or a check named
	Errcode int           `json:"errcode"`
	Errmsg  string        `json:"errmsg,omitempty"`
	Assumed bool          `json:"assumed"`
	Receipt store.Receipt `json:"receipt"`
	MsgID   string        `json:"msgid,omitempty"`

	CreatedAt  *string `json:"created_at"`
	UpdatedAt  *string `json:"updated_at"`
	DueAt      *string `json:"due_at"`
	ExpiresAt  *string `json:"expires_at"`
	FinishedAt *string `json:"finished_at,omitempty"`

	Attempts *[]attemptView `json:"attempts,omitempty"` // of one that was asked for by its id
}

// attemptView is one call of WeChat. MsgID is a string: it is above 2^53, and
// many JSON parsers would round it.
type attemptView struct {
	N         int     `json:"n"`
	At        *string `json:"at"`
	LatencyMS int64   `json:"latency_ms"`
	Errcode   int     `json:"errcode"`
	Errmsg    string  `json:"errmsg,omitempty"`
	RID       string  `json:"rid,omitempty"`
	MsgID     string  `json:"msgid,omitempty"`
	Outcome   string  `json:"outcome"`
}

func newNotificationView(n store.Notification) notificationView {
	return notificationView{
		ID: n.ID, Ref: n.Ref, App: n.App, TemplateID: n.TemplateID, UserID: n.UserID, Priority: n.Priority, Duplicates: n.Duplicates,
		State: n.State, Class: n.Class, Reason: n.Reason, Field: shownField(n.Field), Errcode: n.Errcode, Errmsg: n.Errmsg,
		Assumed: n.Assumed, Receipt: n.Receipt, MsgID: msgID(n.MsgID),
		CreatedAt: timestamp(n.CreatedAt), UpdatedAt: timestamp(n.UpdatedAt), DueAt: timestamp(n.DueAt),
		ExpiresAt: timestamp(n.ExpiresAt), FinishedAt: timestamp(n.FinishedAt),
	}
}

// shownField is the name of a field, if it is one of WeChat's or ours: a raw
// task's key may be somebody's text.
func shownField(field string) string {
	key := strings.TrimPrefix(field, "data.")
	if key == "" || task.IsTemplateKey(key) || slices.Contains(notificationFields, key) {
		return key
	}
	return "data"
}

// notificationFields are the fields of a notification that a check or WeChat may
// name.
var notificationFields = []string{
	"template_id", "page", "user_id", "openid", "data", "app", "lang", "miniprogram_state", "touser",
}

func msgID(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// getNotification shows one notification with its attempts.
func (g *Gateway) getNotification(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := newQuery(r).done(); err != nil {
		return err
	}
	n, attempts, err := g.own(r, c.caller)
	if err != nil {
		return err
	}
	view, list := newNotificationView(n), make([]attemptView, len(attempts))
	for i, a := range attempts {
		list[i] = attemptView{
			N: a.N, At: timestamp(a.At), LatencyMS: a.Latency.Milliseconds(), Errcode: a.Errcode, Errmsg: a.Errmsg,
			RID: a.RID, MsgID: msgID(a.MsgID), Outcome: a.Outcome,
		}
	}
	view.Attempts = &list
	writeJSON(w, http.StatusOK, view)
	return nil
}

// own finds the notification of the path, if the caller may see it.
func (g *Gateway) own(r *http.Request, c *caller) (store.Notification, []store.Attempt, error) {
	text := r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len(id.String()) { // uuid takes other forms, too
		return store.Notification{}, nil, errNotFound
	}
	n, attempts, err := g.config.Notifications.Get(r.Context(), id)
	if err == nil && n.Producer != c.Name && !c.has(RightManage) {
		err = errNotFound
	}
	return n, attempts, err
}

// listNotifications lists the caller's notifications, the newest first.
func (g *Gateway) listNotifications(w http.ResponseWriter, r *http.Request, c *call) error {
	q := newQuery(r)
	f := store.Filter{
		Ref: q.text("ref"), Class: word(q, "class", []store.Class{store.ClassFault, store.ClassRefused}), UserID: q.text("user_id"),
		TemplateID: q.text("template_id"), Errcode: q.number("errcode", 0, -1<<31, 1<<31-1), Reason: word(q, "reason", store.Reasons),
		Since: q.moment("since"), Until: q.moment("until"), Before: q.cursor(), Limit: q.limit(),
	}
	if state := word(q, "state", store.States); state != "" {
		f.States = []store.State{state}
	}
	if err := q.done(); err != nil {
		return err
	}
	if !c.has(RightManage) {
		f.Producer = c.Name
	}
	if f.TemplateID != "" {
		catalog, err := g.config.Catalog.Catalog(r.Context())
		if err != nil {
			return err
		}
		if t := known(catalog, g.config.DefaultApp, f.TemplateID); t != nil {
			f.TemplateID = t.ID
		}
	}
	found, err := g.config.Notifications.List(r.Context(), f)
	if err != nil {
		return err
	}
	answer := page[notificationView]{Items: make([]notificationView, len(found))}
	for i, n := range found {
		answer.Items[i] = newNotificationView(n)
	}
	if len(found) == f.PageSize() {
		next := f
		next.Before, next.Limit = store.After(found[len(found)-1]), 1
		more, err := g.config.Notifications.List(r.Context(), next)
		if err != nil {
			return err
		}
		if len(more) > 0 {
			cursor := next.Before.String()
			answer.NextCursor = &cursor
		}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}
