package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// ReceivePushes keeps pushes in the inbox, in one transaction, and answers for
// each whether it is new.
func (s *Store) ReceivePushes(ctx context.Context, pushes []store.Push) ([]bool, error) {
	const op = "receive pushes"
	if len(pushes) == 0 {
		return nil, nil
	}
	for _, p := range pushes {
		if err := p.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
	}
	var news []bool
	err := s.write(ctx, op, func(tx *writeTx) error {
		var err error
		news, err = answerEach(ctx, pushes, func(ctx context.Context, p store.Push) (bool, error) {
			n, err := tx.exec(ctx, `
				INSERT INTO pushes (key, app, kind, body, received_at, due_at)
				VALUES (?1, ?2, ?3, ?4, ?5, ?5)
				ON CONFLICT (key) DO NOTHING`, p.Key[:], p.App, p.Kind, p.Body, tx.now)
			return n > 0, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return news, nil
}

// TakePushes hands out at most limit pushes of a kind from the inbox, the oldest
// first. Each is handed out again after lease, to whoever asks, unless it was
// finished.
func (s *Store) TakePushes(ctx context.Context, kind store.PushKind, lease time.Duration, limit int) ([]store.Push, error) {
	var pushes []store.Push
	err := s.write(ctx, "take pushes", func(tx *writeTx) error {
		err := tx.rows(ctx, `
			SELECT key, app, kind, body, tries + 1
			FROM pushes
			WHERE kind = ?1 AND due_at <= ?2
			ORDER BY due_at, received_at
			LIMIT ?3`, []any{kind, tx.now, limit}, func(rows *sql.Rows) error {
			var (
				p   store.Push
				key []byte
			)
			err := rows.Scan(&key, &p.App, &p.Kind, &p.Body, &p.Tries)
			copy(p.Key[:], key)
			pushes = append(pushes, p)
			return err
		})
		for i := 0; err == nil && i < len(pushes); i++ {
			_, err = tx.exec(ctx, `UPDATE pushes SET due_at = ?2, tries = tries + 1 WHERE key = ?1`,
				pushes[i].Key[:], tx.now+lease.Microseconds())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return pushes, nil
}

// FinishPushes forgets what is in the pushes and remembers their keys, so that
// the same ones are not new when they come again.
func (s *Store) FinishPushes(ctx context.Context, keys []store.PushKey) error {
	if len(keys) == 0 {
		return nil
	}
	return s.write(ctx, "finish pushes", func(tx *writeTx) error {
		for i := range keys {
			if _, err := tx.exec(ctx, `UPDATE pushes SET due_at = NULL, body = x'' WHERE key = ?`, keys[i][:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeletePushes deletes the keys of pushes that came longer than age ago and are
// finished, at most limit of them, and returns how many.
func (s *Store) DeletePushes(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "delete pushes", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			DELETE FROM pushes
			WHERE key IN (
				SELECT key
				FROM pushes
				WHERE due_at IS NULL AND received_at <= ?1 - ?2
				ORDER BY received_at
				LIMIT ?3)`, tx.now, age.Microseconds(), limit)
		return err
	})
	return n, err
}
