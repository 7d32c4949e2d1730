package postgres

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

const (
	// balancePages is how much of the ledger is read to add it up: of 8 KiB pages
	// 128 MiB, which are some 600,000 entries and take less than a second; all of
	// ten million took four. A sum kept beside the ledger would be exact, and one
	// row that every message of a template waits for; an index over the balances
	// would be written with every message.
	balancePages = 16 << 10
	// balanceTimeout ends the statement in the server. The end of ctx only ends
	// the connection.
	balanceTimeout = 10 * time.Second
)

// Balances adds the ledger of consents up by app and template. Of a ledger with
// more than 128 MiB it reads that much, spread over all of it and the same pages
// each time, and estimates the rest: what a thousandth of the openids of ten
// million have is then right within some 10 %.
func (s *Store) Balances(ctx context.Context) ([]store.Balance, error) {
	const op = "add up balances"
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, wrap(op, err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	var pages float64
	err = tx.QueryRow(ctx, `
		SELECT pg_relation_size('consents') / current_setting('block_size')::float8, set_config('statement_timeout', $1::bigint::text, true)`,
		balanceTimeout.Milliseconds()).Scan(&pages, nil)
	if err != nil {
		return nil, wrap(op, err)
	}
	share := min(1, float64(s.balancePages)/max(pages, 1))
	rows, err := tx.Query(ctx, `
		SELECT app, template_id,
			coalesce(sum(balance) FILTER (WHERE NOT long_term), 0)::float8,
			(count(*) FILTER (WHERE NOT long_term AND balance > 0))::float8,
			(count(*) FILTER (WHERE NOT long_term AND balance = 0))::float8,
			(count(*) FILTER (WHERE long_term))::float8
		FROM consents TABLESAMPLE SYSTEM ($1::float8) REPEATABLE (1)
		GROUP BY app, template_id
		ORDER BY app COLLATE "C", template_id COLLATE "C"`, 100*share)
	if err != nil {
		return nil, wrap(op, err)
	}
	whole := func(n float64) int { return int(math.Round(n / share)) }
	balances, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Balance, error) {
		var (
			b                               store.Balance
			messages, some, none, unlimited float64
		)
		err := row.Scan(&b.App, &b.TemplateID, &messages, &some, &none, &unlimited)
		b.Messages, b.Some, b.None, b.LongTerm = whole(messages), whole(some), whole(none), whole(unlimited)
		return b, err
	})
	return balances, wrap(op, err)
}
