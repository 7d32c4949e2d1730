package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wxnotify/wxnotify/store"
)

// releaseOneSQL queues the notification that waits for the consent of $2 and may
// go first: the newest of the highest priority, or the oldest of that priority if
// the newest says so. Each is one step into an index; the row is then found by its
// id alone, as in claimSQL. What somebody else holds at
// this moment does not wait for long, or WakeWaiting finds it.
const releaseOneSQL = `
	WITH newest AS (
		SELECT n.id, n.priority, n.release_order
		FROM (VALUES (1, 'critical'), (2, 'default'), (3, 'low')) AS p (rank, priority)
		CROSS JOIN LATERAL (
			SELECT id, priority, release_order
			FROM notifications
			WHERE app = $1 AND address = $2 AND template_id = $3 AND priority = p.priority
				AND state = 'waiting' AND reason = 'no_consent'
				AND expires_at > now() AND (wait_until IS NULL OR wait_until > now())
			ORDER BY created_at DESC, id DESC
			LIMIT 1
		) AS n
		ORDER BY p.rank
		LIMIT 1
	), chosen AS (
		SELECT CASE newest.release_order WHEN 'oldest' THEN oldest.id ELSE newest.id END AS id
		FROM newest
		CROSS JOIN LATERAL (
			SELECT id
			FROM notifications
			WHERE app = $1 AND address = $2 AND template_id = $3 AND priority = newest.priority
				AND state = 'waiting' AND reason = 'no_consent'
				AND expires_at > now() AND (wait_until IS NULL OR wait_until > now())
			ORDER BY created_at, id
			LIMIT 1
		) AS oldest
	), woken AS MATERIALIZED (
		SELECT id, state, reason
		FROM notifications
		WHERE id = (SELECT id FROM chosen)
		FOR NO KEY UPDATE SKIP LOCKED
	)
	UPDATE notifications n
	SET ` + wakeSQL + `
	FROM woken
	WHERE n.id = woken.id AND woken.state = 'waiting' AND woken.reason = 'no_consent'`

// releaseAllSQL queues at most $4 notifications that wait for the consent of $2.
const releaseAllSQL = `
	WITH woken AS (
		SELECT id
		FROM notifications
		WHERE app = $1 AND address = $2 AND template_id = $3 AND state = 'waiting' AND reason = 'no_consent'
			AND expires_at > now() AND (wait_until IS NULL OR wait_until > now())
		LIMIT $4
		FOR NO KEY UPDATE SKIP LOCKED
	)
	UPDATE notifications n
	SET ` + wakeSQL + `
	FROM woken
	WHERE n.id = woken.id`

// queueRelease lets go what an event allows; released grows by how many.
func queueRelease(b *pgx.Batch, c store.Consent, release int, released *int) {
	if release == 0 {
		return
	}
	sql, args := releaseOneSQL, []any{c.App, c.OpenID, c.TemplateID}
	if release == store.ReleaseAll {
		sql, args = releaseAllSQL, append(args, store.ReleasePage)
	}
	b.Queue(sql, args...).Exec(func(tag pgconn.CommandTag) error {
		*released += int(tag.RowsAffected())
		return nil
	})
}

// releaseRest lets go what waits for a long-term consent, page by page, each in a
// transaction of its own.
func (s *Store) releaseRest(ctx context.Context, r *store.ConsentRecorded) error {
	for n := store.ReleasePage; n >= store.ReleasePage; {
		tag, err := s.pool.Exec(ctx, releaseAllSQL, r.Consent.App, r.Consent.OpenID, r.Consent.TemplateID, store.ReleasePage)
		if err != nil {
			return classify(err)
		}
		n = int(tag.RowsAffected())
		r.Released += n
	}
	return nil
}

// WakeWaiting is the net below those who end a wait: it looks at a page of at most
// limit waiting notifications whose id is greater than after, in the order of their
// ids, and queues what waits for nothing any more. For a consent it is one for each
// entry that is not empty, and only when nothing has touched the entry for grace:
// what was let go before may be about to use it. next is where to go on, and seen
// less than limit means that this was the end.
func (s *Store) WakeWaiting(ctx context.Context, after uuid.UUID, grace time.Duration, limit int) (next uuid.UUID, seen, woken int, err error) {
	const op = "wake what waits"
	type pair struct{ app, address, templateID string }
	var (
		b     pgx.Batch
		free  [][16]byte
		pairs []pair
	)
	next = after
	b.Queue(wakeableSQL, [16]byte(after), limit, grace.Microseconds()).Query(func(rows pgx.Rows) error {
		var (
			id     [16]byte
			reason string
			p      pair
			over   bool
		)
		_, err := pgx.ForEachRow(rows, []any{&id, &reason, &p.app, &p.address, &p.templateID, &over}, func() error {
			next, seen = id, seen+1
			switch {
			case !over:
			case store.Reason(reason) == store.ReasonNoConsent:
				pairs = append(pairs, p)
			default:
				free = append(free, id)
			}
			return nil
		})
		return err
	})
	if err := s.run(ctx, &b); err != nil {
		return after, 0, 0, wrap(op, err)
	}
	b = pgx.Batch{}
	count := func(tag pgconn.CommandTag) error {
		woken += int(tag.RowsAffected())
		return nil
	}
	if len(free) > 0 {
		b.Queue(wakeFreeSQL, free).Exec(count)
	}
	done := map[pair]bool{}
	for _, p := range pairs {
		if !done[p] {
			done[p] = true
			b.Queue(releaseOneSQL, p.app, p.address, p.templateID).Exec(count)
		}
	}
	if b.Len() > 0 {
		if err := s.run(ctx, &b); err != nil {
			return after, 0, 0, wrap(op, err)
		}
	}
	return next, seen, woken, nil
}

// overSQL tells whether what the notification n waits for is there; $3 is a grace
// in microseconds.
const overSQL = `
			CASE n.reason
				WHEN 'unbound' THEN EXISTS (SELECT FROM bindings b WHERE b.app = n.app AND b.user_id = n.user_id)
				WHEN 'template_paused' THEN NOT EXISTS (SELECT FROM template_pauses p
					WHERE p.app = n.app AND p.template_id = n.template_id)
				WHEN 'no_consent' THEN EXISTS (SELECT FROM consents c
					WHERE c.app = n.app AND c.open_id = n.address AND c.template_id = n.template_id
						AND (c.long_term OR c.balance > 0)
						AND c.updated_at <= now() - $3::bigint * interval '1 microsecond')
				ELSE false
			END`

// wakeableSQL is a page of what waits.
const wakeableSQL = `
	SELECT n.id, n.reason, n.app, n.address, n.template_id,` + overSQL + `
	FROM (
		SELECT id, reason, app, user_id, address, template_id
		FROM notifications
		WHERE state = 'waiting' AND handover_at IS NULL AND id > $1
		ORDER BY id
		LIMIT $2
	) AS n
	ORDER BY n.id`

// wakeFreeSQL queues notifications that wait for nothing any more.
const wakeFreeSQL = `
	WITH woken AS MATERIALIZED (
		SELECT id, state, reason, expires_at, wait_until
		FROM notifications
		WHERE id = ANY($1::uuid[])
		ORDER BY id
		FOR NO KEY UPDATE SKIP LOCKED
	)
	UPDATE notifications n
	SET ` + wakeSQL + `
	FROM woken
	WHERE n.id = woken.id AND woken.state = 'waiting' AND woken.expires_at > now()
		AND (woken.wait_until IS NULL OR woken.wait_until > now() OR woken.reason = 'template_paused')`

// DeleteConsentEvents deletes events that came longer than age ago, at most limit
// of them, and returns how many.
func (s *Store) DeleteConsentEvents(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		DELETE FROM consent_events
		WHERE ctid = ANY (ARRAY(
			SELECT ctid
			FROM consent_events
			WHERE seen_at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY seen_at
			LIMIT $2
			FOR UPDATE SKIP LOCKED))`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap("delete consent events", err)
}
