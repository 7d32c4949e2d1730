package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// insertSQL inserts what does not exist yet, by id or by ref.
const insertSQL = `
	INSERT INTO notifications (
		id, app, producer, ref, content_hash, template_id, page, user_id, open_id, data,
		lang, miniprogram_state, priority, duplicates, payload, queue,
		state, class, reason, errcode, errmsg, field, receipt, generation,
		due_at, expires_at, handover_at, created_at, updated_at, finished_at, webhook,
		wait_us, wait_until, no_consent, release_order)
	VALUES (
		?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
		?11, ?12, ?13, ?14, ?15, ?16,
		?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,
		?25, ?26, ?27, ?28, ?28, ?29, ?30,
		?31, ?32, ?33, ?34)
	ON CONFLICT DO NOTHING`

// Insert accepts notifications in one transaction and answers each of them, in
// the order of the slice. It can be repeated: a row that is there with the same
// id and content is answered as inserted.
func (s *Store) Insert(ctx context.Context, acceptances []store.Acceptance) ([]store.Inserted, error) {
	if len(acceptances) == 0 {
		return nil, nil
	}
	inserted := make([]store.Inserted, len(acceptances))
	err := s.write(ctx, "insert notifications", func(tx *writeTx) error {
		for i, a := range acceptances {
			if err := tx.insert(ctx, a); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
			var err error
			if inserted[i], err = tx.inserted(ctx, a.Notification); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return inserted, nil
}

// Adopt inserts a notification unless its id exists, and looks at it. Its state
// may be final, when the task itself shows that it can never be sent.
func (s *Store) Adopt(ctx context.Context, a store.Acceptance) (store.Look, error) {
	var l store.Look
	err := s.write(ctx, "adopt notification", func(tx *writeTx) error {
		if err := tx.insert(ctx, a); err != nil {
			return err
		}
		var (
			found bool
			err   error
		)
		l, found, err = tx.look(ctx, a.Notification.ID)
		if err == nil && !found { // not inserted, and not by its id: the ref is taken
			err = store.ErrConflict
		}
		return err
	})
	return l, err
}

// insert inserts one notification, unless its id or its ref is taken.
func (t *writeTx) insert(ctx context.Context, a store.Acceptance) error {
	a, err := a.Filled()
	if err != nil {
		return err
	}
	n := a.Notification
	data, err := encodeData(n.Data)
	if err != nil {
		return errData
	}
	due := orElse(n.DueAt, t.now+a.Delay.Microseconds())
	var handover, finished any
	if n.State == store.Queued {
		handover = due + a.HandoverIn.Microseconds()
	}
	if n.State.Final() {
		finished = t.now
	}
	expires := orElse(n.ExpiresAt, due+a.MaxAge.Microseconds())
	var waitUntil any
	if n.Wait > 0 {
		waitUntil = min(due+n.Wait.Microseconds(), expires)
	}
	_, err = t.exec(ctx, insertSQL,
		n.ID[:], n.App, n.Producer, n.Ref, notNil(n.ContentHash), n.TemplateID, n.Page, n.UserID, n.OpenID, data,
		n.Lang, n.MiniprogramState, n.Priority, n.Duplicates, notNil(n.Payload), n.Queue,
		n.State, n.Class, n.Reason, n.Errcode, n.Errmsg, n.Field, n.Receipt, n.Generation,
		due, expires, handover, t.now, finished, a.Webhook,
		n.Wait.Microseconds(), waitUntil, n.NoConsent, n.ReleaseOrder)
	return err
}

// inserted finds out what became of an acceptance. The row with its id goes
// before the one with its ref.
func (t *writeTx) inserted(ctx context.Context, n store.Notification) (store.Inserted, error) {
	answer, hash, err := t.taken(ctx, `SELECT id, state, content_hash FROM notifications WHERE id = ?`, n.ID[:])
	if errors.Is(err, sql.ErrNoRows) {
		answer, hash, err = t.taken(ctx,
			`SELECT id, state, content_hash FROM notifications WHERE producer = ? AND ref = ? AND ref <> ''`, n.Producer, n.Ref)
		answer.Duplicate = true
	}
	if err == nil && !bytes.Equal(hash, n.ContentHash) {
		answer.Duplicate, answer.Err = false, store.ErrConflict
	}
	return answer, err
}

func (t *writeTx) taken(ctx context.Context, query string, args ...any) (answer store.Inserted, hash []byte, err error) {
	var id uuid.UUID
	err = t.row(ctx, query, args, []any{&id, &answer.State, &hash})
	answer.ID = id
	return answer, hash, err
}

// orElse is the given time as it is stored, or micros when there is none.
func orElse(given time.Time, micros int64) int64 {
	if given.IsZero() {
		return micros
	}
	return given.UnixMicro()
}

// notNil is b as a value that is not NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
