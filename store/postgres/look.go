package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// lookAddress is whom a notification is for, of the tables of lookJoins. While it
// is being sent that is the address of the claim, whatever the user was bound to
// since.
const lookAddress = `CASE WHEN n.state = 'sending' THEN n.address ELSE coalesce(nullif(n.open_id, ''), b.open_id, '') END`

// lookJoins are what a look takes beside the notification.
const lookJoins = `
		LEFT JOIN bindings b ON n.user_id <> '' AND b.app = n.app AND b.user_id = n.user_id
		LEFT JOIN template_pauses p ON p.app = n.app AND p.template_id = n.template_id
		LEFT JOIN consents c ON c.app = n.app AND c.template_id = n.template_id AND c.open_id = ` + lookAddress

// lookSQL answers the notifications of $1 that exist, in that order.
const lookSQL = `
	SELECT ` + notificationColumns + `, ` + lookAddress + `, coalesce(p.reason, ''), c.balance, coalesce(c.long_term, false), now()
	FROM unnest((SELECT $1::uuid[])) WITH ORDINALITY AS wanted (id, place)
	JOIN notifications n ON n.id = wanted.id` + lookJoins + `
	ORDER BY wanted.place`

// Look returns the notifications that exist among ids, in the order of ids.
func (s *Store) Look(ctx context.Context, ids []uuid.UUID) ([]store.Look, error) {
	rows, err := s.pool.Query(ctx, lookSQL, uuids(ids))
	if err != nil {
		return nil, wrap("look at notifications", err)
	}
	defer rows.Close()
	looks := make([]store.Look, 0, len(ids))
	err = eachLook(rows, func(l store.Look) { looks = append(looks, l) })
	return looks, wrap("look at notifications", err)
}

// lookRow receives the rows of lookSQL and claimSQL, one after the other.
type lookRow struct {
	notificationRow
	address, paused string
	balance         *int
	longTerm        bool
	now             time.Time
}

// eachLook hands over one look after the other.
func eachLook(rows pgx.Rows, take func(store.Look)) error {
	var r lookRow
	fields := append(r.fields(), &r.address, &r.paused, &r.balance, &r.longTerm, &r.now)
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		n, err := r.notification()
		if err != nil {
			return err
		}
		l := store.Look{Notification: n, Address: r.address, Paused: r.paused, Now: r.now.UTC()}
		l.Consent.LongTerm = r.longTerm
		setBalance(&l.Consent, r.balance)
		take(l)
	}
	return rows.Err()
}

// Get returns a notification and its attempts, first one first.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error) {
	var (
		b        pgx.Batch
		n        store.Notification
		attempts []store.Attempt
	)
	b.Queue(`SELECT `+notificationColumns+` FROM notifications n WHERE n.id = $1`, [16]byte(id)).Query(func(rows pgx.Rows) error {
		var err error
		n, err = pgx.CollectExactlyOneRow(rows, scanNotification)
		return err
	})
	b.Queue(`
		SELECT n, at, latency_us, errcode, errmsg, rid, msg_id, outcome
		FROM attempts
		WHERE notification_id = $1
		ORDER BY n`, [16]byte(id)).Query(func(rows pgx.Rows) error {
		var err error
		attempts, err = pgx.CollectRows(rows, scanAttempt)
		return err
	})
	err := s.run(ctx, &b)
	if errors.Is(err, pgx.ErrNoRows) {
		return n, nil, fmt.Errorf("notification %s: %w", id, store.ErrNotFound)
	}
	for i := range attempts {
		attempts[i].NotificationID = id
	}
	return n, attempts, wrap("read notification", err)
}

func scanAttempt(row pgx.CollectableRow) (store.Attempt, error) {
	var (
		a       store.Attempt
		latency int64
	)
	err := row.Scan(&a.N, &a.At, &latency, &a.Errcode, &a.Errmsg, &a.RID, &a.MsgID, &a.Outcome)
	a.At = a.At.UTC()
	a.Latency = time.Duration(latency) * time.Microsecond
	return a, err
}
