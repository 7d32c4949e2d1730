package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// findAttempts looks for the attempts of pending receipts and returns those that
// found theirs.
func (t *writeTx) findAttempts(ctx context.Context, keys []receiptKey) (found []store.Receipted, err error) {
	for _, k := range keys {
		answer, err := t.findAttempt(ctx, k)
		if err != nil {
			return nil, err
		}
		if answer.Result == store.ReceiptJoined || answer.Result == store.ReceiptSettled {
			found = append(found, answer)
		}
	}
	return found, nil
}

// findAttempt joins a pending receipt to the attempt with its msgid, or settles
// a doubt by it.
func (t *writeTx) findAttempt(ctx context.Context, k receiptKey) (store.Receipted, error) {
	answer := store.Receipted{App: k.app, Result: store.ReceiptPending}
	var known, ok, verified bool
	err := t.row(ctx, `SELECT notification_id IS NOT NULL, ok, verified FROM receipts WHERE msg_id = ? AND app = ?`,
		[]any{k.msgID, k.app}, []any{&known, &ok, &verified})
	if err != nil {
		return answer, err
	}
	if known {
		answer.Result = store.ReceiptBefore
		return answer, nil
	}
	var (
		id []byte
		n  int
	)
	err = t.row(ctx, `
		SELECT a.notification_id, a.n
		FROM attempts a
		JOIN notifications n ON n.id = a.notification_id AND n.app = ?2
		WHERE a.msg_id = ?1 AND a.msg_id <> 0
		LIMIT 1`, []any{k.msgID, k.app}, []any{&id, &n})
	switch {
	case err == nil:
		answer.Result = store.ReceiptJoined
		answer.Delivered, err = t.joinReceipt(ctx, k, ok, id, n)
		return answer, err
	case !errors.Is(err, sql.ErrNoRows):
		return answer, err
	case !verified:
		return answer, nil
	}
	answer.Result, answer.Delivered, err = t.settleByReceipt(ctx, k, ok)
	return answer, err
}

// joinReceipt notes what the receipt says of an attempt. Of two receipts of one
// notification, which takes two attempts that WeChat accepted, the good one
// counts: the user has the message. updated_at stays as it is: while a
// notification is being sent it tells when that began. after is what
// store.Receipted tells; the due time of a doubt, which is no time to send at,
// lies behind its receipt.
func (t *writeTx) joinReceipt(ctx context.Context, k receiptKey, ok bool, id []byte, n int) (after time.Duration, err error) {
	var micros int64
	err = t.row(ctx, `
		SELECT iif(r.ok AND n.receipt <> 'ok', r.received_at
			- iif(n.seq = 1 AND n.due_at > n.created_at AND n.due_at <= r.received_at, n.due_at, n.created_at), 0)
		FROM receipts r, notifications n
		WHERE r.msg_id = ?1 AND r.app = ?2 AND n.id = ?3`, []any{k.msgID, k.app, id}, []any{&micros})
	if err != nil {
		return 0, err
	}
	_, err = t.exec(ctx, `
		UPDATE receipts
		SET notification_id = ?3, attempt = ?4, open_id = '', look_at = NULL
		WHERE msg_id = ?1 AND app = ?2 AND notification_id IS NULL`, k.msgID, k.app, id, n)
	if err == nil {
		_, err = t.exec(ctx, `UPDATE notifications SET receipt = iif(?2 OR receipt = 'ok', 'ok', 'failed') WHERE id = ?1`, id, ok)
	}
	return time.Duration(max(micros, 0)) * time.Microsecond, err
}

// settleByReceipt settles the doubt that only this receipt fits. What WeChat
// sends a receipt for, it had accepted. The attempt stays in doubt, or unsure:
// that is the answer that came; its msgid tells the rest. A receipt fits when it
// is about an attempt of one notification only and no other attempt for its
// address and template, whose msgid would be known in a moment, is under way.
func (t *writeTx) settleByReceipt(ctx context.Context, k receiptKey, ok bool) (_ store.ReceiptResult, after time.Duration, err error) {
	var (
		id     []byte
		n, fit int
	)
	err = t.row(ctx, `
		SELECT d.id, d.n, count(*) OVER ()
		FROM (
			SELECT n.id, max(a.n) AS n
			FROM receipts r
			JOIN attempts a ON a.msg_id = 0 AND a.outcome IN ('in_doubt', 'unsure') AND a.at BETWEEN r.began_from AND r.began_until
			JOIN notifications n ON n.id = a.notification_id
				AND n.app = r.app AND n.address = r.open_id AND n.template_id = r.template_id
			WHERE r.msg_id = ?1 AND r.app = ?2
				AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.msg_id = r.msg_id AND a.msg_id <> 0)
				AND NOT EXISTS (SELECT 1 FROM notifications m
					WHERE m.state = 'sending' AND m.lease_until IS NOT NULL
						AND m.app = r.app AND m.address = r.open_id AND m.template_id = r.template_id)
			GROUP BY n.id
		) AS d
		LIMIT 1`, []any{k.msgID, k.app}, []any{&id, &n, &fit})
	if errors.Is(err, sql.ErrNoRows) || err == nil && fit != 1 {
		return store.ReceiptPending, 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	changed, err := t.exec(ctx, `
		UPDATE notifications
		SET state = 'sent', class = '', reason = '', field = '', errcode = 0, errmsg = '', assumed = 0,
			msg_id = ?2, handover_at = NULL, updated_at = ?3, finished_at = ?3
		WHERE id = ?1 AND (state IN ('in_doubt', 'queued', 'retrying') OR (state = 'dead' AND reason = 'in_doubt'))`,
		id, k.msgID, t.now)
	if err != nil || changed == 0 {
		return store.ReceiptPending, 0, err
	}
	if err := t.sentAfterAll(ctx, id); err != nil {
		return "", 0, err
	}
	if _, err = t.exec(ctx, `UPDATE attempts SET msg_id = ?3 WHERE notification_id = ?1 AND n = ?2`, id, n, k.msgID); err != nil {
		return "", 0, err
	}
	after, err = t.joinReceipt(ctx, k, ok, id, n)
	return store.ReceiptSettled, after, err
}

// joinEarlyReceipt joins the receipt that came before the settlement of its
// attempt, if one did; after is as in store.Settled.
func (t *writeTx) joinEarlyReceipt(ctx context.Context, s store.Settlement) (after time.Duration, err error) {
	if s.Attempt.MsgID == 0 {
		return 0, nil
	}
	var keys []receiptKey
	err = t.rows(ctx, `
		SELECT r.msg_id, r.app
		FROM receipts r
		JOIN notifications n ON n.id = ?2 AND n.app = r.app
		WHERE r.msg_id = ?1 AND r.notification_id IS NULL`, []any{s.Attempt.MsgID, s.ID[:]}, scanReceiptKeys(&keys))
	if err != nil {
		return 0, err
	}
	found, err := t.findAttempts(ctx, keys)
	for _, r := range found {
		after = max(after, r.Delivered)
	}
	return after, err
}
