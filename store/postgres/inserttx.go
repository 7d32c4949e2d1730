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
	var found []taken
	var b pgx.Batch
	b.Queue(inSchema(insertSQL, schema), columns.args()...)
	b.Queue(inSchema(insertedSQL, schema), columns.id, columns.producer, columns.ref).Query(func(rows pgx.Rows) error {
		var err error
		found, err = pgx.CollectRows(rows, scanTaken)
		return err
	})
	if err := classify(tx.SendBatch(ctx, &b).Close()); err != nil {
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
