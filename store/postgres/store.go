package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"
)

// Config says which database to use.
type Config struct {
	// URL is a postgres:// URL or a keyword/value connection string. The schema
	// is the first of its search_path.
	URL string
	// MaxConns bounds the pool; 0 leaves it to pool_max_conns of the URL, or to
	// pgx (four, or the number of CPUs when that is more).
	MaxConns int
	// Logger takes what happens beside a call; nil means nowhere.
	Logger *zap.Logger
}

// Store is the store on PostgreSQL. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	logger *zap.Logger

	schemaMu   sync.Mutex
	schemaName string // "" until it was asked for

	leadMu sync.Mutex
	lead   *pgx.Conn // holds the advisory lock of the leader; nil when not leading
	// leadSilence and balancePages are the constants, but in tests.
	leadSilence  time.Duration
	balancePages int
}

// Open makes a store. It connects when a connection is first needed, so it
// succeeds while the database is away, and it migrates nothing.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.URL == "" {
		return nil, errors.New("open postgres store: no URL")
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		// pgx redacts the password in this text.
		return nil, fmt.Errorf("open postgres store: %w", err)
	}
	if c.MaxConns > 0 {
		config.MaxConns = int32(min(c.MaxConns, 10_000))
		config.MinConns = min(config.MinConns, config.MaxConns)
	}
	config.AfterConnect = planByIndex
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open postgres store: %w", classify(err))
	}
	return &Store{pool: pool, logger: c.Logger, leadSilence: leadSilence, balancePages: balancePages}, nil
}

// planByIndex tells the planner that every statement here goes through an
// index, and in the order that the index has. A plan is kept as long as its
// connection; one that was made while the tables were small would read them from
// end to end when they are not, until the next ANALYZE. A bitmap and a sort read
// all that a condition leaves before they yield a page of it: how much that is,
// statistics of another time do not tell.
func planByIndex(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `
		SET enable_seqscan = off;
		SET enable_bitmapscan = off;
		SET enable_sort = off;
		SET enable_hashjoin = off;
		SET enable_mergejoin = off;
		SET jit = off`,
		pgx.QueryExecModeSimpleProtocol)
	return err
}

// Close ends leadership and closes every connection. It waits for calls that
// are running.
func (s *Store) Close() {
	s.endLead()
	s.pool.Close()
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("ping database: %w", classify(err))
	}
	return nil
}

// run sends the batch as one pipeline, that is as one transaction. Each query
// of the batch takes its own rows through QueuedQuery.Query or Exec; what they
// took is valid only when run returns nil.
func (s *Store) run(ctx context.Context, b *pgx.Batch) error {
	return classify(s.pool.SendBatch(ctx, b).Close())
}
