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
func Open(t testing.TB) (*postgres.Store, string) {
	t.Helper()
	address := URL(t)
	s := OpenURL(t, address)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.Migrate(ctx, nil); err != nil {
		t.Fatalf("migrate test schema: %v", err)
	}
	return s, address
}

// OpenURL returns one more store on a URL that Open or URL gave, for tests in
// which several processes share a database. It is closed when the test ends.
func OpenURL(t testing.TB, address string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(context.Background(), postgres.Config{URL: address, MaxConns: 4, Logger: zaptest.NewLogger(t)})
	if err != nil {
		t.Fatalf("open test store: %v", err)
	}
	t.Cleanup(s.Close)
	return s
}

// URL creates an empty schema and returns a URL whose search_path is that
// schema. It is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	base := os.Getenv("TEST_DATABASE_URL")
	if base == "" {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			t.Fatal("TEST_DATABASE_URL is not set, but test servers are required")
		}
		t.Skip("TEST_DATABASE_URL is not set")
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	schema := "wxnotify_test_" + hex.EncodeToString(random[:])
	execute(t, base, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, base, "DROP SCHEMA "+schema+" CASCADE") })
	return withSearchPath(t, base, schema)
}

// execute runs one statement on a connection of its own.
func execute(t testing.TB, address, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatalf("connect to the test database: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("prepare test schema: %v", err)
	}
}

// withSearchPath sets the search_path of a connection string of either form.
func withSearchPath(t testing.TB, address, schema string) string {
	t.Helper()
	if !strings.Contains(address, "://") {
		return address + " search_path=" + schema
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("TEST_DATABASE_URL is not a URL") // the error would quote the password
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}
