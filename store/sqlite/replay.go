package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// Replay starts dead notifications anew, in one transaction, and answers each, in
// the order of the slice.
func (s *Store) Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error) {
	const op = "replay notifications"
	if err := store.CheckInterventions(replays, func(r store.Replay) uuid.UUID { return r.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	return intervene(ctx, s, op, replays, (*writeTx).replay)
}

// intervene applies each item in one transaction.
func intervene[T any](ctx context.Context, s *Store, op string, items []T, apply func(*writeTx, context.Context, T) (store.Acted, error)) (acted []store.Acted, err error) {
	err = s.write(ctx, op, func(tx *writeTx) error {
		acted, err = answerEach(ctx, items, func(ctx context.Context, item T) (store.Acted, error) { return apply(tx, ctx, item) })
		return err
	})
	if err != nil {
		return nil, err
	}
	return acted, nil
}

// replay starts a dead notification anew and records who did it. seq goes on
// counting; what the budget and the doubt policy count starts again.
//
// Nothing but a replay leads a dead notification to the next generation, so a
// later generation than the one that was seen dead means that someone did it.
func (t *writeTx) replay(ctx context.Context, r store.Replay) (store.Acted, error) {
	acted, err := t.judge(ctx, r.ID, `
		CASE
			WHEN generation > ?2 THEN 'before'
			WHEN state <> 'dead' OR generation < ?2 THEN 'wrong_state'
			WHEN reason = 'in_doubt' AND NOT ?3 THEN 'in_doubt'
			WHEN NOT ?4 AND (template_id = '' OR user_id = '' AND open_id = '' OR data = '{}') THEN 'no_content'
			ELSE 'done'
		END`, r.Generation, r.Force, r.Content != nil)
	if err != nil || acted.Result != store.ActDone {
		return acted, err
	}
	_, err = t.exec(ctx, `
		UPDATE notifications
		SET state = 'queued', class = '', reason = '', field = '',
			generation = generation + 1, spent = 0, doubts = 0, unsure = 0,
			due_at = ?2, expires_at = ?2 + ?3, wait_until = iif(wait_us > 0, ?2 + min(wait_us, ?3), NULL), handover_at = ?2,
			updated_at = ?2, finished_at = NULL, discarded_at = NULL, data_blanked_at = NULL,
			priority = coalesce(nullif(?4, ''), priority)
		WHERE id = ?1 AND state = 'dead'`, r.ID[:], t.now, r.MaxAge.Microseconds(), r.Priority)
	if err == nil && r.Content != nil {
		err = t.replace(ctx, r.ID, *r.Content)
	}
	if err == nil {
		err = t.note(ctx, acted, store.VerbReplay, r.Actor, r.Detail)
	}
	acted.State, acted.Generation = store.Queued, acted.Generation+1
	return acted, err
}

// replace writes a new content.
func (t *writeTx) replace(ctx context.Context, id uuid.UUID, c store.Content) error {
	data, err := encodeData(c.Data)
	if err != nil {
		return fmt.Errorf("data of notification %s: %w", id, err)
	}
	_, err = t.exec(ctx, `
		UPDATE notifications
		SET template_id = ?2, page = ?3, user_id = ?4, open_id = ?5, data = ?6, payload = x''
		WHERE id = ?1`, id[:], c.TemplateID, c.Page, c.UserID, c.OpenID, data)
	return err
}

// replayMove is the replay of a move. It answers for an earlier try as well.
func (t *writeTx) replayMove(ctx context.Context, m store.Move) (bool, error) {
	acted, err := t.replay(ctx, store.Replay{
		ID: m.ID, Generation: m.Generation, MaxAge: m.MaxAge, Force: true, Actor: store.ActorAsynqmon,
	})
	done := acted.Result == store.ActDone || acted.Result == store.ActBefore && acted.Generation == m.Generation+1
	return done, err
}

// judge reads a row and what an expression makes of it; ?1 is the id.
func (t *writeTx) judge(ctx context.Context, id uuid.UUID, result string, args ...any) (store.Acted, error) {
	a := store.Acted{ID: id}
	err := t.row(ctx, `SELECT `+result+`, state, generation, reason, errcode FROM notifications WHERE id = ?1`,
		append([]any{id[:]}, args...), []any{&a.Result, &a.State, &a.Generation, &a.Reason, &a.Errcode})
	if errors.Is(err, sql.ErrNoRows) {
		return store.Acted{ID: id, Result: store.ActNotFound}, nil
	}
	return a, err
}

// note writes down what someone does to a notification, whose state before it
// is a.
func (t *writeTx) note(ctx context.Context, a store.Acted, verb store.Verb, actor, detail string) error {
	_, err := t.exec(ctx, `
		INSERT INTO actions (notification_id, generation, verb, at, actor, reason, errcode, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, a.ID[:], a.Generation, verb, t.now, actor, a.Reason, a.Errcode, detail)
	return err
}
