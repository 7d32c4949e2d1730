package producer

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

// testStore is what the tests use of both stores.
type testStore interface {
	Store
	RelayStore
	RetentionStore
	Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error)
	Commit(ctx context.Context, b store.Batch) (store.Results, error)
}

// eachStore runs a test on a store of each kind, empty.
func eachStore(t *testing.T, test func(*testing.T, testStore)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		st, _ := postgrestest.Open(t)
		test(t, st)
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "wxnotify.db")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(st.Close)
		if err := st.Migrate(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		test(t, st)
	})
}
