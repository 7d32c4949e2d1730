package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// cancelSQL ends notifications that are not being sent and records who did it.
const cancelSQL = `
	WITH found AS MATERIALIZED (
		SELECT c.*, n.generation, n.state AS was, n.reason, n.errcode,
			CASE
				WHEN n.state = 'cancelled' AND n.reason = 'by_admin' THEN 'before'
				WHEN n.state IN ('queued', 'retrying', 'waiting') THEN 'done'
				ELSE 'wrong_state'
			END AS result
		FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS c (id, actor, place)
		JOIN notifications n ON n.id = c.id
	), cancelled AS (
		UPDATE notifications n
		SET state = 'cancelled', reason = 'by_admin', handover_at = NULL, updated_at = now(), finished_at = now()
		FROM found f
		WHERE n.id = f.id AND f.result = 'done'
	), recorded AS (
		INSERT INTO actions (notification_id, generation, verb, at, actor, reason, errcode, detail)
		SELECT id, generation, 'cancel', now(), actor, reason, errcode, ''
		FROM found
		WHERE result = 'done'
	)
	SELECT place, result, CASE result WHEN 'done' THEN 'cancelled' ELSE was END, generation, reason, errcode
	FROM found`

// Cancel ends notifications that are not being sent, in one transaction, and
// answers each, in the order of the slice.
func (s *Store) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.Acted, error) {
	const op = "cancel notifications"
	if err := store.CheckInterventions(cancels, func(c store.Cancel) uuid.UUID { return c.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	ids, actors := make([][16]byte, len(cancels)), make([]string, len(cancels))
	for i, c := range cancels {
		ids[i], actors[i] = c.ID, c.Actor
	}
	return s.intervene(ctx, op, ids, cancelSQL, []any{ids, actors})
}
