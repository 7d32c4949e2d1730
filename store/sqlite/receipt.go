package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// RecordReceipts keeps WeChat's receipts, joins each to the attempt that has its
// msgid, or settles the doubt that only it fits, and answers in the order of the
// slice. A receipt that finds neither waits.
func (s *Store) RecordReceipts(ctx context.Context, events []store.ReceiptEvent) ([]store.Receipted, error) {
	const op = "record receipts"
	if len(events) == 0 {
		return nil, nil
	}
	for _, e := range events {
		if err := e.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
	}
	var answers []store.Receipted
	err := s.write(ctx, op, func(tx *writeTx) error {
		var err error
		answers, err = answerEach(ctx, events, tx.recordReceipt)
		return err
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

func (t *writeTx) recordReceipt(ctx context.Context, e store.ReceiptEvent) (store.Receipted, error) {
	_, err := t.exec(ctx, `
		INSERT INTO receipts (msg_id, app, open_id, template_id, ok, code, status, at, verified,
			began_from, began_until, received_at, look_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?8 - ?10, ?8 + ?11, ?12, ?12 + ?13)
		ON CONFLICT (msg_id, app) DO NOTHING`,
		e.MsgID, e.App, e.OpenID, e.TemplateID, e.OK, e.Code, e.Status, e.At.UnixMicro(), e.Verified,
		e.Wait.Microseconds(), store.ReceiptEarly.Microseconds(), t.now, store.ReceiptLook.Microseconds())
	if err != nil {
		return store.Receipted{}, err
	}
	return t.findAttempt(ctx, receiptKey{e.MsgID, e.App})
}

// ReviewReceipts looks again for the attempts of receipts that found none, at
// most limit of those that are due for it. n is how many it looked at, found are
// those that found theirs, in no order.
func (s *Store) ReviewReceipts(ctx context.Context, limit int) (n int, found []store.Receipted, err error) {
	err = s.write(ctx, "review receipts", func(tx *writeTx) error {
		var keys []receiptKey
		err := tx.rows(ctx, `
			UPDATE receipts
			SET looks = looks + 1, look_at = iif(looks + 1 < ?3, ?1 + max(?1 - received_at, ?4), NULL)
			WHERE (msg_id, app) IN (SELECT msg_id, app FROM receipts WHERE look_at <= ?1 ORDER BY look_at LIMIT ?2)
			RETURNING msg_id, app`,
			[]any{tx.now, limit, store.ReceiptLooks, store.ReceiptLook.Microseconds()}, scanReceiptKeys(&keys))
		if err != nil {
			return err
		}
		n = len(keys)
		found, err = tx.findAttempts(ctx, keys)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return n, found, nil
}

// settleByReceipts settles those doubts among the limit that are due first for
// which a receipt has come: nobody may send again what is known to be sent.
func (t *writeTx) settleByReceipts(ctx context.Context, limit int) error {
	var keys []receiptKey
	err := t.rows(ctx, `
		SELECT r.msg_id, r.app
		FROM (
			SELECT app, address, template_id
			FROM notifications
			WHERE state = 'in_doubt' AND due_at <= ?1
			ORDER BY due_at
			LIMIT ?2
		) AS n
		JOIN receipts r ON r.app = n.app AND r.open_id = n.address AND r.template_id = n.template_id
		WHERE r.notification_id IS NULL AND r.verified
		ORDER BY r.msg_id`, []any{t.now, limit}, scanReceiptKeys(&keys))
	if err == nil {
		_, err = t.findAttempts(ctx, keys)
	}
	return err
}

// DeleteReceipts deletes receipts that came longer than age ago and have found
// no attempt, at most limit of them, and returns how many.
func (s *Store) DeleteReceipts(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "delete receipts", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			DELETE FROM receipts
			WHERE (msg_id, app) IN (
				SELECT msg_id, app
				FROM receipts
				WHERE notification_id IS NULL AND received_at <= ?1 - ?2
				ORDER BY received_at
				LIMIT ?3)`, tx.now, age.Microseconds(), limit)
		return err
	})
	return n, err
}

// Receipts returns the receipts of a notification's attempts, first attempt
// first.
func (s *Store) Receipts(ctx context.Context, id uuid.UUID) ([]store.ReceiptRecord, error) {
	var receipts []store.ReceiptRecord
	err := s.query(ctx, "read receipts", `
		SELECT attempt, msg_id, ok, code, status, at
		FROM receipts
		WHERE notification_id = ?
		ORDER BY attempt, msg_id`, []any{id[:]}, func(rows *sql.Rows) error {
		r := store.ReceiptRecord{NotificationID: id}
		var at int64
		err := rows.Scan(&r.N, &r.MsgID, &r.OK, &r.Code, &r.Status, &at)
		r.At = instant(at)
		receipts = append(receipts, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipts, nil
}

// receiptKey is the primary key of receipts.
type receiptKey struct {
	msgID int64
	app   string
}

// scanReceiptKeys appends every row of a msgid and an app to keys.
func scanReceiptKeys(keys *[]receiptKey) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var k receiptKey
		err := rows.Scan(&k.msgID, &k.app)
		*keys = append(*keys, k)
		return err
	}
}
