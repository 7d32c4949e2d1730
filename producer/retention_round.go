package producer

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// How hard retention works. A statement over a page takes some 50 ms; with a rest
// of four times as long, the database gives it a fifth of one connection, which
// is ten million rows in an hour, and less of it when the database is slow.
const (
	retentionPage    = 1000
	retentionTimeout = time.Minute // of one statement
	retentionRest    = 4           // times as long as the statement took
	retentionRestMin = 50 * time.Millisecond
)

func (r *Retention) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.round(ctx)
		switch {
		case err == nil:
			r.away.over()
		case ctx.Err() == nil:
			r.away.seen(err)
		}
		// An outage needs no other pause: nobody waits for retention.
		pause(ctx, jitter(r.config.Interval))
	}
}

// round forgets everything that is old by now, as long as this process leads.
func (r *Retention) round(ctx context.Context) error {
	c := r.config
	for _, step := range []struct {
		kind   forgetting
		age    time.Duration
		forget func(ctx context.Context, age time.Duration, limit int) (int, error)
	}{
		// Only what was blanked is deleted: the first comes first, and no later
		// than the second is due.
		{dataBlanked, min(c.Data, c.Finished), c.Store.BlankData},
		{finishedDeleted, c.Finished, c.Store.DeleteFinished},
		{deadDeleted, c.Dead, c.Store.DeleteDead},
		{requestsDeleted, store.RequestWindow, c.Store.DeleteRequests},
		{pushesDeleted, store.KeepPushes, c.Store.DeletePushes},
		{receiptsDeleted, store.KeepReceipts, c.Store.DeleteReceipts},
		{consentsDeleted, store.ConsentMemory, c.Store.DeleteConsentEvents},
	} {
		for ctx.Err() == nil && c.Leads() {
			start := time.Now()
			n, err := bounded(ctx, retentionTimeout, func(ctx context.Context) (int, error) { return step.forget(ctx, step.age, r.page) })
			if err != nil {
				return err
			}
			r.rows.WithLabelValues(string(step.kind)).Add(float64(n))
			if n < r.page {
				break
			}
			pause(ctx, max(retentionRest*time.Since(start), retentionRestMin))
		}
	}
	return nil
}

// bounded calls do, which may take no longer than timeout.
func bounded[T any](ctx context.Context, timeout time.Duration, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}

// pause waits for d or the end.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
