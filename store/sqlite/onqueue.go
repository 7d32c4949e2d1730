package sqlite

import (
	"context"
	"database/sql"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// OnQueue returns at most limit notifications whose task must be on the queue
// and whose id is greater than after, in the order of their ids.
func (s *Store) OnQueue(ctx context.Context, after uuid.UUID, limit int) ([]store.OnQueue, error) {
	var list []store.OnQueue
	err := s.query(ctx, "list what is on the queue", `
		SELECT id, generation, app, priority
		FROM notifications
		WHERE state IN ('queued', 'retrying') AND handover_at IS NULL AND id > ?1
		ORDER BY id
		LIMIT ?2`, []any{after[:], limit}, func(rows *sql.Rows) error {
		var o store.OnQueue
		err := rows.Scan(&o.ID, &o.Generation, &o.App, &o.Priority)
		list = append(list, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Requeue gives notifications whose task is gone a new delivery, each unless it
// moved on since OnQueue returned it, and returns how many it gave one.
func (s *Store) Requeue(ctx context.Context, list []store.OnQueue) (n int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	err = s.write(ctx, "requeue notifications", func(tx *writeTx) error {
		n = 0
		for _, o := range list {
			changed, err := tx.exec(ctx, `
				UPDATE notifications
				SET generation = generation + 1, handover_at = due_at, updated_at = ?3
				WHERE id = ?1 AND generation = ?2 AND handover_at IS NULL AND state IN ('queued', 'retrying')`,
				o.ID[:], o.Generation, tx.now)
			if err != nil {
				return err
			}
			n += changed
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
