package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wxnotify/wxnotify/store"
)

// OnQueue returns at most limit notifications whose task must be on the queue
// and whose id is greater than after, in the order of their ids.
func (s *Store) OnQueue(ctx context.Context, after uuid.UUID, limit int) ([]store.OnQueue, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT id, generation, app, priority
		FROM notifications
		WHERE state IN ('queued', 'retrying') AND handover_at IS NULL AND id > $1
		ORDER BY id
		LIMIT $2`, [16]byte(after), limit)
	if err != nil {
		return nil, wrap("list what is on the queue", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (o store.OnQueue, err error) {
		err = row.Scan((*[16]byte)(&o.ID), &o.Generation, &o.App, (*string)(&o.Priority))
		return o, err
	})
	return list, wrap("list what is on the queue", err)
}

// Requeue gives notifications whose task is gone a new delivery, each unless it
// moved on since OnQueue returned it, and returns how many it gave one.
func (s *Store) Requeue(ctx context.Context, list []store.OnQueue) (n int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	ids, generations := make([][16]byte, len(list)), make([]int, len(list))
	for i, o := range list {
		ids[i], generations[i] = o.ID, o.Generation
	}
	var b pgx.Batch
	b.Queue(lockSQL, ids)
	b.Queue(`
		WITH found AS MATERIALIZED (
			SELECT n.id, n.state, n.handover_at
			FROM unnest($1::uuid[], $2::int[]) AS o (id, generation)
			JOIN notifications n ON n.id = o.id AND n.generation = o.generation
		)
		UPDATE notifications n
		SET generation = n.generation + 1, handover_at = n.due_at, updated_at = now()
		FROM found
		WHERE n.id = found.id AND found.state IN ('queued', 'retrying') AND found.handover_at IS NULL`,
		ids, generations).Exec(func(tag pgconn.CommandTag) error {
		n = int(tag.RowsAffected())
		return nil
	})
	if err := s.run(ctx, &b); err != nil {
		return 0, wrap("requeue notifications", err)
	}
	return n, nil
}
