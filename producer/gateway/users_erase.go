package gateway

import (
	"net/http"
)

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

// deleteUser erases a user in the apps that the caller may see.
func (g *Gateway) deleteUser(w http.ResponseWriter, r *http.Request, c *call) error {
	userID, err := pathUser(r)
	if err != nil {
		return err
	}
	var apps []string // nil: all
	if len(c.Apps) > 0 {
		apps = c.Apps
	}
	erased, err := g.config.Eraser.Erase(r.Context(), EraseRequest{UserID: userID, Apps: apps, By: c.Name})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, erasedUser(erased))
	return nil
}
