package producer

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
)

const (
	// wakePage is how many waiting rows one turn in a second looks at: 100,000 of
	// them are seen within ten minutes, for a few milliseconds a second.
	wakePage = 200
	// wakeGrace is how long a consent lies unused before it lets another row go:
	// the one that it has let go is on its way to it.
	wakeGrace = time.Minute
)

// wakeSome looks at the next page of waiting rows for those that wait for what is
// there. Whoever brings it lets them go at once; this is the net for what slipped
// through, and for a consent that was left over.
func (r *Relay) wakeSome(ctx context.Context) error {
	next, seen, woken, err := r.config.Store.WakeWaiting(ctx, r.wakeAfter, wakeGrace, wakePage)
	if r.fromStore(ctx, err) != nil {
		return err
	}
	r.wakeAfter = next
	if seen < wakePage {
		r.wakeAfter = uuid.Nil
	}
	r.metrics.repair(repairWoken, woken)
	if woken > 0 {
		r.config.Logger.Info("rows waited for what was there, and were queued", zap.Int("notifications", woken))
	}
	return nil
}
