package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/wxnotify/wxnotify/store"
)

// findAttempts looks for the attempts of pending receipts and returns how many
// found theirs.
func (t *writeTx) findAttempts(ctx context.Context, keys []receiptKey) (found int, err error) {
	for _, k := range keys {
		result, err := t.findAttempt(ctx, k)
		if err != nil {
			return 0, err
		}
		if result == store.ReceiptJoined || result == store.ReceiptSettled {
			found++
		}
	}
	return found, nil
}

// findAttempt joins a pending receipt to the attempt with its msgid, or settles
// a doubt by it.
func (t *writeTx) findAttempt(ctx context.Context, k receiptKey) (store.ReceiptResult, error) {
	var known, ok, verified bool
	err := t.row(ctx, `SELECT notification_id IS NOT NULL, ok, verified FROM receipts WHERE msg_id = ? AND app = ?`,
		[]any{k.msgID, k.app}, []any{&known, &ok, &verified})
	if err != nil {
		return "", err
	}
	if known {
		return store.ReceiptBefore, nil
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
		return store.ReceiptJoined, t.joinReceipt(ctx, k, ok, id, n)
	case !errors.Is(err, sql.ErrNoRows):
		return "", err
	case !verified:
		return store.ReceiptPending, nil
	}
	return t.settleByReceipt(ctx, k, ok)
}

// joinReceipt notes what the receipt says of an attempt. Of two receipts of one
// notification, which takes two attempts that WeChat accepted, the good one
// counts: the user has the message. updated_at stays as it is: while a
// notification is being sent it tells when that began.
func (t *writeTx) joinReceipt(ctx context.Context, k receiptKey, ok bool, id []byte, n int) error {
	_, err := t.exec(ctx, `
		UPDATE receipts
		SET notification_id = ?3, attempt = ?4, open_id = '', look_at = NULL
		WHERE msg_id = ?1 AND app = ?2 AND notification_id IS NULL`, k.msgID, k.app, id, n)
	if err == nil {
		_, err = t.exec(ctx, `UPDATE notifications SET receipt = iif(?2 OR receipt = 'ok', 'ok', 'failed') WHERE id = ?1`, id, ok)
	}
	return err
}

// settleByReceipt settles the doubt that only this receipt fits. What WeChat
// sends a receipt for, it had accepted. The attempt stays in doubt, or unsure:
// that is the answer that came; its msgid tells the rest. A receipt fits when it
// is about an attempt of one notification only and no other attempt for its
// address and template, whose msgid would be known in a moment, is under way.
func (t *writeTx) settleByReceipt(ctx context.Context, k receiptKey, ok bool) (store.ReceiptResult, error) {
	var (
		id     []byte
		n, fit int
	)
	err := t.row(ctx, `
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
		return store.ReceiptPending, nil
	}
	if err != nil {
		return "", err
	}
	changed, err := t.exec(ctx, `
		UPDATE notifications
		SET state = 'sent', class = '', reason = '', field = '', errcode = 0, errmsg = '', assumed = 0,
			msg_id = ?2, handover_at = NULL, updated_at = ?3, finished_at = ?3
		WHERE id = ?1 AND (state IN ('in_doubt', 'queued', 'retrying') OR (state = 'dead' AND reason = 'in_doubt'))`,
		id, k.msgID, t.now)
	if err != nil || changed == 0 {
		return store.ReceiptPending, err
	}
	if err := t.sentAfterAll(ctx, id); err != nil {
		return "", err
	}
	if _, err = t.exec(ctx, `UPDATE attempts SET msg_id = ?3 WHERE notification_id = ?1 AND n = ?2`, id, n, k.msgID); err != nil {
		return "", err
	}
	return store.ReceiptSettled, t.joinReceipt(ctx, k, ok, id, n)
}

// joinEarlyReceipt joins the receipt that came before the settlement of its
// attempt, if one did.
func (t *writeTx) joinEarlyReceipt(ctx context.Context, s store.Settlement) error {
	if s.Attempt.MsgID == 0 {
		return nil
	}
	var keys []receiptKey
	err := t.rows(ctx, `
		SELECT r.msg_id, r.app
		FROM receipts r
		JOIN notifications n ON n.id = ?2 AND n.app = r.app
		WHERE r.msg_id = ?1 AND r.notification_id IS NULL`, []any{s.Attempt.MsgID, s.ID[:]}, scanReceiptKeys(&keys))
	if err == nil {
		_, err = t.findAttempts(ctx, keys)
	}
	return err
}
