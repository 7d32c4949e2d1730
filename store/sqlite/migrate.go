package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is named as in store/postgres.
const versionTable = "wxnotify_schema"

// Migrate brings the schema to the version of this program, step by step.
// progress, which may be nil, gets a line for each step done.
func (s *Store) Migrate(ctx context.Context, progress func(string)) error {
	p, err := s.provider()
	if err != nil {
		return s.wrap("migrate", err)
	}
	for {
		step, err := p.UpByOne(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if err != nil {
			return s.wrap("migrate", err)
		}
		if progress != nil {
			progress(fmt.Sprintf("applied %s (%s)", step.Source.Path, step.Duration.Round(time.Millisecond)))
		}
	}
}

// MigrateDown takes the schema one version back. What the newer version kept is
// lost. It does nothing when nothing is applied.
func (s *Store) MigrateDown(ctx context.Context) error {
	p, err := s.provider()
	if err != nil {
		return s.wrap("migrate down", err)
	}
	if _, err = p.Down(ctx); errors.Is(err, goose.ErrNoNextVersion) {
		return nil
	}
	return s.wrap("migrate down", err)
}

// Version returns the schema's version, 0 when there is none, and the one this
// program was built for. It only reads.
func (s *Store) Version(ctx context.Context) (have, want int64, err error) {
	want, err = wantVersion()
	if err != nil {
		return 0, 0, fmt.Errorf("schema version: %w", err)
	}
	var exists int
	err = s.reader.QueryRowContext(ctx, `SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?`, versionTable).Scan(&exists)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, want, nil
	}
	if err == nil {
		err = s.reader.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+versionTable).Scan(&have)
	}
	return have, want, s.wrap("schema version", err)
}

func (s *Store) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	versions, err := database.NewStore(database.DialectSQLite3, versionTable)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectCustom, s.writer, dir, goose.WithStore(versions), goose.WithDisableGlobalRegistry(true))
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
