package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/wxnotify/wxnotify/store"
)

// settleSQL moves the notification: no later claim exists, and either it is
// being sent, or the attempt was in doubt, a known answer came after all, and
// nothing but the doubt has moved it since. A late answer takes the doubt back.
const settleSQL = `
	UPDATE notifications AS n
	SET state = @state, class = @class, reason = @reason, field = @field,
		errcode = @errcode, errmsg = @errmsg, assumed = @assumed,
		msg_id = CASE WHEN @msg_id <> 0 THEN @msg_id ELSE msg_id END,
		spent = spent + @spend, unsure = unsure + @unsure,
		doubts = max(doubts - EXISTS (SELECT 1 FROM attempts a WHERE a.notification_id = n.id AND a.n = @seq), 0)
			+ (@state = 'in_doubt' OR @outcome = 'in_doubt'),
		generation = generation + (@state = 'retrying' AND (@requeue OR state <> 'sending')),
		due_at = CASE @state
			WHEN 'retrying' THEN @now + @delay
			WHEN 'in_doubt' THEN @now + CASE
				WHEN EXISTS (SELECT 1 FROM app_pushes p WHERE p.app = n.app AND p.pushed_at > @now - @push_window)
				THEN @delay
				ELSE min(@delay, @push_wait) END
			ELSE due_at END,
		handover_at = CASE WHEN @state = 'retrying' THEN @now + @delay + iif(@requeue OR state <> 'sending', 0, @grace) END,
		owner = NULL, lease_until = NULL, updated_at = @now,
		finished_at = CASE WHEN @state IN ('sent', 'dead') THEN @now END
	WHERE id = @id AND seq = @seq
		AND (state = 'sending'
			OR (@outcome <> 'in_doubt'
				AND EXISTS (SELECT 1 FROM attempts a WHERE a.notification_id = n.id AND a.n = @seq AND a.outcome = 'in_doubt')
				AND (state IN ('in_doubt', 'queued', 'retrying') OR (state = 'dead' AND reason = 'in_doubt'))))`

// settle applies one settlement and reads what it led to.
func (t *writeTx) settle(ctx context.Context, s store.Settlement) (store.Settled, error) {
	l, err := t.judgeSettlement(ctx, &s)
	if err != nil {
		return store.Settled{}, err
	}
	a := s.Attempt
	changed, err := t.exec(ctx, settleSQL,
		sql.Named("id", s.ID[:]), sql.Named("seq", s.Seq), sql.Named("outcome", a.Outcome),
		sql.Named("state", s.State), sql.Named("class", s.Class), sql.Named("reason", s.Reason), sql.Named("field", s.Field),
		sql.Named("errcode", a.Errcode), sql.Named("errmsg", a.Errmsg), sql.Named("assumed", s.Assumed), sql.Named("msg_id", a.MsgID),
		sql.Named("spend", s.Spend), sql.Named("unsure", s.Unsure), sql.Named("requeue", s.Requeue),
		sql.Named("delay", s.Delay.Microseconds()), sql.Named("now", t.now), sql.Named("grace", store.HandoverGrace.Microseconds()),
		sql.Named("push_window", store.NoPushWindow.Microseconds()), sql.Named("push_wait", store.NoPushWait.Microseconds()))
	if err != nil {
		return store.Settled{}, err
	}
	var settled store.Settled
	if changed > 0 {
		if err := t.record(ctx, s); err != nil {
			return store.Settled{}, err
		}
		if settled.Delivered, err = t.joinEarlyReceipt(ctx, s); err != nil {
			return store.Settled{}, err
		}
		if err := t.keepLedger(ctx, s, l); err != nil {
			return store.Settled{}, err
		}
	}
	var outcome string
	err = t.row(ctx, `
		SELECT n.state, n.class, n.reason, n.generation, coalesce(a.outcome, '')
		FROM notifications n
		LEFT JOIN attempts a ON a.notification_id = n.id AND a.n = ?2
		WHERE n.id = ?1`, []any{s.ID[:], s.Seq}, []any{&settled.State, &settled.Class, &settled.Reason, &settled.Generation, &outcome})
	if errors.Is(err, sql.ErrNoRows) {
		return store.Settled{}, nil
	}
	// A known outcome on record stands for every settlement of the attempt, a
	// doubt only for a doubt.
	settled.Applied = outcome != "" && (outcome != store.OutcomeInDoubt || a.Outcome == store.OutcomeInDoubt)
	return settled, err
}

// record writes the attempt of a settlement that applied, and what it says about
// the template and the binding.
func (t *writeTx) record(ctx context.Context, s store.Settlement) error {
	a := s.Attempt
	_, err := t.exec(ctx, `
		INSERT INTO attempts (notification_id, n, at, latency_us, errcode, errmsg, rid, msg_id, outcome)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (notification_id, n) DO UPDATE
		SET at = excluded.at, latency_us = excluded.latency_us, errcode = excluded.errcode, errmsg = excluded.errmsg,
			rid = excluded.rid, msg_id = excluded.msg_id, outcome = excluded.outcome`,
		s.ID[:], s.Seq, a.At.UnixMicro(), a.Latency.Microseconds(), a.Errcode, a.Errmsg, a.RID, a.MsgID, a.Outcome)
	if err == nil && s.PauseTemplate {
		// A pause that exists keeps its beginning.
		_, err = t.exec(ctx, `
			INSERT INTO template_pauses (app, template_id, errcode, reason, since)
			SELECT app, template_id, ?2, coalesce(nullif(?3, ''), 'template'), ?4 FROM notifications WHERE id = ?1
			ON CONFLICT (app, template_id) DO NOTHING`, s.ID[:], a.Errcode, s.Reason, t.now)
	}
	if err == nil && s.SuspectBinding {
		// Unless the user has another openid by now.
		_, err = t.exec(ctx, `
			UPDATE bindings
			SET suspect = 1
			WHERE (app, user_id, open_id) = (SELECT app, user_id, address FROM notifications WHERE id = ?)`, s.ID[:])
	}
	return err
}
