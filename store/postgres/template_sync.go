package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// templateColumns are the columns of a template in the order of scanTemplate.
const templateColumns = `app, template_id, title, content, example, type, keys::text, synced_at, gone_at`

func scanTemplate(row pgx.CollectableRow) (store.Template, error) {
	var (
		t    store.Template
		keys string
		gone *time.Time
	)
	err := row.Scan(&t.App, &t.TemplateID, &t.Title, &t.Content, &t.Example, &t.Type, &keys, &t.SyncedAt, &gone)
	if err != nil {
		return t, err
	}
	t.SyncedAt = t.SyncedAt.UTC()
	if gone != nil {
		t.GoneAt = gone.UTC()
	}
	if json.Unmarshal([]byte(keys), &t.Keys) != nil {
		return t, errors.New("the keys of a template are not JSON") // the original quotes them
	}
	return t, nil
}

// Templates returns what the last syncs found of an app, or of all apps for "",
// by app and id. Templates that are gone are among them.
func (s *Store) Templates(ctx context.Context, app string) ([]store.Template, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT `+templateColumns+`
		FROM templates
		WHERE $1 IN ('', app)
		ORDER BY app, template_id`, app)
	if err != nil {
		return nil, wrap("list templates", err)
	}
	templates, err := pgx.CollectRows(rows, scanTemplate)
	return templates, wrap("list templates", err)
}

// TemplateSyncs returns how the syncs of each app went, by app; an app of which
// none ever began is not among them.
func (s *Store) TemplateSyncs(ctx context.Context) ([]store.TemplateSync, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT app, synced_at, tried_at, next_at, errcode, problem
		FROM template_syncs
		ORDER BY app`)
	if err != nil {
		return nil, wrap("list template syncs", err)
	}
	syncs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.TemplateSync, error) {
		var (
			t      store.TemplateSync
			synced *time.Time
		)
		err := row.Scan(&t.App, &synced, &t.TriedAt, &t.NextAt, &t.Errcode, &t.Problem)
		if synced != nil {
			t.SyncedAt = synced.UTC()
		}
		t.TriedAt, t.NextAt = t.TriedAt.UTC(), t.NextAt.UTC()
		return t, err
	})
	return syncs, wrap("list template syncs", err)
}

// BeginTemplateSync asks whether a sync of an app may begin: ok is false while
// the time of the last one's Next is not over, unless forced. One of several
// processes that ask at once may begin. Until its end is told, the next one may
// begin after next.
func (s *Store) BeginTemplateSync(ctx context.Context, app string, next time.Duration, forced bool) (began time.Time, ok bool, err error) {
	err = s.pool.QueryRow(ctx, `
		INSERT INTO template_syncs AS t (app, tried_at, next_at)
		VALUES ($1, now(), now() + $2::interval)
		ON CONFLICT (app) DO UPDATE
		SET tried_at = excluded.tried_at, next_at = excluded.next_at
		WHERE $3 OR t.next_at <= now()
		RETURNING tried_at`, app, next, forced).Scan(&began)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, false, nil
	}
	return began.UTC(), err == nil, wrap("begin template sync", err)
}

// FailTemplateSync tells that a sync ended without a list; the next one may begin
// by itself after next. What is stored of the app's templates stays.
func (s *Store) FailTemplateSync(ctx context.Context, app string, errcode int, problem string, next time.Duration) error {
	_, err := s.pool.Exec(ctx, `
		UPDATE template_syncs
		SET errcode = $2, problem = $3, next_at = now() + $4::interval
		WHERE app = $1`, app, errcode, problem, next)
	return wrap("end template sync", err)
}

// learnLongTermSQL makes long-term what users allowed of a template before a list
// told that it is a long-term one, unless they took it back. It reads the ledger
// only when there is such a template. Entries are locked in the order of their key,
// before notifications, as everywhere.
const learnLongTermSQL = `
		WITH learnt AS MATERIALIZED (
			SELECT l.id
			FROM unnest($2::text[]) AS l (id)
			WHERE NOT EXISTS (SELECT FROM templates t WHERE t.app = $1 AND t.template_id = l.id AND t.type = $3)
		), entries AS MATERIALIZED (
			SELECT app, open_id, template_id
			FROM consents
			WHERE (SELECT count(*) FROM learnt) > 0 AND app = $1 AND template_id IN (SELECT id FROM learnt)
				AND NOT long_term AND grants > 0 AND refused_at IS NULL AND (emptied_at IS NULL OR balance > 0)
			ORDER BY app, open_id, template_id
			FOR UPDATE
		), told AS (
			UPDATE consent_events v
			SET long_term = true
			FROM entries e
			WHERE v.app = e.app AND v.open_id = e.open_id AND v.template_id = e.template_id AND v.answer = 'accept'
		)
		UPDATE consents c
		SET long_term = true, updated_at = now()
		FROM entries e
		WHERE c.app = e.app AND c.open_id = e.open_id AND c.template_id = e.template_id`

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
	var (
		b        pgx.Batch
		stored   []store.Template
		released int
	)
	// The row of the app comes first: whoever saves at the same time waits here.
	b.Queue(`
		INSERT INTO template_syncs AS t (app, tried_at, next_at, synced_at)
		VALUES ($1, now(), now() + $2::interval, now())
		ON CONFLICT (app) DO UPDATE
		SET next_at = excluded.next_at, synced_at = excluded.synced_at, errcode = 0, problem = ''`, list.App, list.Next)
	b.Queue(`SELECT `+templateColumns+` FROM templates WHERE app = $1`, list.App).Query(func(rows pgx.Rows) (err error) {
		stored, err = pgx.CollectRows(rows, scanTemplate)
		return err
	})
	if longTerm := list.LongTerm(); len(longTerm) > 0 {
		b.Queue(learnLongTermSQL, list.App, longTerm, store.TemplateLongTerm)
	}
	ids := make([]string, 0, len(list.Templates))
	for _, t := range list.Templates {
		ids = append(ids, t.TemplateID)
		if err := queueTemplate(&b, t); err != nil {
			return store.TemplatesSynced{}, fmt.Errorf("%s: %w", op, err)
		}
	}
	b.Queue(`UPDATE templates SET gone_at = now() WHERE app = $1 AND gone_at IS NULL AND template_id <> ALL ($2)`, list.App, ids)
	over := list.Resumes(pauses)
	for _, id := range over {
		queueResume(&b, list.App, id, &released)
	}
	if err := s.run(ctx, &b); err != nil {
		return store.TemplatesSynced{}, wrap(op, err)
	}
	synced := store.CompareTemplates(stored, list)
	synced.Resumed, synced.Released = over, released
	return synced, nil
}

func queueTemplate(b *pgx.Batch, t store.Template) error {
	keys, err := json.Marshal(t.Keys)
	if err != nil {
		return err
	}
	b.Queue(`
		INSERT INTO templates (app, template_id, title, content, example, type, keys, synced_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, now())
		ON CONFLICT (app, template_id) DO UPDATE
		SET title = excluded.title, content = excluded.content, example = excluded.example, type = excluded.type,
			keys = excluded.keys, synced_at = excluded.synced_at, gone_at = NULL`,
		t.App, t.TemplateID, t.Title, t.Content, t.Example, t.Type, string(keys))
	return nil
}
