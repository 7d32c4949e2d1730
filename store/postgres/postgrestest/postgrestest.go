// Package postgrestest gives tests a PostgreSQL store of their own: a schema
// that no other test sees, so that all of them can run in parallel on one
// database. The database is that of TEST_DATABASE_URL.
package postgrestest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap/zaptest"

	"github.com/wxnotify/wxnotify/store/postgres"
)

// timeout bounds setting up and taking down.
const timeout = 30 * time.Second

// Open returns a store on a fresh, migrated schema, and the URL by which other
// stores reach the same schema. The store is closed and the schema dropped when
// the test ends. Without TEST_DATABASE_URL the test is skipped, or fails when
// WXNOTIFY_TEST_SERVERS is "required".
func Open(tb testing.TB) (*postgres.Store, string) {
	tb.Helper()
	address := URL(tb)
	s := OpenURL(tb, address)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.Migrate(ctx, nil); err != nil {
		tb.Fatalf("migrate test schema: %v", err)
	}
	return s, address
}

// OpenURL returns one more store on a URL that Open or URL gave, for tests in
// which several processes share a database. It is closed when the test ends.
func OpenURL(tb testing.TB, address string) *postgres.Store {
	tb.Helper()
	s, err := postgres.Open(context.Background(), postgres.Config{URL: address, MaxConns: 4, Logger: zaptest.NewLogger(tb)})
	if err != nil {
		tb.Fatalf("open test store: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// URL creates an empty schema and returns a URL whose search_path is that
// schema. It is dropped when the test ends.
func URL(tb testing.TB) string {
	tb.Helper()
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			tb.Fatal("TEST_DATABASE_URL is not set, but test servers are required")
		}
		tb.Skip("TEST_DATABASE_URL is not set")
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	schema := "wxnotify_test_" + hex.EncodeToString(random[:])
	execute(tb, base, "CREATE SCHEMA "+schema)
	tb.Cleanup(func() { execute(tb, base, "DROP SCHEMA "+schema+" CASCADE") })
	return withSearchPath(tb, base, schema)
}

// execute runs one statement on a connection of its own.
func execute(tb testing.TB, address, statement string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		tb.Fatalf("connect to the test database: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		tb.Fatalf("prepare test schema: %v", err)
	}
}

// withSearchPath sets the search_path of a connection string of either form.
func withSearchPath(tb testing.TB, address, schema string) string {
	tb.Helper()
	if !strings.Contains(address, "://") {
		return address + " search_path=" + schema
	}
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal("TEST_DATABASE_URL is not a URL") // the error would quote the password
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}
