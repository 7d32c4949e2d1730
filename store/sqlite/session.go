package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// BeginSession writes a session that begins now, and deletes those that began
// longer than life ago.
func (s *Store) BeginSession(ctx context.Context, c store.ConsoleSession, life time.Duration) error {
	const op = "begin session"
	if err := c.Check(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return s.write(ctx, op, func(tx *writeTx) error {
		if _, err := tx.exec(ctx, `DELETE FROM console_sessions WHERE created_at <= ?1 - ?2`, tx.now, life.Microseconds()); err != nil {
			return err
		}
		_, err := tx.exec(ctx, `INSERT INTO console_sessions (key, user_name, credential, created_at, seen_at) VALUES (?1, ?2, ?3, ?4, ?4)`,
			c.Key[:], c.User, c.Credential[:], tx.now)
		return err
	})
}

// Session returns the session with a key; store.ErrNotFound when there is none
// or the rule says that it is over.
func (s *Store) Session(ctx context.Context, key [32]byte, rule store.SessionRule) (store.ConsoleSession, error) {
	const op = "find session"
	c := store.ConsoleSession{Key: key}
	err := s.write(ctx, op, func(tx *writeTx) error {
		var (
			credential    []byte
			created, seen int64
		)
		err := tx.row(ctx, `
			UPDATE console_sessions
			SET seen_at = CASE WHEN ?5 THEN ?2 ELSE seen_at END
			WHERE key = ?1 AND seen_at > ?2 - ?3 AND created_at > ?2 - ?4
			RETURNING user_name, credential, created_at, seen_at`,
			[]any{key[:], tx.now, rule.Idle.Microseconds(), rule.Life.Microseconds(), rule.Touch},
			[]any{&c.User, &credential, &created, &seen})
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		}
		copy(c.Credential[:], credential)
		c.CreatedAt, c.SeenAt = instant(created), instant(seen)
		return err
	})
	if err != nil {
		return store.ConsoleSession{}, err
	}
	return c, nil
}

// EndSession deletes a session, if there is one.
func (s *Store) EndSession(ctx context.Context, key [32]byte) error {
	return s.write(ctx, "end session", func(tx *writeTx) error {
		_, err := tx.exec(ctx, `DELETE FROM console_sessions WHERE key = ?`, key[:])
		return err
	})
}
