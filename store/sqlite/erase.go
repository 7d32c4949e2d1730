package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// Addresses returns the openids of a user in apps, or in all for nil: those
// bound to the user, and those that messages of the user went to and that nobody
// else has now.
func (s *Store) Addresses(ctx context.Context, userID string, apps []string) ([]store.Address, error) {
	chosen, args := inApps("app", apps)
	ofRows, _ := inApps("n.app", apps)
	var addresses []store.Address
	err := s.query(ctx, "list addresses", `
		SELECT app, open_id FROM bindings WHERE user_id = ?1`+chosen+`
		UNION
		SELECT n.app, n.address
		FROM notifications n
		WHERE n.user_id = ?1 AND n.user_id <> '' AND n.address <> ''`+ofRows+`
			AND NOT EXISTS (SELECT 1 FROM bindings b WHERE b.app = n.app AND b.open_id = n.address AND b.user_id <> ?1)
		ORDER BY 1, 2`, append([]any{userID}, args...), func(rows *sql.Rows) error {
		var a store.Address
		err := rows.Scan(&a.App, &a.OpenID)
		addresses = append(addresses, a)
		return err
	})
	if err != nil {
		return nil, err
	}
	return addresses, nil
}

// inApps is a condition on a column; its argument is ?2. Nil chooses every app.
func inApps(column string, apps []string) (condition string, args []any) {
	if apps == nil {
		return "", nil
	}
	list, _ := json.Marshal(apps) //nolint:errchkjson // strings
	return " AND " + column + " IN (SELECT value FROM json_each(?2))", []any{string(list)}
}

// BeginErasure notes the notifications of a user for EraseRows, unbinds the user
// and deletes what is known of consents, in one transaction.
func (s *Store) BeginErasure(ctx context.Context, e store.Erasure) (begun store.ErasureBegun, err error) {
	const op = "begin erasure"
	if err := e.Check(); err != nil {
		return store.ErasureBegun{}, fmt.Errorf("%s: %w", op, err)
	}
	err = s.write(ctx, op, func(tx *writeTx) error {
		begun = store.ErasureBegun{}
		ids, err := tx.ofUser(ctx, e)
		if err != nil {
			return err
		}
		for _, a := range e.Addresses {
			own, err := tx.owns(ctx, e.UserID, a)
			if err != nil {
				return err
			}
			if !own {
				continue
			}
			more, err := tx.ids(ctx, `SELECT id FROM notifications WHERE open_id = ? AND open_id <> '' AND app = ?`, a.OpenID, a.App)
			if err != nil {
				return err
			}
			ids = append(ids, more...)
			if err := tx.forget(ctx, a, &begun); err != nil {
				return err
			}
		}
		ids = append(ids, e.Raw...)
		slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
		begun.IDs = slices.Compact(ids)
		for _, id := range begun.IDs {
			_, err := tx.exec(ctx, `INSERT INTO erasures (notification_id, since) VALUES (?, ?) ON CONFLICT DO NOTHING`, id[:], tx.now)
			if err != nil {
				return err
			}
		}
		// The binding goes last: until then it tells whose the openids are.
		chosen, args := inApps("app", e.Apps)
		begun.Unbound, err = tx.exec(ctx, `DELETE FROM bindings WHERE user_id = ?1`+chosen, append([]any{e.UserID}, args...)...)
		return err
	})
	if err != nil {
		return store.ErasureBegun{}, err
	}
	return begun, nil
}

// ofUser finds the notifications of a user, and those that could not be read,
// which have no addressee but in their payload.
func (t *writeTx) ofUser(ctx context.Context, e store.Erasure) ([]uuid.UUID, error) {
	chosen, args := inApps("app", e.Apps)
	ids, err := t.ids(ctx, `SELECT id FROM notifications WHERE user_id = ?1 AND user_id <> ''`+chosen, append([]any{e.UserID}, args...)...)
	if err != nil {
		return nil, err
	}
	for _, mark := range e.Marks() {
		marked, err := t.ids(ctx, `
			SELECT id
			FROM notifications
			WHERE reason IN ('malformed', 'unknown_type', 'unknown_app') AND reason <> ''
				AND instr(payload, ?1) > 0`+chosen, append([]any{[]byte(mark)}, args...)...)
		if err != nil {
			return nil, err
		}
		ids = append(ids, marked...)
	}
	return ids, nil
}

// owns reports whether an openid is not another user's.
func (t *writeTx) owns(ctx context.Context, userID string, a store.Address) (own bool, err error) {
	err = t.row(ctx, `SELECT NOT EXISTS (SELECT 1 FROM bindings WHERE app = ? AND open_id = ? AND user_id <> ?)`,
		[]any{a.App, a.OpenID, userID}, []any{&own})
	return own, err
}

// forget deletes what is known of an openid's consents, and the pushes about it
// that are not worked off; begun counts them.
func (t *writeTx) forget(ctx context.Context, a store.Address, begun *store.ErasureBegun) error {
	for _, step := range []struct {
		sql   string
		count *int
	}{
		{`DELETE FROM consents WHERE app = ?1 AND open_id = ?2`, &begun.Consents},
		{`DELETE FROM consent_events WHERE app = ?1 AND open_id = ?2`, new(int)},
		{`DELETE FROM receipts WHERE app = ?1 AND open_id = ?2 AND notification_id IS NULL`, &begun.Pushes},
		// The key stays, so that the push is known when it comes again.
		{`UPDATE pushes SET due_at = NULL, body = x'' WHERE due_at IS NOT NULL AND app = ?1 AND instr(body, CAST(?2 AS BLOB)) > 0`, &begun.Pushes},
	} {
		n, err := t.exec(ctx, step.sql, a.App, a.OpenID)
		if err != nil {
			return err
		}
		*step.count += n
	}
	return nil
}

// ids runs a query for ids.
func (t *writeTx) ids(ctx context.Context, query string, args ...any) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := t.rows(ctx, query, args, func(rows *sql.Rows) error {
		var id uuid.UUID
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// EraseRows erases notifications that BeginErasure noted, as far as their state
// allows, in one transaction, and answers each, in the order of ids.
func (s *Store) EraseRows(ctx context.Context, ids []uuid.UUID) (erased []store.ErasedRow, err error) {
	err = s.write(ctx, "erase notifications", func(tx *writeTx) error {
		erased, err = answerEach(ctx, ids, tx.erase)
		return err
	})
	if err != nil {
		return nil, err
	}
	return erased, nil
}

// erase ends a notification that is open, blanks one that has ended, and lets
// one that is being sent or in doubt expire, so that nobody sends it again.
// updated_at of a row that is being sent is when its attempt began, and stays.
//
// A doubt that ended as one loses that reason too: a late answer then no longer
// applies, which could open a row that has nothing to send. A dead letter that
// cannot be replayed is nobody's work and leaves the view.
func (t *writeTx) erase(ctx context.Context, id uuid.UUID) (store.ErasedRow, error) {
	r := store.ErasedRow{ID: id, Result: store.EraseNotFound}
	var a store.Address
	err := t.row(ctx, `
		SELECT app, address, CASE
			WHEN state IN ('sending', 'in_doubt') THEN 'in_flight'
			WHEN state IN ('queued', 'retrying', 'waiting') THEN 'cancelled'
			WHEN data_blanked_at IS NOT NULL AND user_id = '' AND open_id = '' AND address = '' AND errmsg = '' THEN 'before'
			ELSE 'blanked'
		END
		FROM notifications
		WHERE id = ?`, []any{id[:]}, []any{&a.App, &a.OpenID, &r.Result})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return r, nil
	case err != nil:
		return r, err
	}
	switch r.Result {
	case store.EraseInFlight:
		_, err = t.exec(ctx, `UPDATE notifications SET expires_at = min(expires_at, ?2) WHERE id = ?1`, id[:], t.now)
	case store.EraseCancelled, store.EraseBlanked:
		// The settlement of what was being sent may have made an entry of the ledger
		// anew, and a receipt may have come for it; they go if the openid is nobody's.
		nobodys := false
		if a.OpenID != "" {
			nobodys, err = t.owns(ctx, "", a)
		}
		if err == nil && nobodys {
			err = t.forget(ctx, a, new(store.ErasureBegun))
		}
		if err == nil {
			err = t.blank(ctx, id)
		}
	case store.EraseBefore, store.EraseNotFound:
	}
	return r, err
}

// blank is what erase does to a notification that has ended or can be ended.
func (t *writeTx) blank(ctx context.Context, id uuid.UUID) error {
	const open = `state IN ('queued', 'retrying', 'waiting')`
	_, err := t.exec(ctx, `
		UPDATE notifications AS n
		SET state = iif(`+open+`, 'cancelled', state),
			reason = CASE
				WHEN `+open+` THEN 'erased'
				WHEN state = 'dead' AND reason = 'in_doubt' THEN 'erased'
				WHEN state = 'expired' AND finished_at >= (SELECT e.since FROM erasures e WHERE e.notification_id = n.id) THEN 'erased'
				ELSE reason
			END,
			user_id = '', open_id = '', address = '', data = '{}', page = substr(page, 1, instr(page || '?', '?') - 1),
			payload = x'', errmsg = '',
			handover_at = NULL, finished_at = coalesce(finished_at, ?2), updated_at = ?2,
			data_blanked_at = coalesce(data_blanked_at, ?2),
			discarded_at = iif(class = 'fault', coalesce(discarded_at, ?2), discarded_at)
		WHERE id = ?1`, id[:], t.now)
	if err == nil {
		_, err = t.exec(ctx, `UPDATE attempts SET errmsg = '', rid = '' WHERE notification_id = ?`, id[:])
	}
	return err
}

// Erasures returns at most limit notifications whose erasure is not over and
// whose id is greater than after, in the order of their ids.
func (s *Store) Erasures(ctx context.Context, after uuid.UUID, limit int) ([]store.Erasing, error) {
	now := time.Now()
	var list []store.Erasing
	err := s.query(ctx, "list erasures", `
		SELECT notification_id, since
		FROM erasures
		WHERE notification_id > ?
		ORDER BY notification_id
		LIMIT ?`, []any{after[:], limit}, func(rows *sql.Rows) error {
		var (
			e     store.Erasing
			since int64
		)
		err := rows.Scan(&e.ID, &since)
		e.Age = now.Sub(instant(since))
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// EndErasures strikes notifications from the list of those to erase.
func (s *Store) EndErasures(ctx context.Context, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	return s.write(ctx, "end erasures", func(tx *writeTx) error {
		for _, id := range ids {
			if _, err := tx.exec(ctx, `DELETE FROM erasures WHERE notification_id = ?`, id[:]); err != nil {
				return err
			}
		}
		return nil
	})
}
