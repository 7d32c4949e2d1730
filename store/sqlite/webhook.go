package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// TakeWebhooks begins a try of at most limit deliveries of a producer that are
// due, the longest due first. Nobody else gets them for lease; a delivery whose
// result is not written by then is due again.
func (s *Store) TakeWebhooks(ctx context.Context, producer string, lease time.Duration, limit int) (taken []store.WebhookDelivery, err error) {
	err = s.write(ctx, "take webhooks", func(tx *writeTx) error {
		taken = nil
		return tx.rows(ctx, `
			UPDATE webhook_deliveries
			SET tries = tries + 1, due_at = ?2 + ?3
			WHERE id IN (
				SELECT id
				FROM webhook_deliveries
				WHERE producer = ?1 AND due_at <= ?2
				ORDER BY due_at
				LIMIT ?4)
			RETURNING id, producer, event, at, notification_id, ref, template_id, state, reason, errcode, tries`,
			[]any{producer, tx.now, lease.Microseconds(), limit}, func(rows *sql.Rows) error {
				var (
					d  store.WebhookDelivery
					at int64
				)
				err := rows.Scan(&d.ID, &d.Producer, &d.Event, &at, &d.NotificationID, &d.Ref, &d.TemplateID, &d.State, &d.Reason, &d.Errcode, &d.Try)
				d.At = time.UnixMicro(at).UTC()
				taken = append(taken, d)
				return err
			})
	})
	return taken, err
}

// SettleWebhooks writes what came of tries. A result of a try that is no longer
// the last one changes nothing.
func (s *Store) SettleWebhooks(ctx context.Context, results []store.WebhookResult) error {
	return s.write(ctx, "settle webhooks", func(tx *writeTx) error {
		for _, r := range results {
			query, args := `DELETE FROM webhook_deliveries WHERE id = ?1 AND tries = ?2`, []any{r.ID[:], r.Try}
			if r.Again > 0 {
				query, args = `UPDATE webhook_deliveries SET due_at = ?3 WHERE id = ?1 AND tries = ?2`, append(args, tx.now+r.Again.Microseconds())
			}
			if _, err := tx.exec(ctx, query, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteWebhooks gives up at most limit deliveries of events that are older than
// age, the oldest first, whoever they were for. It returns how many.
func (s *Store) DeleteWebhooks(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "delete webhooks", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			DELETE FROM webhook_deliveries
			WHERE id IN (SELECT id FROM webhook_deliveries WHERE at <= ? ORDER BY at LIMIT ?)`,
			tx.now-age.Microseconds(), limit)
		return err
	})
	return n, err
}
