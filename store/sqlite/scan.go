package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// notificationColumns are the columns of a notification in the order in which
// notificationRow takes them, of the table under the name n.
const notificationColumns = `
	n.id, n.app, n.producer, n.ref, n.content_hash, n.template_id, n.page, n.user_id, n.open_id, n.data,
	n.lang, n.miniprogram_state, n.priority, n.duplicates, n.wait_us, n.no_consent, n.release_order, n.payload, n.queue,
	n.state, n.class, n.reason, n.errcode, n.errmsg, n.field, n.assumed, n.receipt, n.msg_id,
	n.seq, n.generation, n.spent, n.doubts, n.unsure,
	n.owner, n.lease_until, n.due_at, n.expires_at, n.handover_at, n.created_at, n.updated_at, n.finished_at,
	n.discarded_at, n.data_blanked_at, n.wait_until`

// notificationRow receives one row.
type notificationRow struct {
	n                               store.Notification
	owner                           []byte
	data                            string
	lease, handover                 sql.NullInt64
	finished, discarded, blanked    sql.NullInt64
	waitUntil                       sql.NullInt64
	wait                            int64
	due, expires, created, modified int64
}

// fields are the targets for notificationColumns.
func (r *notificationRow) fields() []any {
	n := &r.n
	return []any{
		&n.ID, &n.App, &n.Producer, &n.Ref, &n.ContentHash, &n.TemplateID, &n.Page, &n.UserID, &n.OpenID, &r.data,
		&n.Lang, &n.MiniprogramState, &n.Priority, &n.Duplicates, &r.wait, &n.NoConsent, &n.ReleaseOrder, &n.Payload, &n.Queue,
		&n.State, &n.Class, &n.Reason, &n.Errcode, &n.Errmsg, &n.Field, &n.Assumed, &n.Receipt, &n.MsgID,
		&n.Seq, &n.Generation, &n.Spent, &n.Doubts, &n.Unsure,
		&r.owner, &r.lease, &r.due, &r.expires, &r.handover, &r.created, &r.modified, &r.finished, &r.discarded,
		&r.blanked, &r.waitUntil,
	}
}

// notification is the row as the store's type. Times are UTC; what is empty in
// the row is nil.
func (r *notificationRow) notification() (store.Notification, error) {
	n := r.n
	copy(n.Owner[:], r.owner)
	if len(n.ContentHash) == 0 {
		n.ContentHash = nil
	}
	if len(n.Payload) == 0 {
		n.Payload = nil
	}
	n.LeaseUntil, n.HandoverAt = nullable(r.lease), nullable(r.handover)
	n.FinishedAt, n.DiscardedAt = nullable(r.finished), nullable(r.discarded)
	n.DataBlankedAt, n.WaitUntil = nullable(r.blanked), nullable(r.waitUntil)
	n.Wait = time.Duration(r.wait) * time.Microsecond
	n.DueAt, n.ExpiresAt, n.CreatedAt, n.UpdatedAt = instant(r.due), instant(r.expires), instant(r.created), instant(r.modified)
	var err error
	n.Data, err = decodeData(r.data)
	return n, err
}

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(fields ...any) error }

// scanNotification takes one row of notificationColumns.
func scanNotification(row scanner) (store.Notification, error) {
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

// instant is a time as it is stored.
func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// nullable is a stored time that may be absent.
func nullable(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return instant(micros.Int64)
}
