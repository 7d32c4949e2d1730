package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// eraseTimeout bounds the erasure of one user: looking twice through some
// millions of tasks in Redis. It ends before the server gives up writing the
// answer.
const eraseTimeout = 65 * time.Second

// erasedUser is the answer to an erasure. What is still on its way is blanked
// when it ends, without another request.
type erasedUser struct {
	Cancelled int `json:"cancelled"` // notifications that were open
	Blanked   int `json:"blanked"`   // notifications that had ended
	InFlight  int `json:"in_flight"` // notifications being sent or in doubt
	Unbound   int `json:"unbound"`   // bindings
	Consents  int `json:"consents"`  // entries of the ledger
	Pushes    int `json:"pushes"`    // receipts and events that were not worked off
	Tasks     int `json:"tasks"`     // tasks taken out of the queues
}

// deleteUser erases a user in the apps that the caller may see. What was begun goes
// on when the caller hangs up.
func (g *Gateway) deleteUser(w http.ResponseWriter, r *http.Request, c *call) error {
	userID, err := pathUser(r)
	if err != nil {
		return err
	}
	var apps []string // nil: all
	if len(c.Apps) > 0 {
		apps = c.Apps
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), eraseTimeout)
	defer cancel()
	erased, err := g.config.Eraser.Erase(ctx, EraseRequest{UserID: userID, Apps: apps, By: c.Name})
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return err
	case err != nil:
		g.config.Logger.Warn("user not erased completely: the queue is away, or too long", zap.String("by", c.Name), zap.Error(err))
		p := refuse(http.StatusServiceUnavailable, CodeUnavailable,
			"the queue does not answer, or is too long to look through in one request; repeat the request, or use wxnotify users erase")
		p.RetryAfter = retryAfter
		return p
	}
	writeJSON(w, http.StatusOK, erasedUser(erased))
	return nil
}
