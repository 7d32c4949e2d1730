package gateway

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
)

// NotificationStore is what the Gateway needs of a store to show notifications
// and to act on them; store/postgres and store/sqlite have it.
type NotificationStore interface {
	Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error)
	List(ctx context.Context, f store.Filter) ([]store.Notification, error)
	Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error)
}

// accepted is the answer to a notification that was accepted.
type accepted struct {
	ID        uuid.UUID   `json:"id"`
	Ref       string      `json:"ref,omitempty"`
	State     store.State `json:"state"`
	Duplicate bool        `json:"duplicate"`
}

// postNotification accepts one notification.
func (g *Gateway) postNotification(w http.ResponseWriter, r *http.Request, c *call) error {
	o, err := c.object()
	if err != nil {
		return err
	}
	n := producer.Notification{TemplateID: o.required("template_id")}
	if err := o.done(); err != nil {
		return err
	}
	got, err := g.config.Client.Send(r.Context(), n)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/notifications/"+got.ID.String())
	writeJSON(w, http.StatusAccepted, accepted{got.ID, n.Ref, got.State, got.Duplicate})
	return nil
}
