package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// forgetAudit bounds how many old entries a new one takes with it: enough to
// keep pace, and nobody waits for them.
const forgetAudit = 50

// RecordAudit writes an entry; the time is the database's. It deletes what is
// older than store.KeepAudit, a few at a time.
func (s *Store) RecordAudit(ctx context.Context, e store.AuditEntry) error {
	if err := e.Check(); err != nil {
		return fmt.Errorf("record audit: %w", err)
	}
	_, err := s.pool.Exec(ctx, `
		WITH old AS (
			SELECT id
			FROM audit
			WHERE at < now() - $5::bigint * interval '1 microsecond'
			ORDER BY at
			LIMIT $6
			FOR UPDATE SKIP LOCKED
		), forgotten AS (
			DELETE FROM audit a USING old WHERE a.id = old.id
		)
		INSERT INTO audit (at, actor, verb, subject, detail)
		VALUES (now(), $1, $2, $3, $4)`,
		e.Actor, string(e.Verb), e.Subject, e.Detail, store.KeepAudit.Microseconds(), forgetAudit)
	return wrap("record audit", err)
}

// auditSources are the two tables in one form. Each is limited by itself, so
// that its index on the time serves.
var auditSources = []string{
	`SELECT at, 'a' || lpad(id::text, 20, '0') AS key, actor, verb, subject, detail, NULL::uuid AS notification_id,
		'' AS reason, 0 AS errcode
	FROM audit`,
	`SELECT at, 'n' || notification_id || '.' || generation || '.' || verb AS key, actor, verb, '' AS subject, detail,
		notification_id, reason, errcode
	FROM actions`,
}

// Audit returns entries and the actions on notifications, the newest first.
func (s *Store) Audit(ctx context.Context, f store.AuditFilter) ([]store.AuditEntry, error) {
	args := []any{f.PageSize()}
	var conditions strings.Builder
	add := func(condition string, values ...any) {
		conditions.WriteString(" AND " + condition)
		args = append(args, values...)
	}
	if f.Actor != "" {
		add(fmt.Sprintf("actor = $%d", len(args)+1), f.Actor)
	}
	if f.Verb != "" {
		add(fmt.Sprintf("verb = $%d", len(args)+1), string(f.Verb))
	}
	if f.Subject != "" {
		add(fmt.Sprintf("subject = $%d", len(args)+1), f.Subject)
	}
	if f.Before != (store.AuditCursor{}) {
		n := len(args)
		add(fmt.Sprintf(`at <= $%d AND (at < $%d OR key COLLATE "C" < $%d)`, n+1, n+1, n+2), f.Before.At, f.Before.Key)
	}
	const order = ` ORDER BY at DESC, key COLLATE "C" DESC LIMIT $1`
	branches := make([]string, len(auditSources))
	for i, source := range auditSources {
		branches[i] = `(SELECT * FROM (` + source + `) AS source WHERE true` + conditions.String() + order + `)`
	}
	rows, err := s.pool.Query(ctx, `SELECT * FROM (`+strings.Join(branches, " UNION ALL ")+`) AS entries`+order, args...)
	if err != nil {
		return nil, wrap("read audit", err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.AuditEntry, error) {
		var (
			e  store.AuditEntry
			id *[16]byte
		)
		err := row.Scan(&e.At, &e.Key, &e.Actor, (*string)(&e.Verb), &e.Subject, &e.Detail, &id, (*string)(&e.Reason), &e.Errcode)
		if id != nil {
			e.NotificationID = uuid.UUID(*id)
		}
		e.At = e.At.UTC()
		return e, err
	})
	return entries, wrap("read audit", err)
}
