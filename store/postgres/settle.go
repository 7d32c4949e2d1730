package postgres

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// settleJoin are the settlements s, each with its notification n and what is on
// record of its attempt a. Of the attempt that is being made nothing is: it is not
// looked for.
const settleJoin = `
		FROM s
		JOIN notifications n ON n.id = s.id
		LEFT JOIN attempts a ON a.notification_id = s.id
			AND a.n = CASE WHEN n.state = 'sending' AND n.seq = s.seq THEN NULL ELSE s.seq END`

// settleGuard is the guard of a settlement s: no later claim exists, and either
// the notification is being sent, or the attempt was in doubt, a known answer
// came after all, and nothing but the doubt has moved the notification since.
const settleGuard = `
		n.seq = s.seq AND (n.state = 'sending'
			OR (coalesce(a.outcome, '') = 'in_doubt' AND s.outcome <> 'in_doubt'
				AND (n.state IN ('in_doubt', 'queued', 'retrying') OR (n.state = 'dead' AND n.reason = 'in_doubt'))))`

const settleFrom = settleJoin + `
		WHERE` + settleGuard

// settleSQL writes the attempts, moves the notifications and answers what that
// led to: the rows it changed as they are now, the others as they are. They are
// changed by their place, as in claimSQL. A late answer replaces the attempt in
// doubt, which then no longer counts as one; the delivery it was made in is over
// by then and may be archived, so a retry gets a new one. An attempt that is not on
// record cannot come to be meanwhile: who writes one has the notification locked.
//
// What the store judges by itself is refusals and what shall wait. Where there is
// neither, in nearly every batch, settlePlainSQL does the same without the five
// questions that would be made ready each time and never asked.
const (
	settleSQL      = settleFirstSQL + verdictSQL + settleRestSQL
	settlePlainSQL = settleFirstSQL + ` ''` + settleRestSQL
)

const settleFirstSQL = `
	WITH s AS (
		SELECT * FROM unnest(
			(SELECT $1::uuid[]), $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
			$8::bigint[], $9::bool[], $10::bool[], $11::bool[], $12::bool[],
			$13::timestamptz[], $14::bigint[], $15::int[], $16::text[], $17::text[], $18::bigint[], $22::bool[]
		) WITH ORDINALITY AS s (id, seq, outcome, state, class, reason, field,
			delay, requeue, spend, unsure, assumed,
			at, latency_us, errcode, errmsg, rid, msg_id, refused, place)
	), judged AS MATERIALIZED (
		SELECT s.*, (a.n IS NOT NULL)::int AS was_doubt,
			(s.state = 'in_doubt' OR s.outcome = 'in_doubt')::int AS is_doubt,
			n.ctid AS tid, n.app, n.address, n.template_id, n.ledger_touches, n.ledger_grants, n.due_at,
			n.state AS found_state, n.class AS found_class, n.reason AS found_reason, n.generation AS found_generation,
			coalesce(a.outcome, '') AS found_outcome,` + settleGuard + ` AS applies,`

const settleRestSQL = ` AS verdict` + settleJoin + `
	), applied AS (
		SELECT j.place, j.tid, j.outcome, j.id, j.seq, j.was_doubt, j.is_doubt, j.refused, j.spend, j.unsure, j.field, j.errcode, j.errmsg, j.msg_id,
			j.app, j.address, j.template_id, j.ledger_touches, j.ledger_grants,
			CASE j.verdict WHEN '' THEN j.state ELSE j.verdict END AS state,
			CASE j.verdict WHEN '' THEN j.class WHEN 'dead' THEN 'fault' ELSE '' END AS class,
			CASE j.verdict WHEN '' THEN j.reason WHEN 'dead' THEN 'in_doubt' ELSE '' END AS reason,
			j.assumed OR j.verdict = 'sent' AS assumed,
			j.requeue OR j.verdict = 'retrying' AS requeue,
			CASE
				WHEN j.verdict = 'retrying' THEN now()
				WHEN j.verdict <> '' THEN j.due_at
				WHEN j.state = 'retrying' THEN now() + j.delay * interval '1 microsecond'
				WHEN j.state = 'in_doubt' THEN now() + interval '1 microsecond' * CASE
					WHEN EXISTS (SELECT FROM app_pushes p
						WHERE p.app = j.app AND p.pushed_at > now() - $19::bigint * interval '1 microsecond')
					THEN j.delay
					ELSE least(j.delay, $20::bigint) END
				ELSE j.due_at
			END AS due_at
		FROM judged j
		WHERE j.applies
	), ledger AS (` + ledgerSQL + `
	), recorded AS (
		INSERT INTO attempts (notification_id, n, at, latency_us, errcode, errmsg, rid, msg_id, outcome)
		SELECT id, seq, at, latency_us, errcode, errmsg, rid, msg_id, outcome
		FROM judged
		WHERE applies AND was_doubt = 0
	), corrected AS (
		UPDATE attempts a
		SET at = j.at, latency_us = j.latency_us, errcode = j.errcode, errmsg = j.errmsg,
			rid = j.rid, msg_id = j.msg_id, outcome = j.outcome
		FROM judged j
		WHERE j.applies AND j.was_doubt = 1 AND a.notification_id = j.id AND a.n = j.seq
	), moved AS (
		UPDATE notifications n
		SET state = t.state, class = t.class, reason = t.reason, field = t.field,
			errcode = t.errcode, errmsg = t.errmsg, assumed = t.assumed,
			msg_id = CASE WHEN t.msg_id <> 0 THEN t.msg_id ELSE n.msg_id END,
			spent = n.spent + t.spend::int, unsure = n.unsure + t.unsure::int,
			doubts = greatest(n.doubts - t.was_doubt, 0) + t.is_doubt,
			generation = n.generation + (t.state = 'retrying' AND (t.requeue OR n.state <> 'sending'))::int,
			due_at = t.due_at,
			handover_at = CASE WHEN t.state = 'retrying' THEN
				t.due_at + (CASE WHEN t.requeue OR n.state <> 'sending' THEN 0 ELSE $21::bigint END) * interval '1 microsecond' END,
			owner = NULL, lease_until = NULL, updated_at = now(),
			finished_at = CASE WHEN t.state IN ('sent', 'dead') THEN now() END
		FROM applied t
		WHERE n.ctid = t.tid AND n.id = t.id AND n.seq = t.seq
		RETURNING t.place, n.state, n.class, n.reason, n.generation, t.outcome
	)
	SELECT * FROM moved
	UNION ALL
	SELECT place, found_state, found_class, found_reason, found_generation, found_outcome
	FROM judged
	WHERE NOT applies`

// pauseSQL pauses the templates of settlements that settleSQL is about to apply.
// A pause that exists keeps its beginning.
const pauseSQL = `
	WITH s AS (
		SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::text[]) AS s (id, seq, outcome, errcode, reason)
	)
	INSERT INTO template_pauses (app, template_id, errcode, reason, since)
	SELECT DISTINCT ON (n.app, n.template_id) n.app, n.template_id, s.errcode, coalesce(nullif(s.reason, ''), 'template'), now()` + settleFrom + `
	ORDER BY n.app, n.template_id
	ON CONFLICT (app, template_id) DO NOTHING`

// suspectSQL marks the bindings that led to the openids of settlements that
// settleSQL is about to apply, unless the user has another openid by now.
const suspectSQL = `
	WITH s AS (
		SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[]) AS s (id, seq, outcome)
	), k AS MATERIALIZED (
		SELECT DISTINCT n.app, n.user_id, n.address` + settleFrom + ` AND n.user_id <> ''
		ORDER BY n.app, n.user_id
	), suspects AS MATERIALIZED (
		SELECT b.app, b.user_id
		FROM k
		CROSS JOIN LATERAL (
			SELECT b.app, b.user_id
			FROM bindings b
			WHERE b.app = k.app AND b.user_id = k.user_id AND b.open_id = k.address
			FOR NO KEY UPDATE
		) AS b
	)
	UPDATE bindings b
	SET suspect = true
	FROM suspects
	WHERE b.app = suspects.app AND b.user_id = suspects.user_id`

// settlements are settlements as arrays for unnest.
type settlements struct {
	id                                   [][16]byte
	outcome, state, class, reason, field []string
	errmsg, rid                          []string
	seq, errcode                         []int
	delay, latency, msgID                []int64
	requeue, spend, unsure, assumed      []bool
	refused                              []bool
	at                                   []time.Time
}

func (c *settlements) add(s store.Settlement) {
	c.id, c.seq = append(c.id, s.ID), append(c.seq, s.Seq)
	c.outcome, c.state, c.class = append(c.outcome, s.Attempt.Outcome), append(c.state, string(s.State)), append(c.class, string(s.Class))
	c.reason, c.field = append(c.reason, string(s.Reason)), append(c.field, s.Field)
	c.delay, c.requeue = append(c.delay, s.Delay.Microseconds()), append(c.requeue, s.Requeue)
	c.spend, c.unsure, c.assumed = append(c.spend, s.Spend), append(c.unsure, s.Unsure), append(c.assumed, s.Assumed)
	c.at, c.latency = append(c.at, s.Attempt.At), append(c.latency, s.Attempt.Latency.Microseconds())
	c.errcode, c.errmsg = append(c.errcode, s.Attempt.Errcode), append(c.errmsg, s.Attempt.Errmsg)
	c.rid, c.msgID = append(c.rid, s.Attempt.RID), append(c.msgID, s.Attempt.MsgID)
	c.refused = append(c.refused, s.Refused)
}

// queueSettlements adds the settlements. The statements for pauses and suspects
// are rare and come only when needed; they come before the notifications move,
// because they look through the same guard.
func queueSettlements(b *pgx.Batch, batch []store.Settlement, answers []store.Settled) {
	var all, pauses, suspects settlements
	statement := settlePlainSQL
	for _, s := range batch {
		all.add(s)
		if s.Refused || s.State == store.Waiting {
			statement = settleSQL
		}
		if s.PauseTemplate {
			pauses.add(s)
		}
		if s.SuspectBinding {
			suspects.add(s)
		}
	}
	if len(pauses.id) > 0 {
		b.Queue(pauseSQL, pauses.id, pauses.seq, pauses.outcome, pauses.errcode, pauses.reason)
	}
	if len(suspects.id) > 0 {
		b.Queue(suspectSQL, suspects.id, suspects.seq, suspects.outcome)
	}
	b.Queue(statement,
		all.id, all.seq, all.outcome, all.state, all.class, all.reason, all.field,
		all.delay, all.requeue, all.spend, all.unsure, all.assumed,
		all.at, all.latency, all.errcode, all.errmsg, all.rid, all.msgID,
		store.NoPushWindow.Microseconds(), store.NoPushWait.Microseconds(), store.HandoverGrace.Microseconds(),
		all.refused, store.ConsentSkew.Microseconds()).Query(func(rows pgx.Rows) error {
		var (
			place   int64
			settled store.Settled
			outcome string
		)
		fields := []any{
			&place, (*string)(&settled.State), (*string)(&settled.Class), (*string)(&settled.Reason), &settled.Generation, &outcome,
		}
		_, err := pgx.ForEachRow(rows, fields, func() error {
			settled.Applied = onRecord(outcome, batch[place-1].Attempt.Outcome)
			answers[place-1] = settled
			return nil
		})
		return err
	})
	queueReceipts(b, batch, answers)
}

// onRecord reports whether the attempt as it is stored stands for a settlement:
// a known outcome does for every one, a doubt only for a doubt.
func onRecord(stored, settled string) bool {
	return stored != "" && (stored != store.OutcomeInDoubt || settled == store.OutcomeInDoubt)
}
