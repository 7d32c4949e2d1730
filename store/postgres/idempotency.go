package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// claimRequestSQL takes a request that nobody carries out. One whose window is
// over begins anew; one that its owner left goes on with the seed it has.
const claimRequestSQL = `
	INSERT INTO request_keys AS k (producer, key, hash, seed, owner, lease_until, created_at)
	VALUES ($1, $2, $3, $4, $5, now() + $6::bigint * interval '1 microsecond', now())
	ON CONFLICT (producer, key) DO UPDATE
	SET hash = excluded.hash, owner = excluded.owner, lease_until = excluded.lease_until,
		seed = CASE WHEN k.created_at <= now() - $7::bigint * interval '1 microsecond' THEN excluded.seed ELSE k.seed END,
		created_at = CASE WHEN k.created_at <= now() - $7::bigint * interval '1 microsecond' THEN now() ELSE k.created_at END,
		status = 0, location = '', answer = ''
	WHERE k.created_at <= now() - $7::bigint * interval '1 microsecond'
		OR (k.status = 0 AND k.hash = excluded.hash AND k.lease_until <= now())`

// ClaimRequest asks for the right to carry out a request with an Idempotency-Key.
func (s *Store) ClaimRequest(ctx context.Context, c store.RequestClaim) (store.RequestClaimed, error) {
	const op = "claim request"
	if err := c.Check(); err != nil {
		return store.RequestClaimed{}, fmt.Errorf("%s: %w", op, err)
	}
	var (
		b   pgx.Batch
		row store.RequestRow
	)
	b.Queue(claimRequestSQL, c.Producer, c.Key, c.Hash, [16]byte(c.Seed), [16]byte(c.Owner), c.Lease.Microseconds(), c.Window.Microseconds())
	b.Queue(`
		SELECT hash, seed, owner, status, location, answer
		FROM request_keys
		WHERE producer = $1 AND key = $2`, c.Producer, c.Key).QueryRow(func(r pgx.Row) error {
		return r.Scan(&row.Hash, (*[16]byte)(&row.Seed), (*[16]byte)(&row.Owner), &row.Answer.Status, &row.Answer.Location, &row.Answer.Body)
	})
	err := s.run(ctx, &b)
	if errors.Is(err, pgx.ErrNoRows) {
		// Between the two statements its owner forgot it.
		err = fmt.Errorf("%w: the request ended meanwhile", store.ErrUnavailable)
	}
	if err != nil {
		return store.RequestClaimed{}, wrap(op, err)
	}
	return c.Claimed(row), nil
}

// EndRequest says what became of a request.
func (s *Store) EndRequest(ctx context.Context, e store.RequestEnd) error {
	query, args := `
		UPDATE request_keys
		SET lease_until = now()
		WHERE producer = $1 AND key = $2 AND owner = $3 AND status = 0`, []any{e.Producer, e.Key, [16]byte(e.Owner)}
	switch {
	case e.Answer != nil:
		query = `
			UPDATE request_keys
			SET status = $4, location = $5, answer = $6
			WHERE producer = $1 AND key = $2 AND owner = $3 AND status = 0`
		args = append(args, e.Answer.Status, e.Answer.Location, notNil(e.Answer.Body))
	case e.Forget:
		query = `
			DELETE FROM request_keys
			WHERE producer = $1 AND key = $2 AND owner = $3 AND status = 0`
	}
	_, err := s.pool.Exec(ctx, query, args...)
	return wrap("end request", err)
}

// DeleteRequests deletes requests that were first seen longer than age ago, at
// most limit of them, and returns how many.
func (s *Store) DeleteRequests(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH old AS (
			SELECT producer, key
			FROM request_keys
			WHERE created_at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY created_at
			LIMIT $2
			FOR UPDATE SKIP LOCKED
		)
		DELETE FROM request_keys k
		USING old
		WHERE k.producer = old.producer AND k.key = old.key`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap("delete requests", err)
}
