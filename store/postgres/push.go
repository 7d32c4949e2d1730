package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// ReceivePushes keeps pushes in the inbox, in one transaction, and answers for
// each whether it is new.
func (s *Store) ReceivePushes(ctx context.Context, pushes []store.Push) ([]bool, error) {
	const op = "receive pushes"
	if len(pushes) == 0 {
		return nil, nil
	}
	n := len(pushes)
	keys, bodies := make([][]byte, n), make([][]byte, n)
	apps, kinds := make([]string, n), make([]string, n)
	for i, p := range pushes {
		if err := p.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		keys[i], bodies[i], apps[i], kinds[i] = p.Key[:], p.Body, p.App, string(p.Kind)
	}
	// In the order of the keys, so that two that bring the same ones do not wait
	// for each other.
	rows, err := s.pool.Query(ctx, `
		INSERT INTO pushes (key, app, kind, body, received_at, due_at)
		SELECT key, app, kind, body, now(), now()
		FROM unnest($1::bytea[], $2::text[], $3::text[], $4::bytea[]) AS p (key, app, kind, body)
		ORDER BY key
		ON CONFLICT (key) DO NOTHING
		RETURNING key`, keys, apps, kinds, bodies)
	if err != nil {
		return nil, wrap(op, err)
	}
	kept := map[store.PushKey]bool{}
	var key []byte
	_, err = pgx.ForEachRow(rows, []any{&key}, func() error {
		kept[store.PushKey(key)] = true
		return nil
	})
	if err != nil {
		return nil, wrap(op, err)
	}
	news := make([]bool, n)
	for i, p := range pushes {
		news[i] = kept[p.Key]
		delete(kept, p.Key) // one that is there twice is new once
	}
	return news, nil
}

// TakePushes hands out at most limit pushes of a kind from the inbox, the oldest
// first. Each is handed out again after lease, to whoever asks, unless it was
// finished.
func (s *Store) TakePushes(ctx context.Context, kind store.PushKind, lease time.Duration, limit int) ([]store.Push, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT key
			FROM pushes
			WHERE kind = $1 AND due_at <= now()
			ORDER BY due_at
			LIMIT $3
			FOR UPDATE SKIP LOCKED
		), taken AS (
			UPDATE pushes p
			SET due_at = now() + $2::bigint * interval '1 microsecond', tries = p.tries + 1
			FROM due
			WHERE p.key = due.key
			RETURNING p.key, p.app, p.kind, p.body, p.tries, p.received_at
		)
		SELECT key, app, kind, body, tries
		FROM taken
		ORDER BY received_at, key`, string(kind), lease.Microseconds(), limit)
	if err != nil {
		return nil, wrap("take pushes", err)
	}
	pushes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Push, error) {
		var (
			p   store.Push
			key []byte
		)
		err := row.Scan(&key, &p.App, (*string)(&p.Kind), &p.Body, &p.Tries)
		copy(p.Key[:], key)
		return p, err
	})
	return pushes, wrap("take pushes", err)
}

// FinishPushes forgets what is in the pushes and remembers their keys, so that
// the same ones are not new when they come again.
func (s *Store) FinishPushes(ctx context.Context, keys []store.PushKey) error {
	if len(keys) == 0 {
		return nil
	}
	list := make([][]byte, len(keys))
	for i := range keys {
		list[i] = keys[i][:]
	}
	_, err := s.pool.Exec(ctx, `
		WITH done AS (
			SELECT key
			FROM pushes
			WHERE key = ANY($1::bytea[]) AND due_at IS NOT NULL
			ORDER BY key
			FOR UPDATE
		)
		UPDATE pushes p
		SET due_at = NULL, body = ''
		FROM done
		WHERE p.key = done.key`, list)
	return wrap("finish pushes", err)
}

// DeletePushes deletes the keys of pushes that came longer than age ago and are
// finished, at most limit of them, and returns how many.
func (s *Store) DeletePushes(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH old AS (
			SELECT key
			FROM pushes
			WHERE due_at IS NULL AND received_at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY received_at
			LIMIT $2
			FOR UPDATE SKIP LOCKED
		)
		DELETE FROM pushes p
		USING old
		WHERE p.key = old.key`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap("delete pushes", err)
}
