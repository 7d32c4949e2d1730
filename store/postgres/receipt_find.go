package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// doubtsSQL are pending receipts r whose signature covers them, and the attempts
// d around their time that nobody knows the end of, of any address.
const doubtsSQL = `
	r AS MATERIALIZED (
		SELECT r.*
		FROM unnest($1::bigint[], $2::text[]) AS k (msg_id, app)
		JOIN receipts r ON r.msg_id = k.msg_id AND r.app = k.app
		WHERE r.notification_id IS NULL AND r.verified
			AND NOT EXISTS (SELECT FROM attempts a WHERE a.msg_id = r.msg_id AND a.msg_id <> 0)
	), d AS MATERIALIZED (
		SELECT a.notification_id, a.n, a.at, n.app, n.address, n.template_id
		FROM attempts a
		JOIN notifications n ON n.id = a.notification_id
		WHERE a.msg_id = 0 AND a.outcome IN ('in_doubt', 'unsure')
			AND a.at >= (SELECT min(began_from) FROM r) AND a.at <= (SELECT max(began_until) FROM r)
	), fits AS MATERIALIZED (
		SELECT r.msg_id, r.app, r.open_id, r.template_id, r.ok, d.notification_id, max(d.n) AS n,
			count(*) OVER (PARTITION BY r.msg_id, r.app) AS notifications
		FROM r
		JOIN d ON d.app = r.app AND d.address = r.open_id AND d.template_id = r.template_id
			AND d.at BETWEEN r.began_from AND r.began_until
		GROUP BY r.msg_id, r.app, r.open_id, r.template_id, r.ok, d.notification_id
	)`

// concernedSQL finds the notifications that receipts may be about, and whether
// as a doubt.
const concernedSQL = `
	WITH ` + doubtsSQL + `
	SELECT a.notification_id, false
	FROM unnest($1::bigint[], $2::text[]) AS k (msg_id, app)
	JOIN attempts a ON a.msg_id = k.msg_id AND a.msg_id <> 0
	JOIN notifications n ON n.id = a.notification_id AND n.app = k.app
	UNION ALL
	SELECT notification_id, true
	FROM fits
	WHERE notifications = 1`

// joinedSQL joins receipts that were found: rows msg_id, app, notification_id, n,
// and what deliveredSQL needs of the notification. Of two receipts of one notification, which takes two attempts that WeChat
// accepted, the good one counts: the user has the message. updated_at stays as it
// is: while a notification is being sent it tells when that began.
const joinedSQL = `
	, joined AS (
		UPDATE receipts r
		SET notification_id = f.notification_id, attempt = f.n, open_id = '', look_at = NULL
		FROM found f
		WHERE r.msg_id = f.msg_id AND r.app = f.app AND r.notification_id IS NULL
		RETURNING r.msg_id, r.app, r.ok, r.notification_id, CASE WHEN r.ok AND f.receipt <> 'ok' THEN ` + deliveredSQL + ` ELSE 0 END AS delivered
	), told AS (
		UPDATE notifications n
		SET receipt = CASE WHEN j.ok OR n.receipt = 'ok' THEN 'ok' ELSE 'failed' END
		FROM (SELECT notification_id, bool_or(ok) AS ok FROM joined GROUP BY notification_id) AS j
		WHERE n.id = j.notification_id
	)
	SELECT msg_id, app, delivered
	FROM joined`

// deliveredSQL is how long the receipt r of the notification f took, in
// microseconds, as store.Receipted says. The due time of a doubt, which is no
// time to send at, lies behind its receipt.
const deliveredSQL = `
	(extract(epoch FROM r.received_at - CASE
		WHEN f.seq = 1 AND f.due_at > f.created_at AND f.due_at <= r.received_at THEN f.due_at
		ELSE f.created_at END) * 1000000)::bigint`

// joinReceiptsSQL joins receipts to the attempts with their msgids.
const joinReceiptsSQL = `
	WITH found AS MATERIALIZED (
		SELECT k.msg_id, k.app, a.notification_id, a.n, n.receipt, n.seq, n.due_at, n.created_at
		FROM unnest($1::bigint[], $2::text[]) AS k (msg_id, app)
		JOIN attempts a ON a.msg_id = k.msg_id AND a.msg_id <> 0
		JOIN notifications n ON n.id = a.notification_id AND n.app = k.app
	)` + joinedSQL

// joinSettledSQL joins receipts that came before the settlements that settleSQL
// has just applied.
const joinSettledSQL = `
	WITH found AS MATERIALIZED (
		SELECT r.msg_id, r.app, a.notification_id, a.n, n.receipt, n.seq, n.due_at, n.created_at
		FROM unnest((SELECT $1::uuid[]), $2::int[], $3::bigint[]) AS s (id, seq, msg_id)
		JOIN receipts r ON r.msg_id = s.msg_id AND r.notification_id IS NULL
		JOIN attempts a ON a.notification_id = s.id AND a.n = s.seq AND a.msg_id = s.msg_id
		JOIN notifications n ON n.id = s.id AND n.app = r.app
	)` + joinedSQL

// settleReceiptsSQL settles doubts. What WeChat sends a receipt for, it had
// accepted. The attempt stays in doubt, or unsure: that is the answer that came;
// its msgid tells the rest. A receipt fits when it is about an attempt of one
// notification only and no other attempt for its address and template, whose
// msgid would be known in a moment, is under way. Of several receipts that fit
// one doubt the first settles it.
const settleReceiptsSQL = `
	WITH ` + doubtsSQL + `, chosen AS MATERIALIZED (
		SELECT DISTINCT ON (f.notification_id) f.msg_id, f.app, f.ok, f.notification_id, f.n
		FROM fits f
		WHERE f.notifications = 1
			AND NOT EXISTS (SELECT FROM notifications m
				WHERE m.state = 'sending' AND m.lease_until IS NOT NULL
					AND m.app = f.app AND m.address = f.open_id AND m.template_id = f.template_id)
		ORDER BY f.notification_id, f.msg_id
	), settled AS (
		UPDATE notifications n
		SET state = 'sent', class = '', reason = '', field = '', errcode = 0, errmsg = '', assumed = false,
			receipt = CASE WHEN c.ok THEN 'ok' ELSE 'failed' END, msg_id = c.msg_id,
			handover_at = NULL, updated_at = now(), finished_at = now()
		FROM chosen c
		WHERE n.id = c.notification_id
			AND (n.state IN ('in_doubt', 'queued', 'retrying') OR (n.state = 'dead' AND n.reason = 'in_doubt'))
		RETURNING n.id, c.n, c.msg_id, c.app, n.address, n.template_id, n.ledger_touches, n.seq, n.due_at, n.created_at
	), sent AS (
		SELECT app, address, template_id, ledger_touches FROM settled
	), ledger AS (` + sentAfterAllSQL + `
	), attempted AS (
		UPDATE attempts a
		SET msg_id = s.msg_id
		FROM settled s
		WHERE a.notification_id = s.id AND a.n = s.n
	)
	UPDATE receipts r
	SET notification_id = f.id, attempt = f.n, open_id = '', look_at = NULL
	FROM settled f
	WHERE r.msg_id = f.msg_id AND r.app = f.app
	RETURNING r.msg_id, r.app, CASE WHEN r.ok THEN ` + deliveredSQL + ` ELSE 0 END`

// findAttempts joins pending receipts or settles doubts by them, and says what
// became of those that found something. Rows are locked before they are judged,
// as in Commit: entries of the ledger first, then notifications in the order of
// their ids, then receipts.
func (s *Store) findAttempts(ctx context.Context, keys map[receiptKey]bool) (map[receiptKey]store.Receipted, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	msgIDs, apps := make([]int64, 0, len(keys)), make([]string, 0, len(keys))
	for k := range keys {
		msgIDs, apps = append(msgIDs, k.msgID), append(apps, k.app)
	}
	rows, err := s.pool.Query(ctx, concernedSQL, msgIDs, apps)
	if err != nil {
		return nil, classify(err)
	}
	var (
		id          [16]byte
		doubt       bool
		ids, doubts [][16]byte
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &doubt}, func() error {
		ids = append(ids, id)
		if doubt {
			doubts = append(doubts, id)
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		return nil, classify(err)
	}

	found := map[receiptKey]store.Receipted{}
	note := func(r store.ReceiptResult) func(pgx.Rows) error {
		return scanDelivered(func(k receiptKey, after time.Duration) {
			found[k] = store.Receipted{App: k.app, Result: r, Delivered: after}
		})
	}
	var b pgx.Batch
	if len(doubts) > 0 {
		b.Queue(holdEntriesSQL, doubts, [][16]byte{})
	}
	b.Queue(lockSQL, ids)
	b.Queue(joinReceiptsSQL, msgIDs, apps).Query(note(store.ReceiptJoined))
	if len(doubts) > 0 {
		b.Queue(settleReceiptsSQL, msgIDs, apps).Query(note(store.ReceiptSettled))
	}
	if err := s.run(ctx, &b); err != nil {
		return nil, err
	}
	return found, nil
}

// queueReceipts joins the receipts that came before these settlements and notes
// in their answers what that tells. It comes after settleSQL, whose attempts it
// reads, and after the answers.
func queueReceipts(b *pgx.Batch, batch []store.Settlement, answers []store.Settled) {
	var (
		ids    [][16]byte
		seqs   []int
		msgIDs []int64
	)
	place := map[int64]int{} // by msgid; one that two apps have is no loss
	for i, s := range batch {
		if s.Attempt.MsgID != 0 {
			ids, seqs, msgIDs = append(ids, s.ID), append(seqs, s.Seq), append(msgIDs, s.Attempt.MsgID)
			place[s.Attempt.MsgID] = i
		}
	}
	if len(ids) > 0 {
		b.Queue(joinSettledSQL, ids, seqs, msgIDs).Query(scanDelivered(func(k receiptKey, after time.Duration) {
			answers[place[k.msgID]].Delivered = after
		}))
	}
}
