package postgres

import (
	"context"
	"time"
)

// Retention works off the oldest rows first, a limited number per statement, and
// passes over rows that somebody holds: it never waits for a claim or a
// settlement, and what it holds itself is final, so that none waits for it but
// a late answer to a doubt.

// BlankData removes the data, the page's query, the payload and the openid of the
// last attempt from notifications that ended longer than age ago, at most limit
// of them, and returns how many.
// Dead letters of class fault keep theirs: they may be replayed.
func (s *Store) BlankData(ctx context.Context, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH old AS (
			SELECT id
			FROM notifications
			WHERE finished_at IS NOT NULL AND data_blanked_at IS NULL AND class <> 'fault'
				AND finished_at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY finished_at
			LIMIT $2
			FOR NO KEY UPDATE SKIP LOCKED
		)
		UPDATE notifications n
		SET data = '{}', page = split_part(n.page, '?', 1), payload = '', address = '', data_blanked_at = now()
		FROM old
		WHERE n.id = old.id`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap("blank data", err)
}

// DeleteFinished deletes notifications whose data was blanked and that ended
// longer than age ago, with their attempts: at most limit of them. It returns how
// many.
func (s *Store) DeleteFinished(ctx context.Context, age time.Duration, limit int) (int, error) {
	return s.deleteOld(ctx, "delete finished notifications", `data_blanked_at IS NOT NULL`, age, limit)
}

// DeleteDead deletes dead letters of class fault that died longer than age ago,
// with their attempts: at most limit of them. It returns how many.
func (s *Store) DeleteDead(ctx context.Context, age time.Duration, limit int) (int, error) {
	return s.deleteOld(ctx, "delete dead letters", `class = 'fault'`, age, limit)
}

// deleteOld deletes the rows of the partial index whose condition is which.
func (s *Store) deleteOld(ctx context.Context, op, which string, age time.Duration, limit int) (int, error) {
	tag, err := s.pool.Exec(ctx, `
		WITH old AS (
			SELECT id
			FROM notifications
			WHERE `+which+` AND finished_at <= now() - $1::bigint * interval '1 microsecond'
			ORDER BY finished_at
			LIMIT $2
			FOR UPDATE SKIP LOCKED
		)
		DELETE FROM notifications n
		USING old
		WHERE n.id = old.id`, age.Microseconds(), limit)
	return int(tag.RowsAffected()), wrap(op, err)
}
