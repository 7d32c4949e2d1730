package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// replaySQL starts dead notifications anew, records who did it, and answers each
// item with what became of it, in no order. seq goes on counting; what the budget
// and the doubt policy count starts again. The rows must be locked before: the
// judgement and the change are of one snapshot.
//
// Nothing but a replay leads a dead notification to the next generation, so a
// later generation than the one that was seen dead means that someone did it.
const replaySQL = `
	WITH found AS MATERIALIZED (
		SELECT r.*, n.generation AS was_generation, n.state AS was, n.reason AS was_reason, n.errcode AS was_errcode,
			CASE
				WHEN n.generation > r.generation THEN 'before'
				WHEN n.state <> 'dead' OR n.generation < r.generation THEN 'wrong_state'
				WHEN n.reason = 'in_doubt' AND NOT r.force THEN 'in_doubt'
				WHEN r.data IS NULL AND (n.template_id = '' OR n.user_id = '' AND n.open_id = '' OR n.data::text = '{}')
					THEN 'no_content'
				ELSE 'done'
			END AS result
		FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::bool[], $5::text[], $6::text[],
			$7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]) WITH ORDINALITY
			AS r (id, generation, max_age, force, actor, detail, template_id, page, user_id, open_id, data, priority, place)
		JOIN notifications n ON n.id = r.id
	), replayed AS (
		UPDATE notifications n
		SET state = 'queued', class = '', reason = '', field = '',
			generation = n.generation + 1, spent = 0, doubts = 0, unsure = 0,
			template_id = coalesce(f.template_id, n.template_id), page = coalesce(f.page, n.page),
			user_id = coalesce(f.user_id, n.user_id), open_id = coalesce(f.open_id, n.open_id),
			data = coalesce(f.data::json, n.data),
			payload = CASE WHEN f.data IS NULL THEN n.payload ELSE '' END,
			priority = coalesce(nullif(f.priority, ''), n.priority),
			due_at = now(), expires_at = now() + f.max_age * interval '1 microsecond', handover_at = now(),
			wait_until = CASE WHEN n.wait_us > 0 THEN now() + least(n.wait_us, f.max_age) * interval '1 microsecond' END,
			updated_at = now(), finished_at = NULL, discarded_at = NULL, data_blanked_at = NULL
		FROM found f
		WHERE n.id = f.id AND f.result = 'done'
	), recorded AS (
		INSERT INTO actions (notification_id, generation, verb, at, actor, reason, errcode, detail)
		SELECT id, generation, 'replay', now(), actor, was_reason, was_errcode, detail
		FROM found
		WHERE result = 'done'
	)
	SELECT place, result,
		CASE result WHEN 'done' THEN 'queued' ELSE was END,
		was_generation + (result = 'done')::int,
		was_reason, was_errcode
	FROM found`

// replayColumns are replays as arrays for unnest. What an item leaves as it is
// is null.
type replayColumns struct {
	id                                     [][16]byte
	generation                             []int
	maxAge                                 []int64
	force                                  []bool
	actor, detail, priority                []string
	templateID, page, userID, openID, data []*string
}

func (c *replayColumns) add(r store.Replay) error {
	c.id, c.generation = append(c.id, r.ID), append(c.generation, r.Generation)
	c.maxAge, c.force = append(c.maxAge, r.MaxAge.Microseconds()), append(c.force, r.Force)
	c.actor, c.detail = append(c.actor, r.Actor), append(c.detail, r.Detail)
	c.priority = append(c.priority, string(r.Priority))
	var templateID, page, userID, openID, data *string
	if content := r.Content; content != nil {
		text, err := encodeData(content.Data)
		if err != nil {
			return fmt.Errorf("data of notification %s: %w", r.ID, err)
		}
		templateID, page, data = &content.TemplateID, &content.Page, &text
		userID, openID = &content.UserID, &content.OpenID
	}
	c.templateID, c.page, c.data = append(c.templateID, templateID), append(c.page, page), append(c.data, data)
	c.userID, c.openID = append(c.userID, userID), append(c.openID, openID)
	return nil
}

// addMove adds the replay of a move, which has no content that could be at fault.
func (c *replayColumns) addMove(m store.Move) {
	_ = c.add(store.Replay{ID: m.ID, Generation: m.Generation, MaxAge: m.MaxAge, Force: true, Actor: store.ActorAsynqmon})
}

func (c *replayColumns) args() []any {
	return []any{
		c.id, c.generation, c.maxAge, c.force, c.actor, c.detail,
		c.templateID, c.page, c.userID, c.openID, c.data, c.priority,
	}
}

// Replay starts dead notifications anew, in one transaction, and answers each, in
// the order of the slice.
func (s *Store) Replay(ctx context.Context, replays []store.Replay) ([]store.Acted, error) {
	const op = "replay notifications"
	if err := store.CheckInterventions(replays, func(r store.Replay) uuid.UUID { return r.ID }); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	var c replayColumns
	for _, r := range replays {
		if err := c.add(r); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
	}
	return s.intervene(ctx, op, c.id, replaySQL, c.args())
}

// intervene locks the rows, runs the statement, and answers each id. A row that
// the statement does not answer does not exist.
func (s *Store) intervene(ctx context.Context, op string, ids [][16]byte, statement string, args []any) ([]store.Acted, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	acted := make([]store.Acted, len(ids))
	for i, id := range ids {
		acted[i] = store.Acted{ID: id, Result: store.ActNotFound}
	}
	var b pgx.Batch
	b.Queue(lockSQL, ids)
	b.Queue(statement, args...).Query(func(rows pgx.Rows) error {
		var (
			place int64
			a     store.Acted
		)
		fields := []any{&place, (*string)(&a.Result), (*string)(&a.State), &a.Generation, (*string)(&a.Reason), &a.Errcode}
		_, err := pgx.ForEachRow(rows, fields, func() error {
			a.ID = ids[place-1]
			acted[place-1] = a
			return nil
		})
		return err
	})
	if err := s.run(ctx, &b); err != nil {
		return nil, wrap(op, err)
	}
	return acted, nil
}
