package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// InsertTx accepts notifications inside a transaction of the caller's, on the
// same database: they exist when it commits and never did when it rolls back.
// The tables are found in the store's own schema, whatever the search_path of
// the caller's connection.
//
// It only inserts and reads. What would make a statement fail, and so abort the
// caller's transaction, is checked before; a row that is in the way is answered
// like Insert does. Two refusals remain: at REPEATABLE READ and above a ref that
// another transaction has just taken fails as a serialization failure, and the
// same ref in an open transaction makes this one wait for its end.
func (s *Store) InsertTx(ctx context.Context, tx pgx.Tx, acceptances []store.Acceptance) ([]store.Inserted, error) {
	if len(acceptances) == 0 {
		return nil, nil
	}
	columns, err := acceptanceColumns(acceptances)
	if err != nil {
		return nil, fmt.Errorf("insert notifications: %w", err)
	}
	schema, err := s.schema(ctx)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	tag, err := tx.Exec(ctx, inSchema(insertSQL, schema), columns.args()...)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	if int(tag.RowsAffected()) == len(acceptances) {
		return columns.inserted(), nil
	}
	// Some were there before. The caller's connection keeps no plan of this: one
	// from when the table was small would read all of it when it is not.
	rows, err := tx.Query(ctx, inSchema(insertedSQL, schema), pgx.QueryExecModeDescribeExec, columns.id, columns.producer, columns.ref)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	found, err := pgx.CollectRows(rows, scanTaken)
	if err != nil {
		return nil, wrap("insert notifications", err)
	}
	return answers(acceptances, found)
}

// schema is the one the store's tables are in; it is asked for once.
func (s *Store) schema(ctx context.Context) (string, error) {
	s.schemaMu.Lock()
	defer s.schemaMu.Unlock()
	if s.schemaName == "" {
		var name string
		if err := s.pool.QueryRow(ctx, "SELECT coalesce(current_schema(), '')").Scan(&name); err != nil {
			return "", classify(err)
		}
		if name == "" {
			return "", fmt.Errorf("%w: no schema of the search_path exists", store.ErrSchema)
		}
		s.schemaName = name
	}
	return s.schemaName, nil
}

// inSchema names the schema of the one table that accepting touches.
func inSchema(sql, schema string) string {
	table := pgx.Identifier{schema, "notifications"}.Sanitize()
	return strings.NewReplacer("INTO notifications", "INTO "+table, "JOIN notifications", "JOIN "+table).Replace(sql)
}
