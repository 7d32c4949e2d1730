package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// TakeWebhooks begins a try of at most limit deliveries of a producer that are
// due, the longest due first. Nobody else gets them for lease; a delivery whose
// result is not written by then is due again.
func (s *Store) TakeWebhooks(ctx context.Context, producer string, lease time.Duration, limit int) ([]store.WebhookDelivery, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT id
			FROM webhook_deliveries
			WHERE producer = $1 AND due_at <= now()
			ORDER BY due_at
			LIMIT $3
			FOR NO KEY UPDATE SKIP LOCKED
		), taken AS (
			UPDATE webhook_deliveries d
			SET tries = d.tries + 1, due_at = now() + $2::bigint * interval '1 microsecond'
			FROM due
			WHERE d.id = due.id
			RETURNING d.*
		)
		SELECT id, producer, event, at, notification_id, ref, template_id, state, reason, errcode, tries
		FROM taken
		ORDER BY at, id`, producer, lease.Microseconds(), limit)
	if err != nil {
		return nil, wrap("take webhooks", err)
	}
	deliveries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.WebhookDelivery, error) {
		var (
			d                store.WebhookDelivery
			id, notification [16]byte
		)
		err := row.Scan(&id, &d.Producer, (*string)(&d.Event), &d.At, &notification, &d.Ref, &d.TemplateID,
			(*string)(&d.State), (*string)(&d.Reason), &d.Errcode, &d.Try)
		d.ID, d.NotificationID, d.At = id, notification, d.At.UTC()
		return d, err
	})
	return deliveries, wrap("take webhooks", err)
}

// SettleWebhooks writes what came of tries. A result of a try that is no longer
// the last one changes nothing.
func (s *Store) SettleWebhooks(ctx context.Context, results []store.WebhookResult) error {
	var (
		ids   [][16]byte
		tries []int
		again []int64
	)
	for _, r := range results {
		ids, tries, again = append(ids, r.ID), append(tries, r.Try), append(again, r.Again.Microseconds())
	}
	const these = `unnest($1::uuid[], $2::int[], $3::bigint[]) AS r (id, try, again)`
	var b pgx.Batch
	b.Queue(`DELETE FROM webhook_deliveries d USING `+these+` WHERE d.id = r.id AND d.tries = r.try AND r.again = 0`, ids, tries, again)
	b.Queue(`
		UPDATE webhook_deliveries d
		SET due_at = now() + r.again * interval '1 microsecond'
		FROM `+these+`
		WHERE d.id = r.id AND d.tries = r.try AND r.again > 0`, ids, tries, again)
	return wrap("settle webhooks", s.run(ctx, &b))
}

// DeleteWebhooks gives up at most limit deliveries of events that are older than
// age, the oldest first, whoever they were for. It returns how many.
func (s *Store) DeleteWebhooks(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		DELETE FROM webhook_deliveries
		WHERE id IN (
			SELECT id
			FROM webhook_deliveries
			WHERE at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY at
			LIMIT $2
			FOR UPDATE SKIP LOCKED)`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap("delete webhooks", err)
}
