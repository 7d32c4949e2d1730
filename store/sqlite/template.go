package sqlite

import (
	"context"
	"database/sql"

	"github.com/wxnotify/wxnotify/store"
)

// PausedTemplates returns the paused templates of an app, or of all apps for "",
// the longest paused first.
func (s *Store) PausedTemplates(ctx context.Context, app string) ([]store.TemplatePause, error) {
	var pauses []store.TemplatePause
	err := s.query(ctx, "list paused templates", `
		SELECT app, template_id, errcode, reason, since
		FROM template_pauses
		WHERE ?1 IN ('', app)
		ORDER BY since, app, template_id`, []any{app}, func(rows *sql.Rows) error {
		var (
			p     store.TemplatePause
			since int64
		)
		err := rows.Scan(&p.App, &p.TemplateID, &p.Errcode, &p.Reason, &since)
		p.Since = instant(since)
		pauses = append(pauses, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return pauses, nil
}

// ResumeTemplate ends the pause of a template and queues what waited for that;
// released is how many. What is overdue stays, to expire with its reason.
func (s *Store) ResumeTemplate(ctx context.Context, app, templateID string) (released int, err error) {
	err = s.write(ctx, "resume template", func(tx *writeTx) (err error) {
		released, err = tx.resume(ctx, app, templateID)
		return err
	})
	if err != nil {
		return 0, err
	}
	return released, nil
}

// resume ends a pause and returns how many notifications had waited for that.
func (t *writeTx) resume(ctx context.Context, app, templateID string) (released int, err error) {
	_, err = t.exec(ctx, `DELETE FROM template_pauses WHERE app = ? AND template_id = ?`, app, templateID)
	if err != nil {
		return 0, err
	}
	return t.exec(ctx, `
		UPDATE notifications
		SET `+wakeSQL+`
		WHERE app = ?2 AND template_id = ?3 AND state = 'waiting' AND reason = 'template_paused' AND expires_at > ?1`,
		t.now, app, templateID)
}
