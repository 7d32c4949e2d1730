package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// templateColumns are the columns of a template in the order of scanTemplate.
const templateColumns = `app, template_id, title, content, example, type, keys, synced_at, gone_at`

func scanTemplate(row scanner) (store.Template, error) {
	var (
		t      store.Template
		keys   string
		synced int64
		gone   sql.NullInt64
	)
	err := row.Scan(&t.App, &t.TemplateID, &t.Title, &t.Content, &t.Example, &t.Type, &keys, &synced, &gone)
	if err != nil {
		return t, err
	}
	t.SyncedAt, t.GoneAt = instant(synced), nullable(gone)
	if json.Unmarshal([]byte(keys), &t.Keys) != nil {
		return t, errors.New("the keys of a template are not JSON") // the original quotes them
	}
	return t, nil
}

// Templates returns what the last syncs found of an app, or of all apps for "",
// by app and id. Templates that are gone are among them.
func (s *Store) Templates(ctx context.Context, app string) ([]store.Template, error) {
	var templates []store.Template
	err := s.query(ctx, "list templates", `
		SELECT `+templateColumns+`
		FROM templates
		WHERE ?1 IN ('', app)
		ORDER BY app, template_id`, []any{app}, func(rows *sql.Rows) error {
		t, err := scanTemplate(rows)
		templates = append(templates, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return templates, nil
}

// TemplateSyncs returns how the syncs of each app went, by app; an app of which
// none ever began is not among them.
func (s *Store) TemplateSyncs(ctx context.Context) ([]store.TemplateSync, error) {
	var syncs []store.TemplateSync
	err := s.query(ctx, "list template syncs", `
		SELECT app, synced_at, tried_at, next_at, errcode, problem
		FROM template_syncs
		ORDER BY app`, nil, func(rows *sql.Rows) error {
		var (
			t           store.TemplateSync
			synced      sql.NullInt64
			tried, next int64
		)
		err := rows.Scan(&t.App, &synced, &tried, &next, &t.Errcode, &t.Problem)
		t.SyncedAt, t.TriedAt, t.NextAt = nullable(synced), instant(tried), instant(next)
		syncs = append(syncs, t)
		return err
	})
	if err != nil {
		return nil, err
	}
	return syncs, nil
}

// BeginTemplateSync asks whether a sync of an app may begin: ok is false while
// the time of the last one's Next is not over, unless forced. One of several
// that ask at once may begin. Until its end is told, the next one may begin after
// next.
func (s *Store) BeginTemplateSync(ctx context.Context, app string, next time.Duration, forced bool) (began time.Time, ok bool, err error) {
	err = s.write(ctx, "begin template sync", func(tx *writeTx) error {
		n, err := tx.exec(ctx, `
			INSERT INTO template_syncs (app, tried_at, next_at)
			VALUES (?1, ?2, ?2 + ?3)
			ON CONFLICT (app) DO UPDATE
			SET tried_at = excluded.tried_at, next_at = excluded.next_at
			WHERE ?4 OR next_at <= ?2`, app, tx.now, next.Microseconds(), forced)
		if n > 0 {
			began, ok = instant(tx.now), true
		}
		return err
	})
	if err != nil {
		return time.Time{}, false, err
	}
	return began, ok, nil
}

// FailTemplateSync tells that a sync ended without a list; the next one may begin
// by itself after next. What is stored of the app's templates stays.
func (s *Store) FailTemplateSync(ctx context.Context, app string, errcode int, problem string, next time.Duration) error {
	return s.write(ctx, "end template sync", func(tx *writeTx) error {
		_, err := tx.exec(ctx, `
			UPDATE template_syncs
			SET errcode = ?2, problem = ?3, next_at = ?4 + ?5
			WHERE app = ?1`, app, errcode, problem, tx.now, next.Microseconds())
		return err
	})
}

// SaveTemplates keeps the list of a sync that succeeded, in one transaction: what
// it does not name is marked gone, and the pauses that it disproves are over.
func (s *Store) SaveTemplates(ctx context.Context, list store.TemplateList) (store.TemplatesSynced, error) {
	const op = "save templates"
	if err := list.Check(); err != nil {
		return store.TemplatesSynced{}, fmt.Errorf("%s: %w", op, err)
	}
	pauses, err := s.PausedTemplates(ctx, list.App)
	if err != nil {
		return store.TemplatesSynced{}, fmt.Errorf("%s: %w", op, err)
	}
	over := list.Resumes(pauses)
	var synced store.TemplatesSynced
	err = s.write(ctx, op, func(tx *writeTx) error {
		stored, err := tx.saveTemplates(ctx, list)
		if err != nil {
			return err
		}
		synced = store.CompareTemplates(stored, list)
		synced.Resumed = over
		for _, id := range over {
			n, err := tx.resume(ctx, list.App, id)
			if err != nil {
				return err
			}
			synced.Released += n
		}
		return nil
	})
	if err != nil {
		return store.TemplatesSynced{}, err
	}
	return synced, nil
}

// saveTemplates writes the list and returns what was stored of the app before.
func (t *writeTx) saveTemplates(ctx context.Context, list store.TemplateList) (stored []store.Template, err error) {
	_, err = t.exec(ctx, `
		INSERT INTO template_syncs (app, tried_at, next_at, synced_at)
		VALUES (?1, ?2, ?2 + ?3, ?2)
		ON CONFLICT (app) DO UPDATE
		SET next_at = excluded.next_at, synced_at = excluded.synced_at, errcode = 0, problem = ''`,
		list.App, t.now, list.Next.Microseconds())
	if err != nil {
		return nil, err
	}
	err = t.rows(ctx, `SELECT `+templateColumns+` FROM templates WHERE app = ?`, []any{list.App}, func(rows *sql.Rows) error {
		row, err := scanTemplate(rows)
		stored = append(stored, row)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range list.LongTerm() {
		known := slices.ContainsFunc(stored, func(s store.Template) bool { return s.TemplateID == id && s.Type == store.TemplateLongTerm })
		if known {
			continue
		}
		if err := t.learnLongTerm(ctx, list.App, id); err != nil {
			return nil, err
		}
	}
	for _, row := range list.Templates {
		if err := t.saveTemplate(ctx, row); err != nil {
			return nil, err
		}
	}
	for _, row := range stored {
		listed := slices.ContainsFunc(list.Templates, func(l store.Template) bool { return l.TemplateID == row.TemplateID })
		if listed {
			continue
		}
		_, err := t.exec(ctx, `UPDATE templates SET gone_at = ?3 WHERE app = ?1 AND template_id = ?2 AND gone_at IS NULL`,
			row.App, row.TemplateID, t.now)
		if err != nil {
			return nil, err
		}
	}
	return stored, nil
}

// learnLongTerm makes long-term what users allowed of a template before a list
// told that it is a long-term one, unless they took it back.
func (t *writeTx) learnLongTerm(ctx context.Context, app, templateID string) error {
	_, err := t.exec(ctx, `
		UPDATE consent_events SET long_term = 1
		WHERE app = ?1 AND template_id = ?2 AND answer = 'accept' AND open_id IN (`+oneTimeSoFarSQL+`)`, app, templateID)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `
		UPDATE consents SET long_term = 1, updated_at = ?3
		WHERE app = ?1 AND template_id = ?2 AND open_id IN (`+oneTimeSoFarSQL+`)`, app, templateID, t.now)
	return err
}

// oneTimeSoFarSQL are the openids that allowed messages of a template and did not
// take it back, as far as is known of one-time templates.
const oneTimeSoFarSQL = `
			SELECT open_id
			FROM consents
			WHERE app = ?1 AND template_id = ?2
				AND NOT long_term AND grants > 0 AND refused_at IS NULL AND (emptied_at IS NULL OR balance > 0)`

func (t *writeTx) saveTemplate(ctx context.Context, row store.Template) error {
	keys, err := json.Marshal(row.Keys)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `
		INSERT INTO templates (app, template_id, title, content, example, type, keys, synced_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app, template_id) DO UPDATE
		SET title = excluded.title, content = excluded.content, example = excluded.example, type = excluded.type,
			keys = excluded.keys, synced_at = excluded.synced_at, gone_at = NULL`,
		row.App, row.TemplateID, row.Title, row.Content, row.Example, row.Type, string(keys), t.now)
	return err
}
