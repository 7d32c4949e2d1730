package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Explain makes the server tell take how it ran each statement of the store,
// with what it read and how long it took, including those that run within
// others. It takes the auto_explain module and a superuser.
func (s *Store) Explain(ctx context.Context, take func(string)) error {
	config := s.pool.Config()
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { take(n.Message) }
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, `
			LOAD 'auto_explain';
			SET auto_explain.log_min_duration = 0;
			SET auto_explain.log_analyze = on;
			SET auto_explain.log_buffers = on;
			SET auto_explain.log_level = notice`, pgx.QueryExecModeSimpleProtocol)
		return errors.Join(err, planByIndex(ctx, conn))
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	s.pool.Close()
	s.pool = pool
	return nil
}

// SetLeadSilence makes a test's leaders fall silent sooner.
func (s *Store) SetLeadSilence(d time.Duration) { s.leadSilence = d }

// SetBalancePages lets Balances read less of the ledger.
func (s *Store) SetBalancePages(n int) { s.balancePages = n }

// Planned is how often the server planned a statement for its arguments, and how
// often it took the plan for any.
type Planned struct {
	Statement       string
	Custom, Generic int
}

// Plans returns what one of the store's connections has prepared.
func (s *Store) Plans(ctx context.Context) ([]Planned, error) {
	rows, err := s.pool.Query(ctx, `SELECT statement, custom_plans, generic_plans FROM pg_prepared_statements`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Planned])
}
