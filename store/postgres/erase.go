package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wxnotify/wxnotify/store"
)

// Addresses returns the openids of a user in apps, or in all for nil: those
// bound to the user, and those that messages of the user went to and that nobody
// else has now.
func (s *Store) Addresses(ctx context.Context, userID string, apps []string) ([]store.Address, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT app, open_id
		FROM bindings
		WHERE user_id = $1 AND ($2::text[] IS NULL OR app = ANY($2))
		UNION
		SELECT n.app, n.address
		FROM notifications n
		WHERE n.user_id = $1 AND n.user_id <> '' AND n.address <> '' AND ($2::text[] IS NULL OR n.app = ANY($2))
			AND NOT EXISTS (SELECT FROM bindings b WHERE b.app = n.app AND b.open_id = n.address AND b.user_id <> $1)
		ORDER BY 1, 2`, userID, apps)
	if err != nil {
		return nil, wrap("list addresses", err)
	}
	addresses, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a store.Address, err error) {
		return a, row.Scan(&a.App, &a.OpenID)
	})
	return addresses, wrap("list addresses", err)
}

// ownAddresses are the addresses of an erasure that are not another user's by
// now. $1 is the user, $2 and $3 are apps and openids.
const ownAddresses = `(
		SELECT a.app, a.open_id
		FROM unnest($2::text[], $3::text[]) AS a (app, open_id)
		WHERE NOT EXISTS (SELECT FROM bindings b WHERE b.app = a.app AND b.open_id = a.open_id AND b.user_id <> $1)
	)`

// noteErasuresSQL notes the notifications of a user. Those that could not be
// read have no addressee but in their payload.
const noteErasuresSQL = `
	WITH own AS MATERIALIZED ` + ownAddresses + `, theirs AS MATERIALIZED (
		SELECT n.id
		FROM notifications n
		WHERE n.user_id = $1 AND n.user_id <> '' AND ($4::text[] IS NULL OR n.app = ANY($4))
		UNION
		SELECT n.id
		FROM own
		JOIN notifications n ON n.open_id = own.open_id AND n.open_id <> '' AND n.app = own.app
		UNION
		SELECT n.id
		FROM notifications n
		WHERE n.reason IN ('malformed', 'unknown_type', 'unknown_app') AND n.reason <> '' AND n.payload <> ''
			AND ($4::text[] IS NULL OR n.app = ANY($4))
			AND EXISTS (SELECT FROM unnest($5::text[]) AS m (mark) WHERE position(convert_to(m.mark, 'UTF8') IN n.payload) > 0)
		UNION
		SELECT unnest($6::uuid[])
	), noted AS (
		INSERT INTO erasures (notification_id, since)
		SELECT id, now() FROM theirs ORDER BY id
		ON CONFLICT DO NOTHING
	)
	SELECT id FROM theirs ORDER BY id`

// BeginErasure notes the notifications of a user for EraseRows, unbinds the user
// and deletes what is known of consents, in one transaction.
func (s *Store) BeginErasure(ctx context.Context, e store.Erasure) (store.ErasureBegun, error) {
	const op = "begin erasure"
	if err := e.Check(); err != nil {
		return store.ErasureBegun{}, fmt.Errorf("%s: %w", op, err)
	}
	var begun store.ErasureBegun
	err := untangled(func() (err error) {
		begun, err = s.beginErasure(ctx, e)
		return err
	})
	return begun, wrap(op, err)
}

// untangled repeats what may lock in another order than logins and consents that
// come at the same moment; each time the others have finished.
func untangled(do func() error) error {
	var err error
	for range bindTries {
		if err = do(); !hasCode(err, codeDeadlock, codeSerialization) {
			return err
		}
	}
	return err
}

func (s *Store) beginErasure(ctx context.Context, e store.Erasure) (begun store.ErasureBegun, err error) {
	n := len(e.Addresses)
	apps, openIDs := make([]string, n), make([]string, n)
	for i, a := range e.Addresses {
		apps[i], openIDs[i] = a.App, a.OpenID
	}
	count := func(into *int) func(pgconn.CommandTag) error {
		return func(tag pgconn.CommandTag) error {
			*into += int(tag.RowsAffected())
			return nil
		}
	}
	var b pgx.Batch
	b.Queue(noteErasuresSQL, e.UserID, apps, openIDs, e.Apps, e.Marks(), uuids(e.Raw)).Query(func(rows pgx.Rows) error {
		var err error
		begun.IDs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (uuid.UUID, error) {
			var id [16]byte
			err := row.Scan(&id)
			return id, err
		})
		return err
	})
	for _, step := range []struct {
		sql   string
		count *int
	}{
		{`DELETE FROM consents c USING own WHERE c.app = own.app AND c.open_id = own.open_id`, &begun.Consents},
		{`DELETE FROM consent_events c USING own WHERE c.app = own.app AND c.open_id = own.open_id`, new(int)},
		{`DELETE FROM receipts r USING own
			WHERE r.app = own.app AND r.open_id = own.open_id AND r.notification_id IS NULL`, &begun.Pushes},
		// The key stays, so that the push is known when it comes again.
		{`UPDATE pushes p SET due_at = NULL, body = '' FROM own
			WHERE p.due_at IS NOT NULL AND p.app = own.app AND position(convert_to(own.open_id, 'UTF8') IN p.body) > 0`, &begun.Pushes},
	} {
		b.Queue(`WITH own AS MATERIALIZED `+ownAddresses+` `+step.sql, e.UserID, apps, openIDs).Exec(count(step.count))
	}
	// The binding goes last: until then it tells whose the openids are.
	b.Queue(`DELETE FROM bindings WHERE user_id = $1 AND ($2::text[] IS NULL OR app = ANY($2))`, e.UserID, e.Apps).
		Exec(count(&begun.Unbound))
	if err := s.run(ctx, &b); err != nil {
		return store.ErasureBegun{}, err
	}
	return begun, nil
}

// eraseSQL ends what is open, blanks what has ended, and lets what is being sent
// or in doubt expire, so that nobody sends it again. updated_at of a row that is
// being sent is when its attempt began, and stays.
//
// A doubt that ended as one loses that reason too: a late answer then no longer
// applies, which could open a row that has nothing to send. A dead letter that
// cannot be replayed is nobody's work and leaves the view.
//
// The settlement of what was being sent may have made an entry of the ledger anew,
// and a receipt may have come for it; they go if the openid is nobody's.
const eraseSQL = `
	WITH found AS MATERIALIZED (
		SELECT n.id, n.app, n.address, e.since,
			CASE
				WHEN n.state IN ('sending', 'in_doubt') THEN 'in_flight'
				WHEN n.state IN ('queued', 'retrying', 'waiting') THEN 'cancelled'
				WHEN n.data_blanked_at IS NOT NULL AND n.user_id = '' AND n.open_id = '' AND n.address = '' AND n.errmsg = '' THEN 'before'
				ELSE 'blanked'
			END AS result
		FROM notifications n
		LEFT JOIN erasures e ON e.notification_id = n.id
		WHERE n.id = ANY($1::uuid[])
	), strays AS (
		SELECT DISTINCT f.app, f.address
		FROM found f
		WHERE f.result IN ('cancelled', 'blanked') AND f.address <> ''
			AND NOT EXISTS (SELECT FROM bindings b WHERE b.app = f.app AND b.open_id = f.address)
	), stopped AS (
		UPDATE notifications n
		SET expires_at = least(n.expires_at, now())
		FROM found f
		WHERE n.id = f.id AND f.result = 'in_flight'
	), erased AS (
		UPDATE notifications n
		SET state = CASE f.result WHEN 'cancelled' THEN 'cancelled' ELSE n.state END,
			reason = CASE
				WHEN f.result = 'cancelled' THEN 'erased'
				WHEN n.state = 'dead' AND n.reason = 'in_doubt' THEN 'erased'
				WHEN n.state = 'expired' AND n.finished_at >= f.since THEN 'erased'
				ELSE n.reason
			END,
			user_id = '', open_id = '', address = '', data = '{}', page = split_part(n.page, '?', 1), payload = '', errmsg = '',
			handover_at = NULL, finished_at = coalesce(n.finished_at, now()), updated_at = now(),
			data_blanked_at = coalesce(n.data_blanked_at, now()),
			discarded_at = CASE WHEN n.class = 'fault' THEN coalesce(n.discarded_at, now()) ELSE n.discarded_at END
		FROM found f
		WHERE n.id = f.id AND f.result IN ('cancelled', 'blanked')
	), silenced AS (
		UPDATE attempts a
		SET errmsg = '', rid = ''
		FROM found f
		WHERE a.notification_id = f.id AND f.result IN ('cancelled', 'blanked')
	), forgotten AS (
		DELETE FROM consents c USING strays s WHERE c.app = s.app AND c.open_id = s.address
	), unheard AS (
		DELETE FROM consent_events c USING strays s WHERE c.app = s.app AND c.open_id = s.address
	), unread AS (
		DELETE FROM receipts r USING strays s WHERE r.app = s.app AND r.open_id = s.address AND r.notification_id IS NULL
	), unapplied AS (
		UPDATE pushes p SET due_at = NULL, body = '' FROM strays s
		WHERE p.due_at IS NOT NULL AND p.app = s.app AND position(convert_to(s.address, 'UTF8') IN p.body) > 0
	)
	SELECT id, result FROM found`

// EraseRows erases notifications that BeginErasure noted, as far as their state
// allows, in one transaction, and answers each, in the order of ids.
func (s *Store) EraseRows(ctx context.Context, ids []uuid.UUID) ([]store.ErasedRow, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	results := make(map[uuid.UUID]store.EraseResult, len(ids))
	err := untangled(func() error {
		var b pgx.Batch
		b.Queue(lockSQL, uuids(ids))
		b.Queue(eraseSQL, uuids(ids)).Query(func(rows pgx.Rows) error {
			var (
				id     [16]byte
				result string
			)
			_, err := pgx.ForEachRow(rows, []any{&id, &result}, func() error {
				results[id] = store.EraseResult(result)
				return nil
			})
			return err
		})
		return s.run(ctx, &b)
	})
	if err != nil {
		return nil, wrap("erase notifications", err)
	}
	erased := make([]store.ErasedRow, len(ids))
	for i, id := range ids {
		erased[i] = store.ErasedRow{ID: id, Result: store.EraseNotFound}
		if result, ok := results[id]; ok {
			erased[i].Result = result
		}
	}
	return erased, nil
}

// Erasures returns at most limit notifications whose erasure is not over and
// whose id is greater than after, in the order of their ids.
func (s *Store) Erasures(ctx context.Context, after uuid.UUID, limit int) ([]store.Erasing, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT notification_id, (extract(epoch FROM now() - since) * 1000000)::bigint
		FROM erasures
		WHERE notification_id > $1
		ORDER BY notification_id
		LIMIT $2`, [16]byte(after), limit)
	if err != nil {
		return nil, wrap("list erasures", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Erasing, error) {
		var (
			e   store.Erasing
			age int64
		)
		err := row.Scan((*[16]byte)(&e.ID), &age)
		e.Age = time.Duration(age) * time.Microsecond
		return e, err
	})
	return list, wrap("list erasures", err)
}

// EndErasures strikes notifications from the list of those to erase.
func (s *Store) EndErasures(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, `DELETE FROM erasures WHERE notification_id = ANY($1::uuid[])`, uuids(ids))
	return wrap("end erasures", err)
}
