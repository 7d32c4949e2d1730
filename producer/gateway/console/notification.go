package console

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

type notificationPage struct {
	store.Notification
	Title    string // of its template
	Fields   []shownField
	Events   []event
	Meaning  Explanation // of its errcode
	Doubtful bool        // a replay may send it twice
	Sendable bool        // it still has what a message needs
	Done     string      // what was just done, from a closed list
}

// shownField is one value of the message.
type shownField struct{ Key, Label, Text string }

// event is one line of the timeline. What is set tells which kind it is.
type event struct {
	At      time.Time
	Attempt *store.Attempt
	Receipt *store.ReceiptRecord
	Action  *store.Action
	Text    string // a message, for what is none of these
	Explain Explanation
}

// notification finds the one of the path.
func (v *visit) notification() (store.Notification, []store.Attempt, error) {
	text := v.r.PathValue("id")
	id, err := uuid.Parse(text)
	if err != nil || len(text) != len(id.String()) { // uuid takes other forms, too
		return store.Notification{}, nil, errNotFound
	}
	return v.c.cfg.Store.Get(v.ctx, id)
}

func (c *Console) showNotification(v *visit) error {
	n, attempts, err := v.notification()
	if err != nil {
		return err
	}
	page := notificationPage{
		Notification: n, Doubtful: n.Reason == store.ReasonInDoubt, Sendable: sendable(n),
		Done: v.r.URL.Query().Get("done"),
	}
	if _, ok := doneMessages[page.Done]; !ok {
		page.Done = ""
	}
	if n.Errcode != 0 {
		page.Meaning = v.explain(n.Errcode)
	}
	labels := map[string]string{}
	catalog, _, err := c.catalog(v.ctx)
	if err != nil {
		return err
	}
	for _, t := range catalog.Templates(n.App) {
		if t.ID == n.TemplateID {
			page.Title = t.Title
			for _, f := range t.Fields {
				labels[f.Key] = f.Label
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.Data)) {
		page.Fields = append(page.Fields, shownField{key, labels[key], n.Data[key]})
	}
	if page.Events, err = c.timeline(v, n, attempts); err != nil {
		return err
	}
	v.show("notification", "Notification", http.StatusOK, page)
	return nil
}

// DoneText is the message of a closed list.
func (p notificationPage) DoneText() string { return doneMessages[p.Done] }

var doneMessages = map[string]string{
	"replayed":  "It is queued again.",
	"discarded": "It is out of the view of dead letters.",
	"settled":   "The doubt is settled.",
	"cancelled": "It is cancelled.",
	"before":    "That had been done before; nothing changed.",
}

// timeline is what happened to a notification, in order.
func (c *Console) timeline(v *visit, n store.Notification, attempts []store.Attempt) ([]event, error) {
	receipts, err := c.cfg.Store.Receipts(v.ctx, n.ID)
	if err != nil {
		return nil, err
	}
	actions, err := c.cfg.Store.Actions(v.ctx, n.ID)
	if err != nil {
		return nil, err
	}
	events := []event{{At: n.CreatedAt, Text: "accepted"}}
	for _, a := range attempts {
		e := event{At: a.At, Attempt: &a}
		if a.Errcode != 0 {
			e.Explain = v.explain(a.Errcode)
		}
		events = append(events, e)
	}
	for _, r := range receipts {
		events = append(events, event{At: receivedAt(r, attempts), Receipt: &r})
	}
	for _, a := range actions {
		events = append(events, event{At: a.At, Action: &a})
	}
	if !n.State.Final() && n.DueAt.After(n.UpdatedAt) {
		events = append(events, event{At: n.DueAt, Text: "due"})
	}
	if !n.FinishedAt.IsZero() {
		events = append(events, event{At: n.FinishedAt, Text: "ended"})
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.At.UnixMicro(), b.At.UnixMicro()) })
	return events, nil
}

// explain explains an errcode in the visitor's language.
func (v *visit) explain(errcode int) Explanation { return v.c.cfg.Explain(errcode, v.lang == chinese) }

// receivedAt is the time of a receipt, but not before the attempt that it is
// about: WeChat's times are whole seconds.
func receivedAt(r store.ReceiptRecord, attempts []store.Attempt) time.Time {
	for _, a := range attempts {
		if a.N == r.N && a.At.After(r.At) {
			return a.At
		}
	}
	return r.At
}

// sendable reports whether the notification still has what a message needs.
func sendable(n store.Notification) bool {
	return n.TemplateID != "" && (n.UserID != "" || n.OpenID != "") && len(n.Data) > 0 && n.DataBlankedAt.IsZero()
}

// shownKey is a data key as a viewer sees it: one that no template can have may
// be somebody's text.
func shownKey(key string) string {
	if task.IsTemplateKey(key) {
		return key
	}
	return hidden
}

// Key is a data key, for the visitor.
func (v view) Key(key string) string {
	if v.Operator() {
		return key
	}
	return shownKey(key)
}

// Field is what WeChat or a check named.
func (v view) Field(name string) string {
	switch {
	case v.Operator(), name == "", slices.Contains([]string{"page", "template_id", "user_id", "openid", "touser", "data", "app"}, name):
		return name
	}
	return shownKey(name)
}

// plural counts notifications, for the record.
func plural(n int) string {
	if n == 1 {
		return "1 notification"
	}
	return strconv.Itoa(n) + " notifications"
}
