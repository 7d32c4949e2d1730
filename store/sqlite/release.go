package sqlite

import (
	"context"

	"github.com/wxnotify/wxnotify/store"
)

// release gives a claim back. It is answered by whether the claim ended without
// an attempt: only a release leaves none.
func (t *writeTx) release(ctx context.Context, r store.Release) (bool, error) {
	_, err := t.exec(ctx, `
		UPDATE notifications
		SET state = CASE WHEN seq = 1 THEN 'queued' ELSE 'retrying' END,
			owner = NULL, lease_until = NULL, updated_at = ?4,
			generation = generation + ?6,
			due_at = ?4 + ?5,
			handover_at = ?4 + ?5 + iif(?6, 0, ?7)
		WHERE id = ?1 AND seq = ?2 AND owner = ?3 AND state = 'sending'`,
		r.ID[:], r.Seq, r.Owner[:], t.now, r.Delay.Microseconds(), r.Requeue, store.HandoverGrace.Microseconds())
	if err != nil {
		return false, err
	}
	var released bool
	err = t.row(ctx, `
		SELECT EXISTS (
			SELECT 1
			FROM notifications
			WHERE id = ?1 AND seq >= ?2 AND NOT (seq = ?2 AND state = 'sending')
				AND NOT EXISTS (SELECT 1 FROM attempts WHERE notification_id = ?1 AND n = ?2))`,
		[]any{r.ID[:], r.Seq}, []any{&released})
	return released, err
}
