package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// waitsForConsent are the notifications that wait for the consent of ?3 for ?4 in
// the app ?2 and have time left; ?1 is now.
const waitsForConsent = `app = ?2 AND address = ?3 AND template_id = ?4 AND state = 'waiting' AND reason = 'no_consent'
				AND expires_at > ?1 AND coalesce(wait_until > ?1, 1)`

// letGo queues what waits for the consent: for one release the newest of the
// highest priority, or the oldest of that priority if the newest says so, and for
// store.ReleaseAll a page of all. It returns how many.
func (t *writeTx) letGo(ctx context.Context, c store.Consent, release int) (int, error) {
	args := []any{t.now, c.App, c.OpenID, c.TemplateID}
	if release == store.ReleaseAll {
		return t.exec(ctx, `
			UPDATE notifications
			SET `+wakeSQL+`
			WHERE id IN (SELECT id FROM notifications WHERE `+waitsForConsent+` LIMIT ?5)`, append(args, store.ReleasePage)...)
	}
	for _, p := range store.Priorities {
		if release == 0 {
			break
		}
		n, err := t.exec(ctx, `
			UPDATE notifications
			SET `+wakeSQL+`
			WHERE id = (
				SELECT iif(n.release_order = 'oldest', (
					SELECT id
					FROM notifications
					WHERE `+waitsForConsent+` AND priority = ?5
					ORDER BY created_at, id
					LIMIT 1), n.id)
				FROM (
					SELECT id, release_order
					FROM notifications
					WHERE `+waitsForConsent+` AND priority = ?5
					ORDER BY created_at DESC, id DESC
					LIMIT 1
				) AS n)`, append(args[:4:4], p)...)
		if err != nil || n > 0 {
			return n, err
		}
	}
	return 0, nil
}

// WakeWaiting is the net below those who end a wait: it looks at a page of at most
// limit waiting notifications whose id is greater than after, in the order of their
// ids, and queues what waits for nothing any more. For a consent it is one for each
// entry that is not empty, and only when nothing has touched the entry for grace:
// what was let go before may be about to use it. next is where to go on, and seen
// less than limit means that this was the end.
func (s *Store) WakeWaiting(ctx context.Context, after uuid.UUID, grace time.Duration, limit int) (next uuid.UUID, seen, woken int, err error) {
	next = after
	err = s.write(ctx, "wake what waits", func(tx *writeTx) error {
		var (
			free  [][]byte
			pairs = map[store.Consent]bool{}
		)
		err := tx.rows(ctx, wakeableSQL, []any{after[:], limit, tx.now - grace.Microseconds()}, func(rows *sql.Rows) error {
			var (
				c      store.Consent
				reason store.Reason
				over   bool
			)
			err := rows.Scan(&next, &reason, &c.App, &c.OpenID, &c.TemplateID, &over)
			seen++
			switch {
			case err != nil || !over:
			case reason == store.ReasonNoConsent:
				pairs[c] = true
			default:
				id := next
				free = append(free, id[:])
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, id := range free {
			n, err := tx.exec(ctx, `
				UPDATE notifications
				SET `+wakeSQL+`
				WHERE id = ?2 AND state = 'waiting'
					AND expires_at > ?1 AND (reason = 'template_paused' OR coalesce(wait_until > ?1, 1))`, tx.now, id)
			if err != nil {
				return err
			}
			woken += n
		}
		for c := range pairs {
			n, err := tx.letGo(ctx, c, 1)
			if err != nil {
				return err
			}
			woken += n
		}
		return nil
	})
	if err != nil {
		return after, 0, 0, err
	}
	return next, seen, woken, nil
}

// wakeableSQL is a page of what waits, each with whether what it waits for is
// there; ?3 is when entries must have been left alone since.
const wakeableSQL = `
	SELECT n.id, n.reason, n.app, n.address, n.template_id,
		CASE n.reason
			WHEN 'unbound' THEN EXISTS (SELECT 1 FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id)
			WHEN 'template_paused' THEN NOT EXISTS (SELECT 1 FROM template_pauses p
				WHERE p.app = n.app AND p.template_id = n.template_id)
			WHEN 'no_consent' THEN EXISTS (SELECT 1 FROM consents c
				WHERE c.app = n.app AND c.open_id = n.address AND c.template_id = n.template_id
					AND (c.long_term OR c.balance > 0) AND c.updated_at <= ?3)
			ELSE 0
		END
	FROM notifications n
	WHERE n.state = 'waiting' AND n.handover_at IS NULL AND n.id > ?1
	ORDER BY n.id
	LIMIT ?2`

// DeleteConsentEvents deletes events that came longer than age ago, at most limit
// of them, and returns how many.
func (s *Store) DeleteConsentEvents(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "delete consent events", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			DELETE FROM consent_events
			WHERE rowid IN (SELECT rowid FROM consent_events WHERE seen_at <= ? ORDER BY seen_at LIMIT ?)`,
			tx.now-age.Microseconds(), limit)
		return err
	})
	return n, err
}
