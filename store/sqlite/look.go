package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// lookSQL is one notification as a worker sees it. While it is being sent its
// address is that of the claim, whatever the user was bound to since.
const lookSQL = `
	SELECT ` + notificationColumns + `,
		CASE WHEN n.state = 'sending' THEN n.address ELSE coalesce(nullif(n.open_id, ''), b.open_id, '') END,
		coalesce(p.reason, ''),
		c.balance, coalesce(c.long_term, 0)
	FROM notifications n
	LEFT JOIN bindings b ON b.app = n.app AND b.user_id = n.user_id
	LEFT JOIN template_pauses p ON p.app = n.app AND p.template_id = n.template_id
	LEFT JOIN consents c ON c.app = n.app AND c.template_id = n.template_id
		AND c.open_id = CASE WHEN n.state = 'sending' THEN n.address ELSE coalesce(nullif(n.open_id, ''), b.open_id, '') END
	WHERE n.id = ?`

// scanLook takes the row of lookSQL; found is false when there is none.
func scanLook(row scanner, now int64) (l store.Look, found bool, err error) {
	var (
		r       notificationRow
		balance sql.NullInt64
	)
	err = row.Scan(append(r.fields(), &l.Address, &l.Paused, &balance, &l.Consent.LongTerm)...)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Look{}, false, nil
	}
	if err != nil {
		return store.Look{}, false, err
	}
	setBalance(&l.Consent, balance)
	l.Now = instant(now)
	l.Notification, err = r.notification()
	return l, true, err
}

// look looks at one notification within a transaction.
func (t *writeTx) look(ctx context.Context, id uuid.UUID) (l store.Look, found bool, err error) {
	err = t.with(ctx, lookSQL, func(stmt *sql.Stmt) error {
		var err error
		l, found, err = scanLook(stmt.QueryRowContext(ctx, id[:]), t.now)
		return err
	})
	return l, found, err
}

// Look returns the notifications that exist among ids, in the order of ids.
func (s *Store) Look(ctx context.Context, ids []uuid.UUID) ([]store.Look, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	stmt, err := s.reader.PrepareContext(ctx, lookSQL)
	if err != nil {
		return nil, s.wrap("look at notifications", err)
	}
	defer func() { _ = stmt.Close() }()
	looks := make([]store.Look, 0, len(ids))
	for _, id := range ids {
		l, found, err := scanLook(stmt.QueryRowContext(ctx, id[:]), time.Now().UnixMicro())
		if err != nil {
			return nil, s.wrap("look at notifications", err)
		}
		if found {
			looks = append(looks, l)
		}
	}
	return looks, nil
}

// Get returns a notification and its attempts, first one first.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error) {
	const op = "read notification"
	// One transaction, so that row and attempts fit together.
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return store.Notification{}, nil, s.wrap(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	n, err := scanNotification(tx.QueryRowContext(ctx, `SELECT `+notificationColumns+` FROM notifications n WHERE n.id = ?`, id[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return n, nil, fmt.Errorf("notification %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return n, nil, s.wrap(op, err)
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT n, at, latency_us, errcode, errmsg, rid, msg_id, outcome
		FROM attempts
		WHERE notification_id = ?
		ORDER BY n`, id[:])
	if err != nil {
		return n, nil, s.wrap(op, err)
	}
	var attempts []store.Attempt
	err = forEach(rows, func(rows *sql.Rows) error {
		a := store.Attempt{NotificationID: id}
		var at, latency int64
		err := rows.Scan(&a.N, &at, &latency, &a.Errcode, &a.Errmsg, &a.RID, &a.MsgID, &a.Outcome)
		a.At, a.Latency = instant(at), time.Duration(latency)*time.Microsecond
		attempts = append(attempts, a)
		return err
	})
	return n, attempts, s.wrap(op, err)
}
