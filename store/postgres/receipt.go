package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// keepReceiptsSQL keeps receipts as pending, in the order of their keys, so that
// two that bring the same ones do not wait for each other.
const keepReceiptsSQL = `
	INSERT INTO receipts (msg_id, app, open_id, template_id, ok, code, status, at, verified,
		began_from, began_until, received_at, look_at)
	SELECT msg_id, app, open_id, template_id, ok, code, status, at, verified,
		at - wait * interval '1 microsecond', at + $11::bigint * interval '1 microsecond',
		now(), now() + $12::bigint * interval '1 microsecond'
	FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::int[], $7::text[],
			$8::timestamptz[], $9::bool[], $10::bigint[])
		AS e (msg_id, app, open_id, template_id, ok, code, status, at, verified, wait)
	ORDER BY msg_id, app
	ON CONFLICT (msg_id, app) DO NOTHING`

// RecordReceipts keeps WeChat's receipts, joins each to the attempt that has its
// msgid, or settles the doubt that only it fits, and answers in the order of the
// slice. A receipt that finds neither waits.
func (s *Store) RecordReceipts(ctx context.Context, events []store.ReceiptEvent) ([]store.Receipted, error) {
	const op = "record receipts"
	if len(events) == 0 {
		return nil, nil
	}
	var c receiptColumns
	for _, e := range events {
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		c.add(e)
	}
	// The receipts are kept first, in a transaction of their own: a settlement
	// that comes meanwhile can see them.
	var b pgx.Batch
	pending := map[receiptKey]bool{}
	b.Queue(keepReceiptsSQL, c.msgID, c.app, c.openID, c.templateID, c.ok, c.code, c.status, c.at, c.verified, c.wait,
		store.ReceiptEarly.Microseconds(), store.ReceiptLook.Microseconds())
	b.Queue(`
		SELECT r.msg_id, r.app
		FROM unnest($1::bigint[], $2::text[]) AS k (msg_id, app)
		JOIN receipts r ON r.msg_id = k.msg_id AND r.app = k.app
		WHERE r.notification_id IS NULL`, c.msgID, c.app).Query(scanReceiptKeys(func(k receiptKey) { pending[k] = true }))
	if err := s.run(ctx, &b); err != nil {
		return nil, wrap(op, err)
	}
	found, err := s.findAttempts(ctx, pending)
	if err != nil {
		return nil, wrap(op, err)
	}
	answers := make([]store.Receipted, len(events))
	for i, e := range events {
		k := receiptKey{e.MsgID, e.App}
		answer, ok := found[k]
		switch {
		case ok:
			delete(found, k) // a second one of this call finds it there
			delete(pending, k)
		case pending[k]:
			answer = store.Receipted{App: e.App, Result: store.ReceiptPending}
		default:
			answer = store.Receipted{App: e.App, Result: store.ReceiptBefore}
		}
		answers[i] = answer
	}
	return answers, nil
}

// ReviewReceipts looks again for the attempts of receipts that found none, at
// most limit of those that are due for it. n is how many it looked at, found are
// those that found theirs, in no order.
func (s *Store) ReviewReceipts(ctx context.Context, limit int) (n int, found []store.Receipted, err error) {
	const op = "review receipts"
	var b pgx.Batch
	keys := map[receiptKey]bool{}
	b.Queue(`
		WITH due AS (
			SELECT msg_id, app
			FROM receipts
			WHERE look_at <= now()
			ORDER BY look_at
			LIMIT $1
			FOR NO KEY UPDATE SKIP LOCKED
		)
		UPDATE receipts r
		SET looks = r.looks + 1,
			look_at = CASE WHEN r.looks + 1 < $2 THEN
				now() + greatest(now() - r.received_at, $3::bigint * interval '1 microsecond') END
		FROM due
		WHERE r.msg_id = due.msg_id AND r.app = due.app
		RETURNING r.msg_id, r.app`, limit, store.ReceiptLooks, store.ReceiptLook.Microseconds()).
		Query(scanReceiptKeys(func(k receiptKey) { keys[k] = true }))
	if err := s.run(ctx, &b); err != nil {
		return 0, nil, wrap(op, err)
	}
	answers, err := s.findAttempts(ctx, keys)
	return len(keys), slices.Collect(maps.Values(answers)), wrap(op, err)
}

// settleByReceipts settles those doubts among the limit that are due first for
// which a receipt has come: nobody may send again what is known to be sent.
func (s *Store) settleByReceipts(ctx context.Context, limit int) error {
	var b pgx.Batch
	keys := map[receiptKey]bool{}
	b.Queue(`
		SELECT r.msg_id, r.app
		FROM (
			SELECT app, address, template_id
			FROM notifications
			WHERE state = 'in_doubt' AND due_at <= now()
			ORDER BY due_at
			LIMIT $1
		) AS n
		JOIN receipts r ON r.app = n.app AND r.open_id = n.address AND r.template_id = n.template_id
		WHERE r.notification_id IS NULL AND r.verified`, limit).Query(scanReceiptKeys(func(k receiptKey) { keys[k] = true }))
	err := s.run(ctx, &b)
	if err == nil {
		_, err = s.findAttempts(ctx, keys)
	}
	return err
}

// DeleteReceipts deletes receipts that came longer than age ago and have found
// no attempt, at most limit of them, and returns how many.
func (s *Store) DeleteReceipts(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH old AS (
			SELECT msg_id, app
			FROM receipts
			WHERE notification_id IS NULL AND received_at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY received_at
			LIMIT $2
			FOR UPDATE SKIP LOCKED
		)
		DELETE FROM receipts r
		USING old
		WHERE r.msg_id = old.msg_id AND r.app = old.app`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap("delete receipts", err)
}

// Receipts returns the receipts of a notification's attempts, first attempt
// first.
func (s *Store) Receipts(ctx context.Context, id uuid.UUID) ([]store.ReceiptRecord, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT attempt, msg_id, ok, code, status, at
		FROM receipts
		WHERE notification_id = $1
		ORDER BY attempt, msg_id`, [16]byte(id))
	if err != nil {
		return nil, wrap("read receipts", err)
	}
	receipts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.ReceiptRecord, error) {
		r := store.ReceiptRecord{NotificationID: id}
		err := row.Scan(&r.N, &r.MsgID, &r.OK, &r.Code, &r.Status, &r.At)
		r.At = r.At.UTC()
		return r, err
	})
	return receipts, wrap("read receipts", err)
}

// receiptKey is the primary key of receipts.
type receiptKey struct {
	msgID int64
	app   string
}

// scanReceiptKeys calls each for every row of a msgid and an app.
func scanReceiptKeys(each func(receiptKey)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var k receiptKey
		_, err := pgx.ForEachRow(rows, []any{&k.msgID, &k.app}, func() error {
			each(k)
			return nil
		})
		return err
	}
}

// scanDelivered calls each for every row of a msgid, an app and what deliveredSQL
// found.
func scanDelivered(each func(receiptKey, time.Duration)) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var (
			k     receiptKey
			after int64
		)
		_, err := pgx.ForEachRow(rows, []any{&k.msgID, &k.app, &after}, func() error {
			each(k, time.Duration(max(after, 0))*time.Microsecond)
			return nil
		})
		return err
	}
}

// receiptColumns are receipts as arrays for unnest.
type receiptColumns struct {
	msgID                           []int64
	app, openID, templateID, status []string
	ok, verified                    []bool
	code                            []int
	at                              []time.Time
	wait                            []int64
}

func (c *receiptColumns) add(e store.ReceiptEvent) {
	c.msgID, c.app = append(c.msgID, e.MsgID), append(c.app, e.App)
	c.openID, c.templateID = append(c.openID, e.OpenID), append(c.templateID, e.TemplateID)
	c.ok, c.code, c.status = append(c.ok, e.OK), append(c.code, e.Code), append(c.status, e.Status)
	c.at, c.verified, c.wait = append(c.at, e.At), append(c.verified, e.Verified), append(c.wait, e.Wait.Microseconds())
}
