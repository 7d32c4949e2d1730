package sqlite

import (
	"context"

	"github.com/wxnotify/wxnotify/store"
)

// move applies a move without an attempt, unless an earlier try of it did. One
// that shall wait for its template's resume moves only while the template is
// paused: nobody would wake it otherwise.
func (t *writeTx) move(ctx context.Context, m store.Move) (bool, error) {
	if m.Replay {
		return t.replayMove(ctx, m)
	}
	moved, err := t.exec(ctx, `
		UPDATE notifications AS n
		SET state = ?3, class = ?4, reason = ?5,
			generation = generation + (?3 = 'retrying' AND ?7),
			due_at = CASE WHEN ?3 = 'retrying' THEN ?8 + ?6 ELSE due_at END,
			handover_at = CASE WHEN ?3 = 'retrying' THEN ?8 + ?6 + iif(?7, 0, ?9) END,
			updated_at = ?8,
			finished_at = CASE WHEN ?3 IN ('dead', 'expired', 'cancelled') THEN ?8 END
		WHERE id = ?1 AND generation = ?2
			AND (state IN ('queued', 'retrying') OR (state = 'waiting' AND ?3 = 'cancelled'))
			AND (?3 <> 'waiting' OR ?5 <> 'template_paused'
				OR EXISTS (SELECT 1 FROM template_pauses p WHERE p.app = n.app AND p.template_id = n.template_id))`,
		m.ID[:], m.Generation, m.State, m.Class, m.Reason, m.Delay.Microseconds(), m.Requeue, t.now, store.HandoverGrace.Microseconds())
	if err != nil || moved > 0 {
		return moved > 0, err
	}
	var before bool
	err = t.row(ctx, `
		SELECT EXISTS (
			SELECT 1
			FROM notifications
			WHERE id = ?1 AND generation = ?2 + (?3 = 'retrying' AND ?5) AND state = ?3 AND reason = ?4)`,
		[]any{m.ID[:], m.Generation, m.State, m.Reason, m.Requeue}, []any{&before})
	return before, err
}
