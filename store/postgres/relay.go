package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// ExpireLeases puts in doubt what is being sent although its lease is over: its
// owner fell silent and nobody knows how far it came. The doubt is due at the
// end of the lease plus wait, or plus store.NoPushWait where no receipt is to
// be expected, and not within the shorter of the two from now: an owner that
// has an answer and could not write it while the database was away does so in
// the moment after, and must not be too late. It takes at most limit rows and
// returns how many.
func (s *Store) ExpireLeases(ctx context.Context, wait time.Duration, limit int) (int, error) {
	// While a row is being sent nothing but its claim has updated it, so
	// updated_at is about when the attempt began.
	tag, err := s.pool.Exec(ctx, `
		WITH late AS (
			SELECT id, seq, app, address, template_id, lease_until, updated_at
			FROM notifications
			WHERE state = 'sending' AND lease_until <= now()
			ORDER BY lease_until
			LIMIT $1
			FOR NO KEY UPDATE SKIP LOCKED
		), recorded AS (
			INSERT INTO attempts (notification_id, n, at, latency_us, errcode, errmsg, rid, msg_id, outcome)
			SELECT id, seq, updated_at, 0, 0, 'no answer before the lease was over', '', 0, 'in_doubt' FROM late
		), ledger AS (
			UPDATE consents c
			SET touches = c.touches + e.n, updated_at = now()
			FROM (SELECT app, address, template_id, count(*) AS n FROM late GROUP BY app, address, template_id) AS e
			WHERE c.app = e.app AND c.open_id = e.address AND c.template_id = e.template_id
		)
		UPDATE notifications n
		SET state = 'in_doubt', owner = NULL, lease_until = NULL, updated_at = now(),
			errcode = 0, errmsg = 'no answer before the lease was over', doubts = n.doubts + 1,
			due_at = greatest(
				now() + interval '1 microsecond' * least($2::bigint, $4::bigint),
				late.lease_until + interval '1 microsecond' * CASE
					WHEN EXISTS (SELECT FROM app_pushes p
						WHERE p.app = late.app AND p.pushed_at > now() - $3::bigint * interval '1 microsecond')
					THEN $2::bigint
					ELSE least($2::bigint, $4::bigint) END)
		FROM late
		WHERE n.id = late.id`,
		limit, wait.Microseconds(), store.NoPushWindow.Microseconds(), store.NoPushWait.Microseconds())
	return int(tag.RowsAffected()), wrap("expire leases", err)
}

// ResolveDoubts ends doubts that are due. A first doubt under the policy allow
// is sent again, as a new delivery, if there is still time; every other one
// dies with reason in_doubt. It takes at most limit rows. Those that a receipt
// settles are sent, and counted in neither.
func (s *Store) ResolveDoubts(ctx context.Context, limit int) (requeued, dead int, err error) {
	if err := s.settleByReceipts(ctx, limit); err != nil {
		return 0, 0, wrap("resolve doubts", err)
	}
	err = s.pool.QueryRow(ctx, `
		WITH due AS (
			SELECT id, duplicates = 'allow' AND doubts = 1 AND expires_at > now() AS again
			FROM notifications
			WHERE state = 'in_doubt' AND due_at <= now()
			ORDER BY due_at
			LIMIT $1
			FOR NO KEY UPDATE SKIP LOCKED
		), resolved AS (
			UPDATE notifications n
			SET state = CASE WHEN again THEN 'queued' ELSE 'dead' END,
				class = CASE WHEN again THEN '' ELSE 'fault' END,
				reason = CASE WHEN again THEN '' ELSE 'in_doubt' END,
				generation = n.generation + again::int,
				handover_at = CASE WHEN again THEN n.due_at END,
				finished_at = CASE WHEN again THEN NULL ELSE now() END,
				updated_at = now()
			FROM due
			WHERE n.id = due.id
			RETURNING again
		)
		SELECT count(*) FILTER (WHERE again), count(*) FILTER (WHERE NOT again) FROM resolved`, limit).Scan(&requeued, &dead)
	return requeued, dead, wrap("resolve doubts", err)
}

// ExpireOverdue ends what was not sent in time: too_old, or with the reason it
// was waiting for. It takes at most limit rows and returns how many.
func (s *Store) ExpireOverdue(ctx context.Context, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH late AS (
			SELECT id
			FROM notifications
			WHERE state IN ('queued', 'retrying', 'waiting') AND expires_at <= now()
			ORDER BY expires_at
			LIMIT $1
			FOR NO KEY UPDATE SKIP LOCKED
		), waited AS (
			SELECT id
			FROM notifications
			WHERE state = 'waiting' AND handover_at IS NULL AND reason IN ('unbound', 'no_consent') AND wait_until <= now()
			ORDER BY wait_until
			LIMIT $1
			FOR NO KEY UPDATE SKIP LOCKED
		), overdue AS (
			SELECT id FROM late
			UNION
			SELECT id FROM waited
			LIMIT $1
		)
		UPDATE notifications n
		SET state = 'expired', reason = CASE WHEN n.state = 'waiting' THEN n.reason ELSE 'too_old' END,
			handover_at = NULL, finished_at = now(), updated_at = now()
		FROM overdue
		WHERE n.id = overdue.id`, limit)
	return int(tag.RowsAffected()), wrap("expire overdue notifications", err)
}

// Pushed notes that WeChat's verified push came for the app, so that a doubt
// waits for a receipt. A note less than a minute old is left as it is: pushes
// come as often as messages, and the window is days.
func (s *Store) Pushed(ctx context.Context, app string) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO app_pushes AS p (app, pushed_at)
		VALUES ($1, now())
		ON CONFLICT (app) DO UPDATE
		SET pushed_at = excluded.pushed_at
		WHERE p.pushed_at < excluded.pushed_at - interval '1 minute'`, app)
	return wrap("note push", err)
}

// LastPushes returns when each app's last verified push came, to the minute.
func (s *Store) LastPushes(ctx context.Context) (map[string]time.Time, error) {
	rows, err := s.pool.Query(ctx, `SELECT app, pushed_at FROM app_pushes`)
	if err != nil {
		return nil, wrap("read the times of pushes", err)
	}
	last := map[string]time.Time{}
	var (
		app string
		at  time.Time
	)
	_, err = pgx.ForEachRow(rows, []any{&app, &at}, func() error {
		last[app] = at.UTC()
		return nil
	})
	return last, wrap("read the times of pushes", err)
}

// Mark returns the mark that must also be in Redis; store.ErrNotFound before
// the first SetMark.
func (s *Store) Mark(ctx context.Context) (store.Mark, error) {
	var (
		m  store.Mark
		id [16]byte
	)
	err := s.pool.QueryRow(ctx, `SELECT id, counter FROM relay_marks`).Scan(&id, &m.Counter)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNotFound
	}
	m.ID = id
	return m, wrap("read mark", err)
}

// SetMark replaces the mark.
func (s *Store) SetMark(ctx context.Context, m store.Mark) error {
	_, err := s.pool.Exec(ctx, `
		INSERT INTO relay_marks (id, counter)
		VALUES ($1, $2)
		ON CONFLICT (single) DO UPDATE
		SET id = excluded.id, counter = excluded.counter`, [16]byte(m.ID), m.Counter)
	return wrap("write mark", err)
}
