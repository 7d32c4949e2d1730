package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// Overview counts what is open, through the indexes of what did not end.
func (s *Store) Overview(ctx context.Context) (store.Overview, error) {
	const op = "read overview"
	now := time.Now().UnixMicro()
	o := store.Overview{Now: instant(now), Open: map[store.State]int{}}
	for _, state := range store.OpenStates {
		o.Open[state] = 0
	}
	err := s.query(ctx, op, `
		SELECT
			(SELECT min(due_at) FROM notifications WHERE state IN ('queued', 'retrying') AND due_at <= ?),
			(SELECT count(*) FROM notifications WHERE class = 'fault' AND discarded_at IS NULL)`, []any{now}, func(rows *sql.Rows) error {
		var oldest sql.NullInt64
		err := rows.Scan(&oldest, &o.DeadLetters)
		o.OldestDue = nullable(oldest)
		return err
	})
	if err != nil {
		return store.Overview{}, err
	}
	err = s.query(ctx, op, `
		SELECT state, count(*)
		FROM notifications
		WHERE state <> 'sent' AND state IN ('queued', 'sending', 'retrying', 'in_doubt', 'waiting')
		GROUP BY state`, nil, func(rows *sql.Rows) error {
		var (
			state store.State
			count int
		)
		err := rows.Scan(&state, &count)
		o.Open[state] = count
		return err
	})
	if err != nil {
		return store.Overview{}, err
	}
	return o, nil
}

// Outcomes counts what ended within the last d, at most store.OutcomesMost, by
// template, the most first.
func (s *Store) Outcomes(ctx context.Context, d time.Duration) ([]store.Outcome, error) {
	since := time.Now().Add(-min(d, store.OutcomesMost)).UnixMicro()
	var outcomes []store.Outcome
	// Two halves, because each has its index on finished_at.
	err := s.query(ctx, "count outcomes", `
		SELECT app, template_id,
			count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE class = 'refused'),
			count(*) FILTER (WHERE class = 'fault'), count(*) FILTER (WHERE state = 'expired'),
			count(*) FILTER (WHERE state = 'cancelled')
		FROM (
			SELECT app, template_id, state, class
			FROM notifications
			WHERE finished_at IS NOT NULL AND data_blanked_at IS NULL AND class <> 'fault' AND finished_at > ?1
			UNION ALL
			SELECT app, template_id, state, class
			FROM notifications
			WHERE class = 'fault' AND finished_at > ?1
		)
		GROUP BY app, template_id
		ORDER BY count(*) DESC, app, template_id`, []any{since}, func(rows *sql.Rows) error {
		var o store.Outcome
		err := rows.Scan(&o.App, &o.TemplateID, &o.Sent, &o.Refused, &o.Dead, &o.Expired, &o.Cancelled)
		outcomes = append(outcomes, o)
		return err
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}
