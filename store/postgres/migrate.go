package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"github.com/wxnotify/wxnotify/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is our own, because another program in the same schema may use
// goose too.
const versionTable = "wxnotify_schema"

// Migrate brings the schema to the version of this program, step by step.
// Several processes may do it at once: an advisory lock lets one work while the
// others wait, for at most five minutes. progress, which may be nil, gets a line
// for each step done.
func (s *Store) Migrate(ctx context.Context, progress func(string)) error {
	return explainLock(s.withProvider(ctx, "migrate", func(p *goose.Provider) error {
		for {
			step, err := p.UpByOne(ctx)
			if errors.Is(err, goose.ErrNoNextVersion) {
				return nil
			}
			if err != nil {
				return err
			}
			if progress != nil {
				progress(fmt.Sprintf("applied %s (%s)", step.Source.Path, step.Duration.Round(time.Millisecond)))
			}
		}
	}))
}

// explainLock says what to do when a table was not to be had.
func explainLock(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.SQLState == codeLockTimeout {
		return fmt.Errorf("a dump, a report or another long transaction uses the table; migrate again when it is over: %w", err)
	}
	return err
}

// MigrateDown takes the schema one version back. What the newer version kept is
// lost. It does nothing when nothing is applied.
func (s *Store) MigrateDown(ctx context.Context) error {
	return s.withProvider(ctx, "migrate down", func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		return err
	})
}

// Version returns the schema's version, 0 when there is none, and the one this
// program was built for. It only reads.
func (s *Store) Version(ctx context.Context) (have, want int64, err error) {
	want, err = wantVersion()
	if err != nil {
		return 0, 0, fmt.Errorf("schema version: %w", err)
	}
	var exists bool
	err = s.pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&exists)
	if err != nil || !exists {
		return 0, want, wrap("schema version", err)
	}
	err = s.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable).Scan(&have)
	return have, want, wrap("schema version", err)
}

// withProvider runs do with a migration provider on connections of its own, so
// that migrating works however small the pool is.
func (s *Store) withProvider(ctx context.Context, op string, do func(*goose.Provider) error) (err error) {
	config := s.pool.Config().ConnConfig
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()

	p, err := provider(ctx, db)
	if err != nil {
		return wrap(op, err)
	}
	return wrap(op, do(p))
}

func provider(ctx context.Context, db *sql.DB) (*goose.Provider, error) {
	// Schemas of one database migrate independently of each other.
	var lockID int64
	err := db.QueryRowContext(ctx, `SELECT hashtextextended('wxnotify/migrate/' || coalesce(current_schema(), ''), 0)`).Scan(&lockID)
	if err != nil {
		return nil, err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	versions, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectCustom, db, dir, goose.WithStore(versions),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
}

// wantVersion is the highest number among the embedded migrations.
func wantVersion() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	var highest int64
	for _, name := range names {
		v, err := goose.NumericComponent(name)
		if err != nil {
			return 0, err
		}
		highest = max(highest, v)
	}
	return highest, nil
}

// wrap classifies err and says what was tried; nil stays nil, and an error that
// is the store's already stays as it is.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUnavailable) {
		err = classify(err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
