package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// Handovers returns at most limit notifications that are due and not known to be
// on the queue: by priority, and the one that has been due longest first.
func (s *Store) Handovers(ctx context.Context, limit int) ([]store.Handover, error) {
	return s.handovers(ctx, `n.handover_at IS NOT NULL AND n.due_at <= ?2 AND n.handover_at <= ?2`, limit)
}

// Unqueued returns at most limit of those Handovers that nobody has put on the
// queue. The others were put there when they were accepted or answered, and
// HandoverGrace is over since they were due.
func (s *Store) Unqueued(ctx context.Context, limit int) ([]store.Handover, error) {
	return s.handovers(ctx, `n.handover_at <= n.due_at AND n.due_at <= ?2`, limit)
}

// handovers returns those for which the condition holds.
func (s *Store) handovers(ctx context.Context, condition string, limit int) ([]store.Handover, error) {
	var handovers []store.Handover
	now := time.Now().UnixMicro()
	for _, priority := range store.Priorities {
		err := s.query(ctx, "find handovers", `
			SELECT `+notificationColumns+`
			FROM notifications n
			WHERE n.priority = ?1 AND `+condition+` AND n.state IN ('queued', 'retrying')
			ORDER BY n.due_at
			LIMIT ?3`, []any{priority, now, limit - len(handovers)}, func(rows *sql.Rows) error {
			n, err := scanNotification(rows)
			handovers = append(handovers, store.Handover{Notification: n})
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(handovers) >= limit {
			break
		}
	}
	return handovers, nil
}

// HandedOver notes that these notifications are on the queue, each unless it
// moved on since Handovers returned it.
func (s *Store) HandedOver(ctx context.Context, handovers []store.Handover) error {
	if len(handovers) == 0 {
		return nil
	}
	return s.write(ctx, "note handovers", func(tx *writeTx) error {
		for _, h := range handovers {
			// The generation alone would not do: a worker may have claimed the
			// task and put the notification back for the same delivery, with a
			// later handover_at that must stand.
			_, err := tx.exec(ctx, `
				UPDATE notifications
				SET handover_at = NULL
				WHERE id = ? AND generation = ? AND handover_at = ? AND state IN ('queued', 'retrying')`,
				h.ID[:], h.Generation, h.HandoverAt.UnixMicro())
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// RequeueOpen gives at most limit queued or retrying notifications whose id is
// greater than after a new delivery, for a queue that was wiped. It goes by id:
// next is where to go on, and n less than limit means that this was the end.
func (s *Store) RequeueOpen(ctx context.Context, after uuid.UUID, limit int) (next uuid.UUID, n int, err error) {
	ids := []uuid.UUID{after}
	err = s.write(ctx, "requeue open notifications", func(tx *writeTx) error {
		return tx.rows(ctx, `
			UPDATE notifications
			SET generation = generation + 1, handover_at = due_at, updated_at = ?3
			WHERE id IN (
				SELECT id
				FROM notifications
				WHERE state IN ('queued', 'retrying') AND id > ?1
				ORDER BY id
				LIMIT ?2)
			RETURNING id`, []any{after[:], limit, tx.now}, func(rows *sql.Rows) error {
			var id uuid.UUID
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return after, 0, err
	}
	return slices.MaxFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) }), len(ids) - 1, nil
}
