package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// ClaimRequest asks for the right to carry out a request with an Idempotency-Key.
// One whose window is over begins anew; one that its owner left goes on with the
// seed it has.
func (s *Store) ClaimRequest(ctx context.Context, c store.RequestClaim) (store.RequestClaimed, error) {
	const op = "claim request"
	if err := c.Check(); err != nil {
		return store.RequestClaimed{}, fmt.Errorf("%s: %w", op, err)
	}
	var row store.RequestRow
	err := s.write(ctx, op, func(tx *writeTx) error {
		_, err := tx.exec(ctx, `
			INSERT INTO request_keys AS k (producer, key, hash, seed, owner, lease_until, created_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?8 + ?6, ?8)
			ON CONFLICT (producer, key) DO UPDATE
			SET hash = excluded.hash, owner = excluded.owner, lease_until = excluded.lease_until,
				seed = iif(k.created_at <= ?8 - ?7, excluded.seed, k.seed),
				created_at = iif(k.created_at <= ?8 - ?7, ?8, k.created_at),
				status = 0, location = '', answer = x''
			WHERE k.created_at <= ?8 - ?7 OR (k.status = 0 AND k.hash = excluded.hash AND k.lease_until <= ?8)`,
			c.Producer, c.Key, c.Hash, c.Seed[:], c.Owner[:], c.Lease.Microseconds(), c.Window.Microseconds(), tx.now)
		if err != nil {
			return err
		}
		return tx.row(ctx, `
			SELECT hash, seed, owner, status, location, answer
			FROM request_keys
			WHERE producer = ? AND key = ?`, []any{c.Producer, c.Key},
			[]any{&row.Hash, &row.Seed, &row.Owner, &row.Answer.Status, &row.Answer.Location, &row.Answer.Body})
	})
	if err != nil {
		return store.RequestClaimed{}, err
	}
	return c.Claimed(row), nil
}

// EndRequest says what became of a request.
func (s *Store) EndRequest(ctx context.Context, e store.RequestEnd) error {
	return s.write(ctx, "end request", func(tx *writeTx) error {
		query, args := `
			UPDATE request_keys
			SET lease_until = ?4
			WHERE producer = ?1 AND key = ?2 AND owner = ?3 AND status = 0`, []any{e.Producer, e.Key, e.Owner[:], tx.now}
		switch {
		case e.Answer != nil:
			query = `
				UPDATE request_keys
				SET lease_until = ?4, status = ?5, location = ?6, answer = ?7
				WHERE producer = ?1 AND key = ?2 AND owner = ?3 AND status = 0`
			args = append(args, e.Answer.Status, e.Answer.Location, notNil(e.Answer.Body))
		case e.Forget:
			query, args = `
				DELETE FROM request_keys
				WHERE producer = ?1 AND key = ?2 AND owner = ?3 AND status = 0`, args[:3]
		}
		_, err := tx.exec(ctx, query, args...)
		return err
	})
}

// DeleteRequests deletes requests that were first seen longer than age ago, at
// most limit of them, and returns how many.
func (s *Store) DeleteRequests(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "delete requests", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			DELETE FROM request_keys
			WHERE rowid IN (
				SELECT rowid
				FROM request_keys
				WHERE created_at <= ?1 - ?2
				ORDER BY created_at
				LIMIT ?3)`, tx.now, age.Microseconds(), limit)
		return err
	})
	return n, err
}
