package producer

import (
	"context"
	"time"
)

// The pace of the second look at rows whose task was put on the queue by who
// accepted or answered them. Before a long backlog nearly all of them are there,
// and by the time a worker takes them nobody needs to have looked: to put each
// there once more and write that down costs a third of what it costs to send it.
// So the look takes a tenth of the time at most. It goes by priority and the
// longest due first, as workers do, so what is missing is found before the rows
// ahead of it are sent; a million before a queue that stands still take ten
// minutes.
const (
	confirmPause = 250 * time.Millisecond
	// confirmShare is how many times as long as a look the pause after it is.
	confirmShare = 9
	// confirmPauseMax bounds the pause after a look that took long.
	confirmPauseMax = 5 * time.Second
	confirmBudget   = 25 * time.Millisecond
)

// confirm is when the next look is due.
type confirm struct{ due time.Time }

// confirmSome puts rows on the queue that should be there for HandoverGrace and are
// not known to be. A page that was there for the most part is followed by a pause;
// after one that was not, the next follows at once: then somebody died between the
// COMMIT and the queue, or Redis forgot. lost tells that such a page was the last.
func (r *Relay) confirmSome(ctx context.Context) (lost bool, err error) {
	start := time.Now()
	if start.Before(r.confirm.due) {
		return false, nil
	}
	r.confirm.due = start.Add(confirmPause)
	for range handoverPages {
		n, there, err := r.handOverPage(ctx, r.config.Store.Handovers)
		if err != nil || n < handoverPage {
			return false, err
		}
		lost = there < n/2
		if took := time.Since(start); !lost && took >= r.confirmFor {
			r.confirm.due = start.Add(took + min(max(confirmPause, confirmShare*took), confirmPauseMax))
			return false, nil
		}
	}
	if lost {
		r.confirm.due = time.Time{}
	}
	return lost, nil
}
