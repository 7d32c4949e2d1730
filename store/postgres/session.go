package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// BeginSession writes a session that begins now, and deletes those that began
// longer than life ago.
func (s *Store) BeginSession(ctx context.Context, c store.ConsoleSession, life time.Duration) error {
	if err := c.Check(); err != nil {
		return fmt.Errorf("begin session: %w", err)
	}
	_, err := s.pool.Exec(ctx, `
		WITH over AS (
			DELETE FROM console_sessions WHERE created_at <= now() - $4::bigint * interval '1 microsecond'
		)
		INSERT INTO console_sessions (key, user_name, credential, created_at, seen_at)
		VALUES ($1, $2, $3, now(), now())`, c.Key[:], c.User, c.Credential[:], life.Microseconds())
	return wrap("begin session", err)
}

// Session returns the session with a key; store.ErrNotFound when there is none
// or the rule says that it is over.
func (s *Store) Session(ctx context.Context, key [32]byte, rule store.SessionRule) (store.ConsoleSession, error) {
	c := store.ConsoleSession{Key: key}
	var credential []byte
	err := s.pool.QueryRow(ctx, `
		UPDATE console_sessions
		SET seen_at = CASE WHEN $4 THEN now() ELSE seen_at END
		WHERE key = $1 AND seen_at > now() - $2::bigint * interval '1 microsecond'
			AND created_at > now() - $3::bigint * interval '1 microsecond'
		RETURNING user_name, credential, created_at, seen_at`,
		key[:], rule.Idle.Microseconds(), rule.Life.Microseconds(), rule.Touch).Scan(&c.User, &credential, &c.CreatedAt, &c.SeenAt)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return store.ConsoleSession{}, fmt.Errorf("find session: %w", store.ErrNotFound)
	case err != nil:
		return store.ConsoleSession{}, wrap("find session", err)
	}
	copy(c.Credential[:], credential)
	c.CreatedAt, c.SeenAt = c.CreatedAt.UTC(), c.SeenAt.UTC()
	return c, nil
}

// EndSession deletes a session, if there is one.
func (s *Store) EndSession(ctx context.Context, key [32]byte) error {
	_, err := s.pool.Exec(ctx, `DELETE FROM console_sessions WHERE key = $1`, key[:])
	return wrap("end session", err)
}
