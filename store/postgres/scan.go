package postgres

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// notificationColumns are the columns of a notification in the order in which
// notificationRow takes them, of the table under the name n.
const notificationColumns = `
	n.id, n.app, n.producer, n.ref, n.content_hash, n.template_id, n.page, n.user_id, n.open_id, n.data::text,
	n.lang, n.miniprogram_state, n.priority, n.duplicates, n.wait_us, n.no_consent, n.release_order, n.payload, n.queue,
	n.state, n.class, n.reason, n.errcode, n.errmsg, n.field, n.assumed, n.receipt, n.msg_id,
	n.seq, n.generation, n.spent, n.doubts, n.unsure,
	n.owner, n.lease_until, n.due_at, n.expires_at, n.handover_at, n.created_at, n.updated_at, n.finished_at,
	n.discarded_at, n.data_blanked_at, n.wait_until`

// notificationRow receives one row.
type notificationRow struct {
	n                               store.Notification
	id                              [16]byte
	owner                           *[16]byte
	data                            string
	lease, handover, finished       *time.Time
	discarded, blanked, waitUntil   *time.Time
	wait                            int64
	due, expires, created, modified time.Time
}

// fields are the targets for notificationColumns.
func (r *notificationRow) fields() []any {
	n := &r.n
	return []any{
		&r.id, &n.App, &n.Producer, &n.Ref, &n.ContentHash, &n.TemplateID, &n.Page, &n.UserID, &n.OpenID, &r.data,
		&n.Lang, &n.MiniprogramState, (*string)(&n.Priority), (*string)(&n.Duplicates),
		&r.wait, (*string)(&n.NoConsent), (*string)(&n.ReleaseOrder), &n.Payload, &n.Queue,
		(*string)(&n.State), (*string)(&n.Class), (*string)(&n.Reason), &n.Errcode, &n.Errmsg, &n.Field, &n.Assumed,
		(*string)(&n.Receipt), &n.MsgID,
		&n.Seq, &n.Generation, &n.Spent, &n.Doubts, &n.Unsure,
		&r.owner, &r.lease, &r.due, &r.expires, &r.handover, &r.created, &r.modified, &r.finished, &r.discarded,
		&r.blanked, &r.waitUntil,
	}
}

// notification is the row as the store's type. Times are UTC; what is empty in
// the row is nil.
func (r *notificationRow) notification() (store.Notification, error) {
	n := r.n
	n.ID = r.id
	if r.owner != nil {
		n.Owner = *r.owner
	}
	if len(n.ContentHash) == 0 {
		n.ContentHash = nil
	}
	if len(n.Payload) == 0 {
		n.Payload = nil
	}
	n.LeaseUntil, n.HandoverAt = utc(r.lease), utc(r.handover)
	n.FinishedAt, n.DiscardedAt = utc(r.finished), utc(r.discarded)
	n.DataBlankedAt, n.WaitUntil = utc(r.blanked), utc(r.waitUntil)
	n.Wait = time.Duration(r.wait) * time.Microsecond
	n.DueAt, n.ExpiresAt, n.CreatedAt, n.UpdatedAt = r.due.UTC(), r.expires.UTC(), r.created.UTC(), r.modified.UTC()
	var err error
	n.Data, err = decodeData(r.data)
	return n, err
}

// scanNotification takes one row of notificationColumns.
func scanNotification(row pgx.CollectableRow) (store.Notification, error) {
	var r notificationRow
	if err := row.Scan(r.fields()...); err != nil {
		return store.Notification{}, err
	}
	return r.notification()
}

// encodeData is the data as JSON, readable for people: no \u003c for <.
func encodeData(data map[string]string) (string, error) {
	if len(data) == 0 {
		return "{}", nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(data); err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b.Bytes(), "\n")), nil
}

// errData does not wrap the cause, which quotes the text.
var errData = errors.New("data of a row is not an object of texts")

func decodeData(text string) (map[string]string, error) {
	if text == "{}" {
		return nil, nil
	}
	var data map[string]string
	if json.Unmarshal([]byte(text), &data) != nil {
		return nil, errData
	}
	return data, nil
}

// utc is the time that may be absent.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// nullTime is the opposite of utc.
func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// uuids are ids as pgx takes them.
func uuids(ids []uuid.UUID) [][16]byte {
	out := make([][16]byte, len(ids))
	for i, id := range ids {
		out[i] = id
	}
	return out
}
