package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/wxnotify/wxnotify/store"
)

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
	var before []store.Binding
	err := s.write(ctx, "bind users", func(tx *writeTx) error {
		for _, b := range bindings {
			err := tx.rows(ctx, `
				SELECT app, user_id, open_id FROM bindings WHERE app = ?1 AND user_id = ?2
				UNION
				SELECT app, user_id, open_id FROM bindings WHERE app = ?1 AND open_id = ?3`,
				[]any{b.App, b.UserID, b.OpenID}, func(rows *sql.Rows) error {
					var b store.Binding
					err := rows.Scan(&b.App, &b.UserID, &b.OpenID)
					before = append(before, b)
					return err
				})
			if err != nil {
				return err
			}
		}
		for _, b := range bindings {
			if err := tx.bind(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return store.Bound{}, err
	}
	return store.CountBound(bindings, before), nil
}

// bind makes one binding and wakes what waited for it.
func (t *writeTx) bind(ctx context.Context, b store.Binding) error {
	// What had ended for the former user need not know whose openid it went to: who
	// erases the new one would not look there. What waits for the consent of that
	// openid waits for a new one.
	_, err := t.exec(ctx, `
		UPDATE notifications
		SET address = '', reason = iif(state = 'waiting', 'unbound', reason)
		WHERE app = ?1 AND address = ?2
			AND (finished_at IS NOT NULL AND reason <> 'in_doubt' OR state = 'waiting' AND reason = 'no_consent')
			AND user_id <> '' AND user_id =
			(SELECT user_id FROM bindings WHERE app = ?1 AND open_id = ?2 AND user_id <> ?3)`, b.App, b.OpenID, b.UserID)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `DELETE FROM bindings WHERE app = ? AND open_id = ? AND user_id <> ?`, b.App, b.OpenID, b.UserID)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `
		INSERT INTO bindings (app, user_id, open_id, union_id, suspect, updated_at)
		VALUES (?, ?, ?, ?, 0, ?)
		ON CONFLICT (app, user_id) DO UPDATE
		SET open_id = excluded.open_id, suspect = 0, updated_at = excluded.updated_at,
			union_id = iif(excluded.union_id = '' AND open_id = excluded.open_id, union_id, excluded.union_id)
		WHERE suspect OR open_id <> excluded.open_id OR excluded.union_id NOT IN ('', union_id)`,
		b.App, b.UserID, b.OpenID, b.UnionID, t.now)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `
		UPDATE notifications
		SET `+wakeSQL+`
		WHERE app = ?2 AND user_id = ?3 AND user_id <> '' AND state = 'waiting'
			AND (reason = 'unbound' OR reason = 'no_consent' AND address <> ?4)
			AND expires_at > ?1 AND coalesce(wait_until > ?1, 1)`,
		t.now, b.App, b.UserID, b.OpenID)
	return err
}

// wakeSQL is what happens to a notification whose waiting is over; ?1 is now.
const wakeSQL = `state = 'queued', reason = '', generation = generation + 1, handover_at = due_at, updated_at = ?1`

// bindingColumns are the columns of a binding in the order of scanBinding.
const bindingColumns = `app, user_id, open_id, union_id, suspect, updated_at`

func scanBinding(row scanner) (store.Binding, error) {
	var (
		b       store.Binding
		updated int64
	)
	err := row.Scan(&b.App, &b.UserID, &b.OpenID, &b.UnionID, &b.Suspect, &updated)
	b.UpdatedAt = instant(updated)
	return b, err
}

// Resolve returns the binding of a user in an app; store.ErrNotFound when the
// user is unbound.
func (s *Store) Resolve(ctx context.Context, app, userID string) (store.Binding, error) {
	b, err := scanBinding(s.reader.QueryRowContext(ctx,
		`SELECT `+bindingColumns+` FROM bindings WHERE app = ? AND user_id = ?`, app, userID))
	if errors.Is(err, sql.ErrNoRows) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Binding{}, s.wrap("resolve user", err)
	}
	return b, nil
}

// Bindings returns the bindings of a user, ordered by app.
func (s *Store) Bindings(ctx context.Context, userID string) ([]store.Binding, error) {
	var bindings []store.Binding
	err := s.query(ctx, "list bindings", `SELECT `+bindingColumns+` FROM bindings WHERE user_id = ? ORDER BY app`, []any{userID},
		func(rows *sql.Rows) error {
			b, err := scanBinding(rows)
			bindings = append(bindings, b)
			return err
		})
	if err != nil {
		return nil, err
	}
	return bindings, nil
}
