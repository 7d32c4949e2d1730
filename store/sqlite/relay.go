package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// ExpireLeases puts in doubt what is being sent although its lease is over: its
// owner fell silent and nobody knows how far it came. The doubt is due at the
// end of the lease plus wait, or plus store.NoPushWait where no receipt is to
// be expected, and not within the shorter of the two from now: an owner that
// has an answer and could not write it while the database was away does so in
// the moment after, and must not be too late. It takes at most limit rows and
// returns how many.
func (s *Store) ExpireLeases(ctx context.Context, wait time.Duration, limit int) (n int, err error) {
	const late = `FROM notifications WHERE state = 'sending' AND lease_until <= ?1 ORDER BY lease_until, id LIMIT ?2`
	err = s.write(ctx, "expire leases", func(tx *writeTx) error {
		// While a row is being sent nothing but its claim has updated it, so
		// updated_at is about when the attempt began.
		_, err := tx.exec(ctx, `
			INSERT INTO attempts (notification_id, n, at, latency_us, errcode, errmsg, rid, msg_id, outcome)
			SELECT id, seq, updated_at, 0, 0, 'no answer before the lease was over', '', 0, 'in_doubt' `+late, tx.now, limit)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `
			UPDATE consents
			SET touches = touches + e.n, updated_at = ?1
			FROM (SELECT app, address, template_id, count(*) AS n FROM (SELECT app, address, template_id `+late+`) GROUP BY 1, 2, 3) AS e
			WHERE consents.app = e.app AND consents.open_id = e.address AND consents.template_id = e.template_id`, tx.now, limit)
		if err != nil {
			return err
		}
		n, err = tx.exec(ctx, `
			UPDATE notifications AS n
			SET state = 'in_doubt', owner = NULL, lease_until = NULL, updated_at = ?1,
				errcode = 0, errmsg = 'no answer before the lease was over', doubts = doubts + 1,
				due_at = max(?1 + min(?3, ?5), lease_until + CASE
					WHEN EXISTS (SELECT 1 FROM app_pushes p WHERE p.app = n.app AND p.pushed_at > ?1 - ?4) THEN ?3
					ELSE min(?3, ?5) END)
			WHERE id IN (SELECT id `+late+`)`,
			tx.now, limit, wait.Microseconds(), store.NoPushWindow.Microseconds(), store.NoPushWait.Microseconds())
		return err
	})
	return n, err
}

// ResolveDoubts ends doubts that are due. A first doubt under the policy allow
// is sent again, as a new delivery, if there is still time; every other one
// dies with reason in_doubt. It takes at most limit rows. Those that a receipt
// settles are sent, and counted in neither.
func (s *Store) ResolveDoubts(ctx context.Context, limit int) (requeued, dead int, err error) {
	const again = `duplicates = 'allow' AND doubts = 1 AND expires_at > ?1`
	err = s.write(ctx, "resolve doubts", func(tx *writeTx) error {
		if err := tx.settleByReceipts(ctx, limit); err != nil {
			return err
		}
		return tx.rows(ctx, `
			UPDATE notifications
			SET state = iif(`+again+`, 'queued', 'dead'),
				class = iif(`+again+`, '', 'fault'),
				reason = iif(`+again+`, '', 'in_doubt'),
				generation = generation + (`+again+`),
				handover_at = iif(`+again+`, due_at, NULL),
				finished_at = iif(`+again+`, NULL, ?1),
				updated_at = ?1
			WHERE id IN (SELECT id FROM notifications WHERE state = 'in_doubt' AND due_at <= ?1 ORDER BY due_at LIMIT ?2)
			RETURNING state = 'queued'`, []any{tx.now, limit}, func(rows *sql.Rows) error {
			var queued bool
			if err := rows.Scan(&queued); err != nil {
				return err
			}
			if queued {
				requeued++
			} else {
				dead++
			}
			return nil
		})
	})
	if err != nil {
		return 0, 0, err
	}
	return requeued, dead, nil
}

// ExpireOverdue ends what was not sent in time: too_old, or with the reason it
// was waiting for. It takes at most limit rows and returns how many.
func (s *Store) ExpireOverdue(ctx context.Context, limit int) (n int, err error) {
	err = s.write(ctx, "expire overdue notifications", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			UPDATE notifications
			SET state = 'expired', reason = iif(state = 'waiting', reason, 'too_old'),
				handover_at = NULL, finished_at = ?1, updated_at = ?1
			WHERE id IN (
				SELECT id
				FROM notifications
				WHERE state IN ('queued', 'retrying', 'waiting') AND expires_at <= ?1
				ORDER BY expires_at
				LIMIT ?2)
			OR id IN (
				SELECT id
				FROM notifications
				WHERE state = 'waiting' AND handover_at IS NULL AND reason IN ('unbound', 'no_consent') AND wait_until <= ?1
				ORDER BY wait_until
				LIMIT ?2)`, tx.now, limit)
		return err
	})
	return n, err
}

// Pushed notes that WeChat's verified push came for the app, so that a doubt
// waits for a receipt. A note less than a minute old is left as it is: pushes
// come as often as messages, and the window is days.
func (s *Store) Pushed(ctx context.Context, app string) error {
	return s.write(ctx, "note push", func(tx *writeTx) error {
		_, err := tx.exec(ctx, `
			INSERT INTO app_pushes (app, pushed_at)
			VALUES (?1, ?2)
			ON CONFLICT (app) DO UPDATE
			SET pushed_at = excluded.pushed_at
			WHERE pushed_at < excluded.pushed_at - 60000000`, app, tx.now)
		return err
	})
}

// LastPushes returns when each app's last verified push came, to the minute.
func (s *Store) LastPushes(ctx context.Context) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	err := s.query(ctx, "read the times of pushes", `SELECT app, pushed_at FROM app_pushes`, nil, func(rows *sql.Rows) error {
		var (
			app string
			at  int64
		)
		err := rows.Scan(&app, &at)
		last[app] = instant(at)
		return err
	})
	return last, err
}

// Mark returns the mark that must also be in Redis; store.ErrNotFound before
// the first SetMark.
func (s *Store) Mark(ctx context.Context) (store.Mark, error) {
	var m store.Mark
	err := s.reader.QueryRowContext(ctx, `SELECT id, counter FROM relay_marks`).Scan(&m.ID, &m.Counter)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	return m, s.wrap("read mark", err)
}

// SetMark replaces the mark.
func (s *Store) SetMark(ctx context.Context, m store.Mark) error {
	return s.write(ctx, "write mark", func(tx *writeTx) error {
		_, err := tx.exec(ctx, `
			INSERT INTO relay_marks (single, id, counter)
			VALUES (1, ?1, ?2)
			ON CONFLICT (single) DO UPDATE
			SET id = excluded.id, counter = excluded.counter`, m.ID[:], m.Counter)
		return err
	})
}
