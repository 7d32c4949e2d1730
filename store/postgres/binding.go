package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// bindTries is how often Bind begins anew when another process binds the same
// user or openid at the same moment; each time that one has finished.
const bindTries = 5

// Bind binds users to openids in one transaction. A user has one openid per
// app and an openid one user: a later bind moves it, and its former user is
// unbound. Where the slice contradicts itself, the last one wins and the others
// are left out. A bound openid is no longer suspect, and what waited for the
// binding, or for the consent of another openid, is queued.
func (s *Store) Bind(ctx context.Context, bindings []store.Binding) (store.Bound, error) {
	for i, b := range bindings {
		if err := b.Check(); err != nil {
			return store.Bound{}, fmt.Errorf("bind users: item %d: %w", i, err)
		}
	}
	bindings = store.LatestBindings(bindings)
	if len(bindings) == 0 {
		return store.Bound{}, nil
	}
	var (
		bound store.Bound
		err   error
	)
	for range bindTries {
		bound, err = s.bind(ctx, bindings)
		if !hasCode(err, codeUniqueViolation, codeDeadlock, codeSerialization) {
			return bound, wrap("bind users", err)
		}
	}
	return store.Bound{}, fmt.Errorf("bind users: %w: %w", store.ErrUnavailable, err)
}

// holdBoundSQL is the other side of holdUsersSQL.
const holdBoundSQL = `
	SELECT pg_advisory_xact_lock_shared(key)
	FROM (
		SELECT DISTINCT ` + bucketSQL + ` AS key
		FROM unnest($1::text[], $2::text[]) AS v (app, user_id)
		ORDER BY 1
	) AS buckets`

// bindingsTable is the bindings to make, as a table.
const bindingsTable = `unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS v (app, user_id, open_id, union_id)`

func (s *Store) bind(ctx context.Context, bindings []store.Binding) (store.Bound, error) {
	n := len(bindings)
	apps, users, openIDs, unionIDs := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, b := range bindings {
		apps[i], users[i], openIDs[i], unionIDs[i] = b.App, b.UserID, b.OpenID, b.UnionID
	}
	args := []any{apps, users, openIDs, unionIDs}

	var (
		batch  pgx.Batch
		before []store.Binding
	)
	// Whoever is about to park a notification for the lack of one of these bindings
	// comes before or after.
	batch.Queue(holdBoundSQL, apps, users)
	// Lock what is there in one order, whatever order the callers have. Each is looked
	// up by itself: in a join the planner would read all bindings in their order
	// rather than sort a handful.
	batch.Queue(`
		WITH k AS MATERIALIZED (
			SELECT v.app, v.user_id
			FROM `+bindingsTable+`
			UNION
			SELECT o.app, o.user_id
			FROM `+bindingsTable+`
			CROSS JOIN LATERAL (
				SELECT b.app, b.user_id FROM bindings b WHERE b.app = v.app AND b.open_id = v.open_id OFFSET 0
			) AS o
			ORDER BY 1, 2
		)
		SELECT b.app, b.user_id, b.open_id
		FROM k
		CROSS JOIN LATERAL (
			SELECT b.app, b.user_id, b.open_id FROM bindings b WHERE b.app = k.app AND b.user_id = k.user_id FOR UPDATE
		) AS b`, args...).Query(func(rows pgx.Rows) error {
		var err error
		before, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b store.Binding, err error) {
			return b, row.Scan(&b.App, &b.UserID, &b.OpenID)
		})
		return err
	})
	// What had ended for the former user need not know whose openid it went to: who
	// erases the new one would not look there. What waits for the consent of that
	// openid waits for a new one.
	batch.Queue(`
		WITH moved AS (
			DELETE FROM bindings b
			USING `+bindingsTable+`
			WHERE b.app = v.app AND b.open_id = v.open_id AND b.user_id <> v.user_id
			RETURNING b.app, b.user_id, b.open_id
		)
		UPDATE notifications n
		SET address = '', reason = CASE WHEN n.state = 'waiting' THEN 'unbound' ELSE n.reason END
		FROM moved
		WHERE n.app = moved.app AND n.user_id = moved.user_id AND n.user_id <> '' AND n.address = moved.open_id
			AND (n.finished_at IS NOT NULL AND n.reason <> 'in_doubt' OR n.state = 'waiting' AND n.reason = 'no_consent')`, args...)
	batch.Queue(`
		INSERT INTO bindings AS b (app, user_id, open_id, union_id, suspect, updated_at)
		SELECT v.app, v.user_id, v.open_id, v.union_id, false, now() FROM `+bindingsTable+`
		ORDER BY v.app, v.user_id
		ON CONFLICT (app, user_id) DO UPDATE
		SET open_id = excluded.open_id, suspect = false, updated_at = now(),
			union_id = CASE WHEN excluded.union_id = '' AND b.open_id = excluded.open_id
				THEN b.union_id ELSE excluded.union_id END
		WHERE b.suspect OR b.open_id <> excluded.open_id OR excluded.union_id NOT IN ('', b.union_id)`, args...)
	// OFFSET keeps the search by user from becoming one by id, which would read what
	// waits for others for the sake of the order.
	batch.Queue(`
		WITH found AS MATERIALIZED (
			SELECT w.id
			FROM `+bindingsTable+`
			CROSS JOIN LATERAL (
				SELECT n.id
				FROM notifications n
				WHERE n.app = v.app AND n.user_id = v.user_id AND n.user_id <> '' AND n.state = 'waiting'
					AND (n.reason = 'unbound' OR n.reason = 'no_consent' AND n.address <> v.open_id)
					AND n.expires_at > now() AND (n.wait_until IS NULL OR n.wait_until > now())
				OFFSET 0
			) AS w
			ORDER BY w.id
		), woken AS MATERIALIZED (
			SELECT w.id, w.state
			FROM found
			CROSS JOIN LATERAL (
				SELECT n.id, n.state FROM notifications n WHERE n.id = found.id FOR NO KEY UPDATE
			) AS w
		)
		UPDATE notifications n
		SET `+wakeSQL+`
		FROM woken
		WHERE n.id = woken.id AND woken.state = 'waiting'`, args...)
	if err := s.run(ctx, &batch); err != nil {
		return store.Bound{}, err
	}
	return store.CountBound(bindings, before), nil
}

// wakeSQL is what happens to a notification whose waiting is over.
const wakeSQL = `state = 'queued', reason = '', generation = n.generation + 1,
			handover_at = n.due_at, updated_at = now()`

// bindingColumns are the columns of a binding in the order of scanBinding.
const bindingColumns = `app, user_id, open_id, union_id, suspect, updated_at`

func scanBinding(row pgx.CollectableRow) (store.Binding, error) {
	var b store.Binding
	err := row.Scan(&b.App, &b.UserID, &b.OpenID, &b.UnionID, &b.Suspect, &b.UpdatedAt)
	b.UpdatedAt = b.UpdatedAt.UTC()
	return b, err
}

// Resolve returns the binding of a user in an app; store.ErrNotFound when the
// user is unbound.
func (s *Store) Resolve(ctx context.Context, app, userID string) (store.Binding, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+bindingColumns+` FROM bindings WHERE app = $1 AND user_id = $2`, app, userID)
	if err != nil {
		return store.Binding{}, wrap("resolve user", err)
	}
	b, err := pgx.CollectExactlyOneRow(rows, scanBinding)
	if errors.Is(err, pgx.ErrNoRows) {
		err = store.ErrNotFound
	}
	return b, wrap("resolve user", err)
}

// Bindings returns the bindings of a user, ordered by app.
func (s *Store) Bindings(ctx context.Context, userID string) ([]store.Binding, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+bindingColumns+` FROM bindings WHERE user_id = $1 ORDER BY app`, userID)
	if err != nil {
		return nil, wrap("list bindings", err)
	}
	bindings, err := pgx.CollectRows(rows, scanBinding)
	return bindings, wrap("list bindings", err)
}
