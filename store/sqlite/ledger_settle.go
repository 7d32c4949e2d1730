package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/wxnotify/wxnotify/store"
)

// settledEntry is what a settlement has to know of the entry of the ledger that it
// concerns; without an address it concerns none.
type settledEntry struct {
	app, address, templateID string
	touches, grants          int64 // at the claim
	wasDoubt                 bool
}

// judgeSettlement finds out which entry a settlement concerns, and turns the
// settlement into what the store makes of it instead of what was asked for.
//
// A refusal after an attempt nobody knows the end of: the entry has been touched
// by those attempts and by nothing else, and no other attempt for the same pair is
// under way, so the one message that was left is the one the user has. Whatever
// shall wait while what it waits for is there is tried again at once.
func (t *writeTx) judgeSettlement(ctx context.Context, s *store.Settlement) (l settledEntry, err error) {
	if !s.ConcernsLedger() && s.State != store.Waiting {
		return l, nil
	}
	var verdict string
	err = t.row(ctx, `
		SELECT n.app, n.address, n.template_id, n.ledger_touches, n.ledger_grants, a.n IS NOT NULL,
			CASE
				WHEN ?3 AND n.doubts - (a.n IS NOT NULL) + n.unsure > 0 THEN
					iif(n.ledger_balance = 1 AND c.balance = 1 AND NOT c.long_term
							AND c.touches = n.ledger_touches + n.doubts + n.unsure
							AND NOT EXISTS (SELECT 1 FROM notifications o
								WHERE o.state = 'sending' AND o.lease_until IS NOT NULL AND o.id <> n.id
									AND o.app = n.app AND o.address = n.address AND o.template_id = n.template_id),
						'sent', 'dead')
				WHEN ?4 <> 'waiting' THEN ''
				WHEN ?5 = 'no_consent' AND (c.long_term OR c.balance > 0) AND (c.grants > n.ledger_grants OR NOT ?3)
					OR ?5 = 'template_paused' AND NOT EXISTS (SELECT 1 FROM template_pauses p
						WHERE p.app = n.app AND p.template_id = n.template_id)
					OR ?5 = 'unbound' AND EXISTS (SELECT 1 FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id)
				THEN 'retrying'
				ELSE ''
			END
		FROM notifications n
		LEFT JOIN attempts a ON a.notification_id = n.id AND a.n = n.seq
		LEFT JOIN consents c ON c.app = n.app AND c.open_id = n.address AND c.template_id = n.template_id
		WHERE n.id = ?1 AND n.seq = ?2`, []any{s.ID[:], s.Seq, s.Refused, s.State, s.Reason},
		[]any{&l.app, &l.address, &l.templateID, &l.touches, &l.grants, &l.wasDoubt, &verdict})
	if errors.Is(err, sql.ErrNoRows) {
		return l, nil // it does not apply
	}
	switch store.State(verdict) { //nolint:exhaustive // the verdicts there are
	case store.Sent:
		s.State, s.Class, s.Reason, s.Assumed = store.Sent, store.ClassNone, store.ReasonNone, true
	case store.Dead:
		s.State, s.Class, s.Reason = store.Dead, store.ClassFault, store.ReasonInDoubt
	case store.Retrying:
		s.State, s.Class, s.Reason = store.Retrying, store.ClassNone, store.ReasonNone
		s.Delay, s.Requeue = 0, true
	}
	return l, err
}

// keepLedger keeps the ledger with a settlement that applied: it takes off what
// was sent, empties what WeChat refuses, and notes attempts nobody knows the end
// of. What is not known stays so when something is sent.
//
// A refusal tells of the time between the claim and now; consents that came
// meanwhile are left, because they may be younger. What is taken away had been
// counted beside a message that was owed. A doubt that turns out to be
// sent takes nothing off when the entry was emptied after its claim: that message
// was among what was taken away.
func (t *writeTx) keepLedger(ctx context.Context, s store.Settlement, l settledEntry) error {
	sent := s.State == store.Sent && !s.Assumed
	doubt := s.State == store.InDoubt || s.Attempt.Outcome == store.OutcomeInDoubt || s.Unsure
	if l.address == "" || !sent && !s.Refused && !doubt {
		return nil
	}
	if s.Refused {
		_, err := t.exec(ctx, `
			INSERT INTO consents (app, open_id, template_id, updated_at)
			VALUES (?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, l.app, l.address, l.templateID, t.now)
		if err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `
		UPDATE consents
		SET balance = CASE
				WHEN @refused THEN min(coalesce(balance, 0), grants - @grants)
				WHEN long_term THEN balance
				ELSE max(balance - (@sent AND (NOT @late OR @touches >= emptied_touch)), 0) END,
			long_term = long_term AND (NOT @refused OR grants > @grants),
			emptied_at = iif(@refused, max(coalesce(emptied_at, 0), @now - @skew), emptied_at),
			emptied_touch = iif(@refused, touches + 1, emptied_touch),
			owed = CASE
				WHEN long_term THEN owed
				WHEN @refused THEN max(owed - max(coalesce(balance, 0) - grants + @grants, 0), 0)
				ELSE owed + coalesce(@sent AND NOT @late AND balance = 0, 0) END,
			owed_at = iif(@sent AND NOT @late AND NOT long_term AND balance = 0, @now, owed_at),
			touches = touches + 1,
			updated_at = @now
		WHERE app = @app AND open_id = @address AND template_id = @template`,
		sql.Named("app", l.app), sql.Named("address", l.address), sql.Named("template", l.templateID),
		sql.Named("refused", s.Refused), sql.Named("grants", l.grants), sql.Named("sent", sent), sql.Named("late", l.wasDoubt),
		sql.Named("touches", l.touches), sql.Named("now", t.now), sql.Named("skew", store.ConsentSkew.Microseconds()))
	return err
}

// sentAfterAll takes off what turns out to be sent without a settlement.
func (t *writeTx) sentAfterAll(ctx context.Context, id []byte) error {
	_, err := t.exec(ctx, `
		UPDATE consents AS c
		SET balance = iif(c.long_term OR n.ledger_touches < c.emptied_touch, balance, max(balance - 1, 0)),
			touches = touches + 1, updated_at = ?2
		FROM notifications n
		WHERE n.id = ?1 AND c.app = n.app AND c.open_id = n.address AND c.template_id = n.template_id`, id, t.now)
	return err
}
