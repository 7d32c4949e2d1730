package sqlite

import (
	"context"

	"github.com/wxnotify/wxnotify/store"
)

// move applies a move without an attempt, unless an earlier try of it did. One
// that shall wait moves only while what it waits for is not there: nobody would
// wake it otherwise.
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
			address = iif(?3 = 'waiting' AND ?5 = 'no_consent', `+addressSQL+`, address),
			updated_at = ?8,
			finished_at = CASE WHEN ?3 IN ('dead', 'expired', 'cancelled') THEN ?8 END
		WHERE id = ?1 AND generation = ?2
			AND (state IN ('queued', 'retrying') OR (state = 'waiting' AND ?3 = 'cancelled'))
			AND CASE WHEN ?3 <> 'waiting' THEN 1 ELSE
				CASE ?5
					WHEN 'unbound' THEN NOT EXISTS (SELECT 1 FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id)
					WHEN 'no_consent' THEN `+addressSQL+` <> '' AND NOT EXISTS (SELECT 1 FROM consents c
						WHERE c.app = n.app AND c.open_id = `+addressSQL+` AND c.template_id = n.template_id
							AND (c.long_term OR c.balance > 0))
					WHEN 'template_paused' THEN EXISTS (SELECT 1 FROM template_pauses p
						WHERE p.app = n.app AND p.template_id = n.template_id)
					ELSE 1
				END END`,
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

// addressSQL is the openid that the notification n would go to now; "" for none.
const addressSQL = `iif(n.open_id <> '', n.open_id,
			coalesce((SELECT b.open_id FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id AND n.user_id <> ''), ''))`
