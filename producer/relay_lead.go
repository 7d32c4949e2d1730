package producer

import (
	"context"
	"fmt"
	"time"
)

// leadInterval is how often a leader makes sure that it still is one.
const leadInterval = time.Second

// lead reports whether this relay is the one that works, and takes over when
// nobody is.
func (r *Relay) lead(ctx context.Context) (bool, error) {
	if r.release != nil {
		if time.Since(r.ledAt) < leadInterval {
			return true, nil
		}
		if r.config.Store.StillLeading(ctx) == nil {
			r.ledAt = time.Now()
			return true, nil
		}
		r.follow()
	}
	ok, release, err := r.config.Store.Lead(ctx)
	if r.fromStore(ctx, err) != nil {
		return false, fmt.Errorf("lead: %w", err)
	}
	if !ok {
		return false, nil
	}
	r.config.Logger.Info("relay leads")
	r.metrics.leader.Set(1)
	// Another one may have led since: what it did is in the store.
	r.rebuild, r.check, r.confirm = nil, check{}, confirm{}
	r.release, r.ledAt = release, time.Now()
	return true, nil
}

// follow gives leadership up, if it was held.
func (r *Relay) follow() {
	if r.release == nil {
		return
	}
	r.release()
	r.release = nil
	r.metrics.leader.Set(0)
	r.config.Logger.Info("relay no longer leads")
}
