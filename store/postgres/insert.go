package postgres

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// insertSQL inserts what does not exist yet, by id or by ref. A ref that occurs
// twice is taken by the first of them; ordering by ref keeps two processes that
// hand in the same refs from waiting for each other in a circle.
const insertSQL = `
	INSERT INTO notifications (
		id, app, producer, ref, content_hash, template_id, page, user_id, open_id, data,
		lang, miniprogram_state, priority, duplicates, payload, queue,
		state, class, reason, errcode, errmsg, field, receipt, generation, webhook,
		wait_us, no_consent, release_order,
		due_at, expires_at, wait_until, handover_at, created_at, updated_at, finished_at)
	SELECT
		id, app, producer, ref, content_hash, template_id, page, user_id, open_id, data::json,
		lang, miniprogram_state, priority, duplicates, payload, queue,
		state, class, reason, errcode, errmsg, field, receipt, generation, webhook,
		wait, no_consent, release_order,
		due.at, ends.at,
		CASE WHEN wait > 0 THEN least(due.at + wait * interval '1 microsecond', ends.at) END,
		CASE WHEN state = 'queued' THEN due.at + handover_in * interval '1 microsecond' END,
		now(), now(),
		CASE WHEN state IN ('dead', 'expired', 'cancelled') THEN now() END
	FROM unnest(
		(SELECT $1::uuid[]), $2::text[], $3::text[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
		$11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::text[],
		$17::text[], $18::text[], $19::text[], $20::int[], $21::text[], $22::text[], $23::text[], $24::int[],
		$25::timestamptz[], $26::bigint[], $27::timestamptz[], $28::bigint[], $29::bigint[], $30::smallint[],
		$31::bigint[], $32::text[], $33::text[]
	) WITH ORDINALITY AS a (
		id, app, producer, ref, content_hash, template_id, page, user_id, open_id, data,
		lang, miniprogram_state, priority, duplicates, payload, queue,
		state, class, reason, errcode, errmsg, field, receipt, generation,
		due_at, delay, expires_at, max_age, handover_in, webhook,
		wait, no_consent, release_order, place)
	CROSS JOIN LATERAL (SELECT coalesce(a.due_at, now() + a.delay * interval '1 microsecond')) AS due (at)
	CROSS JOIN LATERAL (SELECT coalesce(a.expires_at, due.at + a.max_age * interval '1 microsecond')) AS ends (at)
	ORDER BY producer, ref, place
	ON CONFLICT DO NOTHING`

// insertedSQL finds for each acceptance the row with its id, and that with its
// ref.
const insertedSQL = `
	WITH a AS (SELECT * FROM unnest((SELECT $1::uuid[]), $2::text[], $3::text[]) WITH ORDINALITY AS a (id, producer, ref, place))
	SELECT a.place, n.id, n.state, n.content_hash
	FROM a
	JOIN notifications n ON n.id = a.id
	UNION ALL
	SELECT a.place, n.id, n.state, n.content_hash
	FROM a
	JOIN notifications n ON n.producer = a.producer AND n.ref = a.ref AND n.ref <> ''
	WHERE a.ref <> '' AND n.id <> a.id`

// Insert accepts notifications in one statement and answers each of them, in
// the order of the slice. It can be repeated: a row that is there with the same
// id and content is answered as inserted.
func (s *Store) Insert(ctx context.Context, acceptances []store.Acceptance) ([]store.Inserted, error) {
	if len(acceptances) == 0 {
		return nil, nil
	}
	columns, err := acceptanceColumns(acceptances)
	if err != nil {
		return nil, fmt.Errorf("insert notifications: %w", err)
	}
	tag, err := s.pool.Exec(ctx, insertSQL, columns.args()...)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	if int(tag.RowsAffected()) == len(acceptances) {
		return columns.inserted(), nil
	}
	// Some were there before: their rows are looked at.
	rows, err := s.pool.Query(ctx, insertedSQL, columns.id, columns.producer, columns.ref)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	found, err := pgx.CollectRows(rows, scanTaken)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	return answers(acceptances, found)
}

// Adopt inserts a notification unless its id exists, and looks at it. Its state
// may be final, when the task itself shows that it can never be sent.
func (s *Store) Adopt(ctx context.Context, a store.Acceptance) (store.Look, error) {
	columns, err := acceptanceColumns([]store.Acceptance{a})
	if err != nil {
		return store.Look{}, fmt.Errorf("adopt notification: %w", err)
	}
	var (
		b     pgx.Batch
		looks []store.Look
	)
	b.Queue(insertSQL, columns.args()...)
	b.Queue(lookSQL, columns.id).Query(func(rows pgx.Rows) error {
		return eachLook(rows, func(l store.Look) { looks = append(looks, l) })
	})
	if err := s.run(ctx, &b); err != nil {
		return store.Look{}, wrap("adopt notification", err)
	}
	if len(looks) == 0 { // not inserted, and not by its id: the ref is taken
		return store.Look{}, fmt.Errorf("adopt notification %s: %w", a.Notification.ID, store.ErrConflict)
	}
	return looks[0], nil
}

// taken is a row that holds the id or the ref of the acceptance at place.
type taken struct {
	place int
	id    uuid.UUID
	state store.State
	hash  []byte
}

func scanTaken(row pgx.CollectableRow) (taken, error) {
	var (
		t     taken
		place int64
		id    [16]byte
	)
	err := row.Scan(&place, &id, (*string)(&t.state), &t.hash)
	t.place, t.id = int(place)-1, id
	return t, err
}

// answers decides what became of each acceptance. A row with its id goes before
// one with its ref.
func answers(acceptances []store.Acceptance, found []taken) ([]store.Inserted, error) {
	inserted := make([]store.Inserted, len(acceptances))
	for _, t := range found {
		n := acceptances[t.place].Notification
		same := bytes.Equal(t.hash, n.ContentHash)
		answer := &inserted[t.place]
		switch {
		case t.id == n.ID && same:
			*answer = store.Inserted{ID: t.id, State: t.state}
		case answer.ID == n.ID: // answered by id
		case same:
			*answer = store.Inserted{ID: t.id, State: t.state, Duplicate: true}
		default:
			*answer = store.Inserted{ID: t.id, State: t.state, Err: store.ErrConflict}
		}
	}
	for i := range inserted {
		if inserted[i].ID == uuid.Nil {
			// The row in the way was purged between the two statements.
			return nil, fmt.Errorf("insert notifications: %w: a row changed meanwhile", store.ErrUnavailable)
		}
	}
	return inserted, nil
}

// columns are acceptances as arrays for unnest.
type columns struct {
	id                                                     [][16]byte
	app, producer, ref, template, page, user, openID, data []string
	hash, payload                                          [][]byte
	lang, miniprogram, priority, duplicates, queue         []string
	state, class, reason, errmsg, field, receipt           []string
	errcode, generation                                    []int
	webhook                                                []store.WebhookSet
	due, expires                                           []*time.Time
	delay, maxAge, handoverIn, wait                        []int64
	noConsent, releaseOrder                                []string
}

func acceptanceColumns(acceptances []store.Acceptance) (*columns, error) {
	c := new(columns)
	for i, a := range acceptances {
		a, err := a.Filled()
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		n := a.Notification
		data, err := encodeData(n.Data)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, errData)
		}
		c.id = append(c.id, n.ID)
		c.app, c.producer, c.ref = append(c.app, n.App), append(c.producer, n.Producer), append(c.ref, n.Ref)
		c.hash, c.payload = append(c.hash, notNil(n.ContentHash)), append(c.payload, notNil(n.Payload))
		c.template, c.page = append(c.template, n.TemplateID), append(c.page, n.Page)
		c.user, c.openID, c.data = append(c.user, n.UserID), append(c.openID, n.OpenID), append(c.data, data)
		c.lang, c.miniprogram = append(c.lang, n.Lang), append(c.miniprogram, n.MiniprogramState)
		c.priority, c.duplicates = append(c.priority, string(n.Priority)), append(c.duplicates, string(n.Duplicates))
		c.queue, c.receipt = append(c.queue, n.Queue), append(c.receipt, string(n.Receipt))
		c.state, c.class, c.reason = append(c.state, string(n.State)), append(c.class, string(n.Class)), append(c.reason, string(n.Reason))
		c.errcode, c.errmsg, c.field = append(c.errcode, n.Errcode), append(c.errmsg, n.Errmsg), append(c.field, n.Field)
		c.generation = append(c.generation, n.Generation)
		c.due, c.expires = append(c.due, nullTime(n.DueAt)), append(c.expires, nullTime(n.ExpiresAt))
		c.delay, c.maxAge = append(c.delay, a.Delay.Microseconds()), append(c.maxAge, a.MaxAge.Microseconds())
		c.handoverIn, c.webhook = append(c.handoverIn, a.HandoverIn.Microseconds()), append(c.webhook, a.Webhook)
		c.wait, c.noConsent = append(c.wait, n.Wait.Microseconds()), append(c.noConsent, string(n.NoConsent))
		c.releaseOrder = append(c.releaseOrder, string(n.ReleaseOrder))
	}
	return c, nil
}

// inserted answers acceptances of which none was there before.
func (c *columns) inserted() []store.Inserted {
	inserted := make([]store.Inserted, len(c.id))
	for i, id := range c.id {
		inserted[i] = store.Inserted{ID: id, State: store.State(c.state[i])}
	}
	return inserted
}

// args are the arguments of insertSQL.
func (c *columns) args() []any {
	return []any{
		c.id, c.app, c.producer, c.ref, c.hash, c.template, c.page, c.user, c.openID, c.data,
		c.lang, c.miniprogram, c.priority, c.duplicates, c.payload, c.queue,
		c.state, c.class, c.reason, c.errcode, c.errmsg, c.field, c.receipt, c.generation,
		c.due, c.delay, c.expires, c.maxAge, c.handoverIn, c.webhook,
		c.wait, c.noConsent, c.releaseOrder,
	}
}

// notNil is b as a value that is not NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
