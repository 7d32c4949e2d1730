package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// PausedTemplates returns the paused templates of an app, or of all apps for "",
// the longest paused first.
func (s *Store) PausedTemplates(ctx context.Context, app string) ([]store.TemplatePause, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT app, template_id, errcode, reason, since
		FROM template_pauses
		WHERE $1 IN ('', app)
		ORDER BY since, app, template_id`, app)
	if err != nil {
		return nil, wrap("list paused templates", err)
	}
	pauses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.TemplatePause, error) {
		var p store.TemplatePause
		err := row.Scan(&p.App, &p.TemplateID, &p.Errcode, &p.Reason, &p.Since)
		p.Since = p.Since.UTC()
		return p, err
	})
	return pauses, wrap("list paused templates", err)
}

// ResumeTemplate ends the pause of a template and queues what waited for that;
// released is how many. What is overdue stays, to expire with its reason.
func (s *Store) ResumeTemplate(ctx context.Context, app, templateID string) (released int, err error) {
	var b pgx.Batch
	queueResume(&b, app, templateID, &released)
	if err := s.run(ctx, &b); err != nil {
		return 0, wrap("resume template", err)
	}
	return released, nil
}

// queueResume queues what ends a pause; released grows by the notifications that
// had waited.
func queueResume(b *pgx.Batch, app, templateID string, released *int) {
	// The pause goes first: a move that holds it is awaited, and the next
	// statement sees what it left waiting. OFFSET keeps the search by template from
	// becoming one by id, which would read every row for the sake of the order.
	b.Queue(`DELETE FROM template_pauses WHERE app = $1 AND template_id = $2`, app, templateID)
	b.Queue(`
		WITH found AS MATERIALIZED (
			SELECT id
			FROM (
				SELECT id
				FROM notifications
				WHERE app = $1 AND template_id = $2 AND state = 'waiting' AND reason = 'template_paused' AND expires_at > now()
				OFFSET 0
			) AS f
			ORDER BY id
		), woken AS MATERIALIZED (
			SELECT w.id, w.state
			FROM found
			CROSS JOIN LATERAL (
				SELECT n.id, n.state FROM notifications n WHERE n.id = found.id FOR NO KEY UPDATE
			) AS w
		)
		UPDATE notifications n
		SET `+wakeSQL+`
		FROM woken
		WHERE n.id = woken.id AND woken.state = 'waiting'
		RETURNING n.id`, app, templateID).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			*released++
		}
		return rows.Err()
	})
}
