package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

// minPostgres is the oldest version that is tested, as server_version_num.
const minPostgres = 14_00_00

// processConns is how many connections one process may hold: the pool, and the
// one that keeps Relay's lock.
const processConns = storeConns + 1

// databaseChecks are those of the kind of database that is set.
func (d *Doctor) databaseChecks(cfg *config.Config, logger *zap.Logger) group {
	if cfg.Database.IsZero() {
		return unset("database", "DATABASE_URL")
	}
	if path, ok := cfg.Database.SQLite(); ok {
		return d.sqliteChecks(cfg, path, logger)
	}
	address, _ := cfg.Database.Postgres()
	f := new(postgresFacts)
	return group{
		{"database", func(ctx context.Context) Result { return f.reach(ctx, address, cfg.Database.String()) }},
		{"database version", f.judge((*postgresFacts).checkVersion)},
		{"database schema", func(ctx context.Context) Result { return schemaCheck(ctx, cfg, logger) }},
		{"database durability", f.judge((*postgresFacts).checkDurability)},
		{"database role", f.judge((*postgresFacts).checkRole)},
		{"database encoding", f.judge((*postgresFacts).checkEncoding)},
		{"database pooler", func(ctx context.Context) Result { return checkPooler(ctx, address) }},
		{"database connections", f.judge((*postgresFacts).checkConnections)},
		{"database clock", f.judge((*postgresFacts).checkClock)},
	}
}

// postgresFacts is what the first check learns and the others judge.
type postgresFacts struct {
	number                int
	version               string
	syncCommit, fsync     string
	encoding              string
	standby, readOnly     bool
	limit, reserved, used int

	now, from, until time.Time
}

func (f *postgresFacts) judge(check func(*postgresFacts) Result) func(context.Context) Result {
	return func(context.Context) Result { return check(f) }
}

// reach connects and asks once for everything.
func (f *postgresFacts) reach(ctx context.Context, address, shown string) Result {
	conn, err := connectSimply(ctx, address)
	if err != nil {
		return fail(shown+": "+shortErr(err), postgresAdvice(err))
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it was only read
	// The first query of a connection costs more round trips than the next, which
	// would show as a wrong clock.
	if err := conn.Ping(ctx); err != nil {
		return fail(shown+": "+shortErr(err), postgresAdvice(err))
	}
	f.from = time.Now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&f.now); err != nil {
		return fail(shown+": "+shortErr(err), postgresAdvice(err))
	}
	f.until = time.Now()
	// pg_stat_database counts connections also for who may not see whose they are.
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'),
			current_setting('synchronous_commit'), current_setting('fsync'),
			current_setting('server_encoding'),
			pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool,
			current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,
			(SELECT coalesce(sum(numbackends), 0)::int FROM pg_stat_database)`).Scan(
		&f.number, &f.version, &f.syncCommit, &f.fsync, &f.encoding, &f.standby, &f.readOnly, &f.limit, &f.reserved, &f.used)
	if err != nil {
		return fail(shown+": "+shortErr(err), postgresAdvice(err))
	}
	return okay("%s answers", shown)
}

// connectSimply connects for the simple protocol, which works through any pooler
// and leaves no prepared statement behind with it.
func connectSimply(ctx context.Context, address string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgx.ConnectConfig(ctx, config)
}

func (f *postgresFacts) checkVersion() Result {
	if f.number < minPostgres {
		return fail("PostgreSQL "+f.version, "PostgreSQL 14 or later is needed")
	}
	return okay("PostgreSQL %s", f.version)
}

func (f *postgresFacts) checkDurability() Result {
	found := "synchronous_commit " + f.syncCommit + ", fsync " + f.fsync
	switch {
	case f.fsync == "off":
		return warn(found, "set fsync on: a crash of its machine may lose or break the database")
	case f.syncCommit == "off":
		return warn(found, "set synchronous_commit on (also for this user and database): a crash may lose what was accepted last, and sends whose result was not kept are repeated")
	}
	return okay("%s", found)
}

func (f *postgresFacts) checkRole() Result {
	switch {
	case f.standby:
		return fail("a standby: it takes no writes", "let DATABASE_URL name the primary, with several hosts add target_session_attrs=read-write")
	case f.readOnly:
		return fail("default_transaction_read_only is on", "switch it off for this user and database")
	}
	return okay("takes writes")
}

// checkEncoding finds a database that cannot keep what messages are made of.
func (f *postgresFacts) checkEncoding() Result {
	if f.encoding != "UTF8" {
		return fail("the database's encoding is "+f.encoding, "create the database anew with ENCODING 'UTF8' TEMPLATE template0: it has to keep any character of any message")
	}
	return okay("UTF8")
}

func (f *postgresFacts) checkConnections() Result {
	free := f.limit - f.reserved - f.used
	found := fmt.Sprintf("%d of %d in use", f.used, f.limit)
	if free < processConns {
		return warn(found, fmt.Sprintf("raise max_connections, or put a pooler in session mode before it: each process may hold %d", processConns))
	}
	return okay("%s; each process holds up to %d", found, processConns)
}

func (f *postgresFacts) checkClock() Result { return clockResult(f.now, f.from, f.until) }

// sqliteChecks only read: a file that is not there is not made.
func (d *Doctor) sqliteChecks(cfg *config.Config, path string, logger *zap.Logger) group {
	return group{
		{"database", func(context.Context) Result {
			info, err := os.Stat(path)
			switch {
			case errors.Is(err, os.ErrNotExist):
				return fail("sqlite: there is no such file", "run wxnotify migrate up, or correct DATABASE_URL")
			case err != nil:
				return fail("sqlite: "+shortErr(err), "let this user read and write the file of DATABASE_URL")
			case !info.Mode().IsRegular():
				return fail("sqlite: not a file", "correct DATABASE_URL")
			}
			return okay("%s, %s", cfg.Database, megabytes(info.Size()))
		}},
		{"database schema", func(ctx context.Context) Result { return schemaCheck(ctx, cfg, logger) }},
	}
}

// schemaCheck compares the schema with the program's.
func schemaCheck(ctx context.Context, cfg *config.Config, logger *zap.Logger) Result {
	s, err := OpenStore(ctx, cfg, logger)
	if errors.Is(err, sqlite.ErrInUse) {
		return Result{Status: StatusSkipped, Found: "another process has the file, and has checked it"}
	}
	if err != nil {
		return fail(shortErr(err), "correct DATABASE_URL")
	}
	defer s.Close()
	have, want, err := s.Version(ctx)
	if err != nil {
		return fail(shortErr(err), schemaAdvice(err))
	}
	return schemaResult(have, want)
}

// sessionAdvice is what to do when a prepared statement is met in, or missing
// from, a session that another connection made.
const sessionAdvice = "see the database's pooler: it has to be in session mode"

// schemaAdvice reads the SQLSTATE out of the store's text, which is all that the
// store hands on.
func schemaAdvice(err error) string {
	if text := err.Error(); strings.Contains(text, "SQLSTATE 42P05") || strings.Contains(text, "SQLSTATE 26000") {
		return sessionAdvice
	}
	return "let the user of DATABASE_URL read the schema"
}

func schemaResult(have, want int64) Result {
	const up = "run wxnotify migrate up"
	switch {
	case have == 0:
		return fail("no schema", up)
	case have < want:
		return fail(fmt.Sprintf("version %d, this program needs %d", have, want), up)
	case have > want:
		return fail(fmt.Sprintf("version %d, this program knows %d", have, want), "run a newer wxnotify")
	}
	return okay("version %d", have)
}

// postgresAdvice says what to do about an error of PostgreSQL or of the way to
// it.
func postgresAdvice(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case strings.HasPrefix(e.Code, "28"): // authorization
			return "correct user and password in DATABASE_URL; see pg_hba.conf"
		case e.Code == "3D000":
			return "create the database, or correct its name in DATABASE_URL"
		case e.Code == "42P05", e.Code == "26000": // a prepared statement of another session
			return sessionAdvice
		case e.Code == "42501":
			return "let the user of DATABASE_URL read and write the schema"
		case e.Code == "53300":
			return "raise max_connections, or put a pooler in session mode before it"
		}
	}
	return "start PostgreSQL, or correct DATABASE_URL; see also firewalls and sslmode"
}
