package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// forgetAudit bounds how many old entries a new one takes with it.
const forgetAudit = 50

// RecordAudit writes an entry; the time is the database's. It deletes what is
// older than store.KeepAudit, a few at a time.
func (s *Store) RecordAudit(ctx context.Context, e store.AuditEntry) error {
	const op = "record audit"
	if err := e.Check(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return s.write(ctx, op, func(tx *writeTx) error {
		_, err := tx.exec(ctx, `DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 - ?2 ORDER BY at LIMIT ?3)`,
			tx.now, store.KeepAudit.Microseconds(), forgetAudit)
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO audit (at, actor, verb, subject, detail) VALUES (?, ?, ?, ?, ?)`,
			tx.now, e.Actor, e.Verb, e.Subject, e.Detail)
		return err
	})
}

// auditSources are the two tables in one form.
var auditSources = []string{
	`SELECT at, 'a' || printf('%020d', id) AS key, actor, verb, subject, detail, NULL AS notification_id, '' AS reason, 0 AS errcode
	FROM audit`,
	`SELECT at, 'n' || lower(hex(notification_id)) || '.' || generation || '.' || verb AS key, actor, verb, '' AS subject, detail,
		notification_id, reason, errcode
	FROM actions`,
}

// Audit returns entries and the actions on notifications, the newest first.
func (s *Store) Audit(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	var (
		conditions strings.Builder
		chosen     []any
	)
	add := func(condition string, values ...any) {
		conditions.WriteString(" AND " + condition)
		chosen = append(chosen, values...)
	}
	if f.Actor != "" {
		add("actor = ?", f.Actor)
	}
	if f.Verb != "" {
		add("verb = ?", f.Verb)
	}
	if f.Subject != "" {
		add("subject = ?", f.Subject)
	}
	if b := f.Before; b != (store.AuditCursor{}) {
		add("at <= ? AND (at < ? OR key < ?)", b.At.UnixMicro(), b.At.UnixMicro(), b.Key)
	}
	const order = ` ORDER BY at DESC, key DESC LIMIT ?`
	var (
		branches []string
		args     []any
	)
	for _, source := range auditSources {
		branches = append(branches, `SELECT * FROM (SELECT * FROM (`+source+`) WHERE true`+conditions.String()+order+`)`)
		args = append(append(args, chosen...), f.PageSize())
	}
	var entries []store.AuditEntry
	err := s.query(ctx, "read audit", strings.Join(branches, " UNION ALL ")+order, append(args, f.PageSize()), func(rows *sql.Rows) error {
		var (
			e  store.AuditEntry
			at int64
			id []byte
		)
		err := rows.Scan(&at, &e.Key, &e.Actor, &e.Verb, &e.Subject, &e.Detail, &id, &e.Reason, &e.Errcode)
		e.At = instant(at)
		if id != nil && err == nil {
			e.NotificationID, err = uuid.FromBytes(id)
		}
		entries = append(entries, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}
