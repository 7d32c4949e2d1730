package sqlite

import (
	"context"
	"time"
)

// BlankData removes the data, the page's query, the payload and the openid of the
// last attempt from notifications that ended longer than age ago, at most limit
// of them, and returns how many.
// Dead letters of class fault keep theirs: they may be replayed.
func (s *Store) BlankData(ctx context.Context, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, "blank data", func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			UPDATE notifications
			SET data = '{}', page = substr(page, 1, instr(page || '?', '?') - 1), payload = x'', address = '', data_blanked_at = ?1
			WHERE id IN (
				SELECT id
				FROM notifications
				WHERE finished_at IS NOT NULL AND data_blanked_at IS NULL AND class <> 'fault' AND finished_at <= ?1 - ?2
				ORDER BY finished_at
				LIMIT ?3)`, tx.now, age.Microseconds(), limit)
		return err
	})
	return n, err
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
func (s *Store) deleteOld(ctx context.Context, op, which string, age time.Duration, limit int) (n int, err error) {
	err = s.write(ctx, op, func(tx *writeTx) error {
		n, err = tx.exec(ctx, `
			DELETE FROM notifications
			WHERE id IN (
				SELECT id
				FROM notifications
				WHERE `+which+` AND finished_at <= ?1 - ?2
				ORDER BY finished_at
				LIMIT ?3)`, tx.now, age.Microseconds(), limit)
		return err
	})
	return n, err
}
