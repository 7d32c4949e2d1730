package postgres

import (
	"bytes"
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// Handovers returns at most limit notifications that are due and not known to be
// on the queue: by priority, and the one that has been due longest first.
func (s *Store) Handovers(ctx context.Context, limit int) ([]store.Handover, error) {
	return s.handovers(ctx, `n.handover_at IS NOT NULL AND n.due_at <= now() AND n.handover_at <= now()`, limit)
}

// Unqueued returns at most limit of those Handovers that nobody has put on the
// queue. The others were put there when they were accepted or answered, and
// HandoverGrace is over since they were due.
func (s *Store) Unqueued(ctx context.Context, limit int) ([]store.Handover, error) {
	return s.handovers(ctx, `n.handover_at <= n.due_at AND n.due_at <= now()`, limit)
}

// handovers returns those for which the condition holds.
func (s *Store) handovers(ctx context.Context, condition string, limit int) ([]store.Handover, error) {
	// One index scan per priority, each of which stops at the limit. Only queued
	// and retrying notifications have a handover_at.
	rows, err := s.pool.Query(ctx, `
		SELECT n.*
		FROM (VALUES (1, 'critical'), (2, 'default'), (3, 'low')) AS p (rank, priority)
		CROSS JOIN LATERAL (
			SELECT `+notificationColumns+`
			FROM notifications n
			WHERE n.priority = p.priority AND `+condition+`
			ORDER BY n.due_at
			LIMIT $1
		) AS n
		ORDER BY p.rank, n.due_at
		LIMIT $1`, limit)
	if err != nil {
		return nil, wrap("find handovers", err)
	}
	handovers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Handover, error) {
		n, err := scanNotification(row)
		return store.Handover{Notification: n}, err
	})
	return handovers, wrap("find handovers", err)
}

// HandedOver notes that these notifications are on the queue, each unless it
// moved on since Handovers returned it.
func (s *Store) HandedOver(ctx context.Context, handovers []store.Handover) error {
	if len(handovers) == 0 {
		return nil
	}
	n := len(handovers)
	ids, generations, times := make([][16]byte, n), make([]int, n), make([]time.Time, n)
	for i, h := range handovers {
		ids[i], generations[i], times[i] = h.ID, h.Generation, h.HandoverAt
	}
	// The generation alone would not do: a worker may have claimed the task and
	// put the notification back for the same delivery, with a later handover_at
	// that must stand.
	var b pgx.Batch
	b.Queue(lockSQL, ids)
	b.Queue(`
		WITH found AS MATERIALIZED (
			SELECT n.id, n.handover_at, h.handover_at AS noted
			FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS h (id, generation, handover_at)
			JOIN notifications n ON n.id = h.id AND n.generation = h.generation
		)
		UPDATE notifications n
		SET handover_at = NULL
		FROM found h
		WHERE n.id = h.id AND h.handover_at = h.noted`, ids, generations, times)
	return wrap("note handovers", s.run(ctx, &b))
}

// RequeueOpen gives at most limit queued or retrying notifications whose id is
// greater than after a new delivery, for a queue that was wiped. It goes by id:
// next is where to go on, and n less than limit means that this was the end.
func (s *Store) RequeueOpen(ctx context.Context, after uuid.UUID, limit int) (next uuid.UUID, n int, err error) {
	// Without SKIP LOCKED: what a worker holds just now is lost from the queue
	// like everything else.
	rows, err := s.pool.Query(ctx, `
		WITH open AS (
			SELECT id
			FROM notifications
			WHERE state IN ('queued', 'retrying') AND id > $1
			ORDER BY id
			LIMIT $2
			FOR NO KEY UPDATE
		)
		UPDATE notifications n
		SET generation = n.generation + 1, handover_at = n.due_at, updated_at = now()
		FROM open
		WHERE n.id = open.id
		RETURNING n.id`, [16]byte(after), limit)
	if err != nil {
		return after, 0, wrap("requeue open notifications", err)
	}
	next = after
	var id [16]byte
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
		n++
		if bytes.Compare(id[:], next[:]) > 0 {
			next = id
		}
		return nil
	})
	if err != nil {
		return after, 0, wrap("requeue open notifications", err)
	}
	return next, n, nil
}
