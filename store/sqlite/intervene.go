package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// Discard takes dead notifications out of the view of dead letters, in one
// transaction, and answers each, in the order of the slice.
func (s *Store) Discard(ctx context.Context, discards []store.Discard) ([]store.Acted, error) {
	const op = "discard notifications"
	if err := store.CheckInterventions(discards, func(d store.Discard) uuid.UUID { return d.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return intervene(ctx, s, op, discards, (*writeTx).discard)
}

func (t *writeTx) discard(ctx context.Context, d store.Discard) (store.Acted, error) {
	acted, err := t.judge(ctx, d.ID, `
		CASE
			WHEN state <> 'dead' OR generation <> ?2 THEN 'wrong_state'
			WHEN discarded_at IS NOT NULL THEN 'before'
			ELSE 'done'
		END`, d.Generation)
	if err != nil || acted.Result != store.ActDone {
		return acted, err
	}
	_, err = t.exec(ctx, `UPDATE notifications SET discarded_at = ?2, updated_at = ?2 WHERE id = ?1 AND state = 'dead'`, d.ID[:], t.now)
	if err == nil {
		err = t.note(ctx, acted, store.VerbDiscard, d.Actor, "")
	}
	return acted, err
}

// SettleDoubts ends doubts as a person says, in one transaction, and answers
// each, in the order of the slice.
func (s *Store) SettleDoubts(ctx context.Context, settlements []store.DoubtSettlement) ([]store.Acted, error) {
	const op = "settle doubts"
	if err := store.CheckInterventions(settlements, func(d store.DoubtSettlement) uuid.UUID { return d.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return intervene(ctx, s, op, settlements, (*writeTx).settleDoubt)
}

// settleDoubt leaves the attempt in doubt: what WeChat did with it is no better
// known than before.
func (t *writeTx) settleDoubt(ctx context.Context, d store.DoubtSettlement) (store.Acted, error) {
	class, reason := d.Ending()
	acted, err := t.judge(ctx, d.ID, `
		CASE
			WHEN generation <> ?2 THEN 'wrong_state'
			WHEN state = ?3 AND reason = ?4 THEN 'before'
			WHEN state = 'in_doubt' OR state = 'dead' AND reason = 'in_doubt' THEN 'done'
			ELSE 'wrong_state'
		END`, d.Generation, d.As, reason)
	if err != nil || acted.Result != store.ActDone {
		return acted, err
	}
	_, err = t.exec(ctx, `
		UPDATE notifications
		SET state = ?2, class = ?3, reason = ?4, assumed = ?2 = 'sent', updated_at = ?5, finished_at = ?5
		WHERE id = ?1 AND state IN ('in_doubt', 'dead')`, d.ID[:], d.As, class, reason, t.now)
	if err == nil && d.As == store.Sent {
		err = t.sentAfterAll(ctx, d.ID[:])
	}
	if err == nil {
		err = t.note(ctx, acted, d.Verb(), d.Actor, "")
	}
	acted.State = d.As
	return acted, err
}

// Actions returns what people did to a notification, first one first.
func (s *Store) Actions(ctx context.Context, id uuid.UUID) ([]store.Action, error) {
	var actions []store.Action
	err := s.query(ctx, "read actions", `
		SELECT at, actor, verb, generation, reason, errcode, detail
		FROM actions
		WHERE notification_id = ?
		ORDER BY at, generation, verb`, []any{id[:]}, func(rows *sql.Rows) error {
		var (
			a  store.Action
			at int64
		)
		err := rows.Scan(&at, &a.Actor, &a.Verb, &a.Generation, &a.Reason, &a.Errcode, &a.Detail)
		a.At = instant(at)
		actions = append(actions, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return actions, nil
}

// Count counts the notifications that a filter chooses by a group, the most
// first. The filter's Before and Limit are not used.
func (s *Store) Count(ctx context.Context, f store.Filter, by store.Group) ([]store.Counted, error) {
	f.Before = store.Cursor{}
	value := "''"
	if column := by.Column(); column != "" {
		value = "CAST(n." + column + " AS TEXT)"
	}
	where, args := conditions(f)
	var counts []store.Counted
	err := s.query(ctx, "count notifications", `
		SELECT value, count(*)
		FROM (SELECT `+value+` AS value FROM notifications n WHERE `+where+`)
		GROUP BY value
		ORDER BY count(*) DESC, value`, args, func(rows *sql.Rows) error {
		var c store.Counted
		err := rows.Scan(&c.Value, &c.Count)
		counts = append(counts, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return counts, nil
}
