package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// Cancel ends notifications that are not being sent, in one transaction, and
// answers each, in the order of the slice.
func (s *Store) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.Acted, error) {
	const op = "cancel notifications"
	if err := store.CheckInterventions(cancels, func(c store.Cancel) uuid.UUID { return c.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return intervene(ctx, s, op, cancels, (*writeTx).cancel)
}

func (t *writeTx) cancel(ctx context.Context, c store.Cancel) (store.Acted, error) {
	acted, err := t.judge(ctx, c.ID, `
		CASE
			WHEN state = 'cancelled' AND reason = 'by_admin' THEN 'before'
			WHEN state IN ('queued', 'retrying', 'waiting') THEN 'done'
			ELSE 'wrong_state'
		END`)
	if err != nil || acted.Result != store.ActDone {
		return acted, err
	}
	_, err = t.exec(ctx, `
		UPDATE notifications
		SET state = 'cancelled', reason = 'by_admin', handover_at = NULL, updated_at = ?2, finished_at = ?2
		WHERE id = ?1 AND state IN ('queued', 'retrying', 'waiting')`, c.ID[:], t.now)
	if err == nil {
		err = t.note(ctx, acted, store.VerbCancel, c.Actor, "")
	}
	acted.State = store.Cancelled
	return acted, err
}
