package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// Overview counts what is open, through the indexes of what did not end.
func (s *Store) Overview(ctx context.Context) (store.Overview, error) {
	const op = "read overview"
	o := store.Overview{Open: map[store.State]int{}}
	for _, state := range store.OpenStates {
		o.Open[state] = 0
	}
	var oldest *time.Time
	err := s.pool.QueryRow(ctx, `
		SELECT now(),
			(SELECT min(due_at) FROM notifications WHERE state IN ('queued', 'retrying') AND due_at <= now()),
			(SELECT count(*) FROM notifications WHERE class = 'fault' AND discarded_at IS NULL)`).Scan(&o.Now, &oldest, &o.DeadLetters)
	if err != nil {
		return store.Overview{}, wrap(op, err)
	}
	o.Now = o.Now.UTC()
	if oldest != nil {
		o.OldestDue = oldest.UTC()
	}
	// The condition on sent is that of the index, word for word.
	rows, err := s.pool.Query(ctx, `
		SELECT state, count(*)
		FROM notifications n
		WHERE n.state <> 'sent' AND n.state IN ('queued', 'sending', 'retrying', 'in_doubt', 'waiting')
		GROUP BY state`)
	if err != nil {
		return store.Overview{}, wrap(op, err)
	}
	var (
		state string
		count int
	)
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		o.Open[store.State(state)] = count
		return nil
	})
	return o, wrap(op, err)
}

// Outcomes counts what ended within the last d, at most store.OutcomesMost, by
// template, the most first.
func (s *Store) Outcomes(ctx context.Context, d time.Duration) ([]store.Outcome, error) {
	const op = "count outcomes"
	// Two halves, because each has its index on finished_at.
	rows, err := s.pool.Query(ctx, `
		SELECT app, template_id,
			count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE class = 'refused'),
			count(*) FILTER (WHERE class = 'fault'), count(*) FILTER (WHERE state = 'expired'),
			count(*) FILTER (WHERE state = 'cancelled')
		FROM (
			SELECT app, template_id, state, class
			FROM notifications
			WHERE finished_at IS NOT NULL AND data_blanked_at IS NULL AND class <> 'fault'
				AND finished_at > now() - $1::bigint * interval '1 microsecond'
			UNION ALL
			SELECT app, template_id, state, class
			FROM notifications
			WHERE class = 'fault' AND finished_at > now() - $1::bigint * interval '1 microsecond'
		) AS ended
		GROUP BY app, template_id
		ORDER BY count(*) DESC, app COLLATE "C", template_id COLLATE "C"`, min(d, store.OutcomesMost).Microseconds())
	if err != nil {
		return nil, wrap(op, err)
	}
	outcomes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Outcome, error) {
		var o store.Outcome
		err := row.Scan(&o.App, &o.TemplateID, &o.Sent, &o.Refused, &o.Dead, &o.Expired, &o.Cancelled)
		return o, err
	})
	return outcomes, wrap(op, err)
}
