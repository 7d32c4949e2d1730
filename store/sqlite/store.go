package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	_ "modernc.org/sqlite" // the driver
)

// ErrInUse means that another process, or another store of this one, has the
// database file.
var ErrInUse = errors.New("database file is in use")

// readers is how many connections read beside the writer. Reads are short and
// come from memory; more would only wait for each other.
const readers = 4

// busyTimeout is how long a statement waits for a lock of the file. Only a
// backup or a curious person with the sqlite3 command can hold one.
const busyTimeout = 5 * time.Second

// Config says which file to use.
type Config struct {
	// Path is the database file; its directory must exist. Beside it SQLite
	// keeps Path-wal and Path-shm, and this store Path.lock.
	Path string
	// Logger takes what happens beside a call; nil means nowhere.
	Logger *zap.Logger
}

// Store is the store in a SQLite file. It is safe for concurrent use.
type Store struct {
	writer, reader *sql.DB
	lock           *os.File
	logger         *zap.Logger
	closed         atomic.Bool

	leadMu sync.Mutex
	leads  bool
}

// Open opens the file, or creates it, and migrates nothing. It fails with
// ErrInUse when someone else has the file open.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Path == "" {
		return nil, errors.New("open sqlite store: no path")
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, fmt.Errorf("open sqlite store: %w", err)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open sqlite store %s: %w", path, err)
	}
	s := &Store{lock: lock, logger: c.Logger}
	s.writer, err = open(ctx, path, 1, "synchronous(FULL)", "journal_mode(WAL)", "foreign_keys(1)")
	if err == nil {
		s.reader, err = open(ctx, path, readers, "query_only(1)")
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("open sqlite store %s: %w", path, err)
	}
	return s, nil
}

// open opens conns connections with the pragmas set on each.
func open(ctx context.Context, path string, conns int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append(pragmas, fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()))}
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") { // a drive letter
		name = "/" + name
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: name, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close closes the file and gives its lock back. Closing twice does nothing.
func (s *Store) Close() {
	if s.closed.Swap(true) {
		return
	}
	for _, db := range []*sql.DB{s.reader, s.writer} {
		if db == nil {
			continue
		}
		if err := db.Close(); err != nil {
			s.logger.Error("cannot close the database", zap.Error(err))
		}
	}
	// Closing gives the lock back. The file stays: to remove it would let two
	// others lock two files of one name.
	_ = s.lock.Close()
}

// Ping reports whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	return s.wrap("ping database", s.reader.PingContext(ctx))
}

// writeTx is a transaction of the writer.
type writeTx struct {
	tx    *sql.Tx
	now   int64 // microseconds since 1970, the same for the whole transaction
	stmts map[string]*sql.Stmt
}

// write runs do in a transaction that has the file for itself.
func (s *Store) write(ctx context.Context, op string, do func(tx *writeTx) error) error {
	// The pool's one connection is the queue of the writers.
	sqlTx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return s.wrap(op, err)
	}
	tx := &writeTx{tx: sqlTx, now: time.Now().UnixMicro(), stmts: map[string]*sql.Stmt{}}
	if err := do(tx); err != nil {
		_ = sqlTx.Rollback() // the first error is the one that tells
		return s.wrap(op, err)
	}
	return s.wrap(op, sqlTx.Commit())
}

// with calls do with the prepared query, which is prepared once per transaction
// and closed with it.
func (t *writeTx) with(ctx context.Context, query string, do func(*sql.Stmt) error) error {
	stmt, ok := t.stmts[query]
	if !ok {
		var err error
		if stmt, err = t.tx.PrepareContext(ctx, query); err != nil {
			return err
		}
		t.stmts[query] = stmt
	}
	return do(stmt)
}

// exec runs the statement and returns how many rows it changed.
func (t *writeTx) exec(ctx context.Context, query string, args ...any) (n int, err error) {
	err = t.with(ctx, query, func(stmt *sql.Stmt) error {
		result, err := stmt.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		changed, err := result.RowsAffected()
		n = int(changed)
		return err
	})
	return n, err
}

// row runs the query and takes its one row; sql.ErrNoRows when there is none.
func (t *writeTx) row(ctx context.Context, query string, args, fields []any) error {
	return t.with(ctx, query, func(stmt *sql.Stmt) error {
		return stmt.QueryRowContext(ctx, args...).Scan(fields...)
	})
}

// rows runs the query and calls each for every row.
func (t *writeTx) rows(ctx context.Context, query string, args []any, each func(*sql.Rows) error) error {
	return t.with(ctx, query, func(stmt *sql.Stmt) error {
		rows, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		return forEach(rows, each)
	})
}

// query reads beside the writer.
func (s *Store) query(ctx context.Context, op, query string, args []any, each func(*sql.Rows) error) error {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return s.wrap(op, err)
	}
	return s.wrap(op, forEach(rows, each))
}

// forEach calls each for every row and closes them.
func forEach(rows *sql.Rows, each func(*sql.Rows) error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
