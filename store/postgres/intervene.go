package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// discardSQL takes dead notifications out of view and records who did it.
const discardSQL = `
	WITH found AS MATERIALIZED (
		SELECT d.*, n.generation AS was_generation, n.state, n.reason, n.errcode,
			CASE
				WHEN n.state <> 'dead' OR n.generation <> d.generation THEN 'wrong_state'
				WHEN n.discarded_at IS NOT NULL THEN 'before'
				ELSE 'done'
			END AS result
		FROM unnest($1::uuid[], $2::int[], $3::text[]) WITH ORDINALITY AS d (id, generation, actor, place)
		JOIN notifications n ON n.id = d.id
	), discarded AS (
		UPDATE notifications n
		SET discarded_at = now(), updated_at = now()
		FROM found f
		WHERE n.id = f.id AND f.result = 'done'
	), recorded AS (
		INSERT INTO actions (notification_id, generation, verb, at, actor, reason, errcode, detail)
		SELECT id, generation, 'discard', now(), actor, reason, errcode, ''
		FROM found
		WHERE result = 'done'
	)
	SELECT place, result, state, was_generation, reason, errcode
	FROM found`

// Discard takes dead notifications out of the view of dead letters, in one
// transaction, and answers each, in the order of the slice.
func (s *Store) Discard(ctx context.Context, discards []store.Discard) ([]store.Acted, error) {
	const op = "discard notifications"
	if err := store.CheckInterventions(discards, func(d store.Discard) uuid.UUID { return d.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	n := len(discards)
	ids, generations, actors := make([][16]byte, n), make([]int, n), make([]string, n)
	for i, d := range discards {
		ids[i], generations[i], actors[i] = d.ID, d.Generation, d.Actor
	}
	return s.intervene(ctx, op, ids, discardSQL, []any{ids, generations, actors})
}

// settleDoubtSQL ends doubts as a person says and records who did it. The
// attempt stays in doubt: what WeChat did with it is no better known than before.
const settleDoubtSQL = `
	WITH found AS MATERIALIZED (
		SELECT d.*, n.generation AS was_generation, n.state AS was, n.reason AS was_reason, n.errcode AS was_errcode,
			n.app, n.address, n.template_id, n.ledger_touches,
			CASE
				WHEN n.generation <> d.generation THEN 'wrong_state'
				WHEN n.state = d.state AND n.reason = d.reason THEN 'before'
				WHEN n.state = 'in_doubt' OR n.state = 'dead' AND n.reason = 'in_doubt' THEN 'done'
				ELSE 'wrong_state'
			END AS result
		FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY
			AS d (id, generation, state, class, reason, verb, actor, place)
		JOIN notifications n ON n.id = d.id
	), settled AS (
		UPDATE notifications n
		SET state = f.state, class = f.class, reason = f.reason, assumed = f.state = 'sent',
			updated_at = now(), finished_at = now()
		FROM found f
		WHERE n.id = f.id AND f.result = 'done'
	), sent AS (
		SELECT app, address, template_id, ledger_touches FROM found WHERE result = 'done' AND state = 'sent'
	), ledger AS (` + sentAfterAllSQL + `
	), recorded AS (
		INSERT INTO actions (notification_id, generation, verb, at, actor, reason, errcode, detail)
		SELECT id, generation, verb, now(), actor, was_reason, was_errcode, ''
		FROM found
		WHERE result = 'done'
	)
	SELECT place, result, CASE result WHEN 'done' THEN state ELSE was END, was_generation, was_reason, was_errcode
	FROM found`

// SettleDoubts ends doubts as a person says, in one transaction, and answers
// each, in the order of the slice.
func (s *Store) SettleDoubts(ctx context.Context, settlements []store.DoubtSettlement) ([]store.Acted, error) {
	const op = "settle doubts"
	if err := store.CheckInterventions(settlements, func(d store.DoubtSettlement) uuid.UUID { return d.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	n := len(settlements)
	ids, generations, actors := make([][16]byte, n), make([]int, n), make([]string, n)
	states, classes, reasons, verbs := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, d := range settlements {
		ids[i], generations[i], actors[i] = d.ID, d.Generation, d.Actor
		class, reason := d.Ending()
		states[i], classes[i], reasons[i], verbs[i] = string(d.As), string(class), string(reason), string(d.Verb())
	}
	return s.intervene(ctx, op, ids, settleDoubtSQL, []any{ids, generations, states, classes, reasons, verbs, actors})
}

// Actions returns what people did to a notification, first one first.
func (s *Store) Actions(ctx context.Context, id uuid.UUID) ([]store.Action, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT at, actor, verb, generation, reason, errcode, detail
		FROM actions
		WHERE notification_id = $1
		ORDER BY at, generation, verb`, [16]byte(id))
	if err != nil {
		return nil, wrap("read actions", err)
	}
	actions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Action, error) {
		var a store.Action
		err := row.Scan(&a.At, &a.Actor, (*string)(&a.Verb), &a.Generation, (*string)(&a.Reason), &a.Errcode, &a.Detail)
		a.At = a.At.UTC()
		return a, err
	})
	return actions, wrap("read actions", err)
}

// Count counts the notifications that a filter chooses by a group, the most
// first. The filter's Before and Limit are not used.
func (s *Store) Count(ctx context.Context, f store.Filter, by store.Group) ([]store.Counted, error) {
	query, args := countSQL(f, by)
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, wrap("count notifications", err)
	}
	counts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Counted, error) {
		var c store.Counted
		err := row.Scan(&c.Value, &c.Count)
		return c, err
	})
	return counts, wrap("count notifications", err)
}

func countSQL(f store.Filter, by store.Group) (string, []any) {
	f.Before = store.Cursor{}
	value := "''"
	if column := by.Column(); column != "" {
		value = "n." + column + "::text"
	}
	where, args := conditions(f)
	return `
		SELECT value, count(*)
		FROM (SELECT ` + value + ` AS value FROM notifications n WHERE ` + where + `) AS chosen
		GROUP BY value
		ORDER BY count(*) DESC, value COLLATE "C"`, args
}
