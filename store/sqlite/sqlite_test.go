package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/store/storetest"
)

func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path, Logger: zaptest.NewLogger(tb)})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Store {
		s := open(t, filepath.Join(t.TempDir(), "a path with ? and % and #.db"))
		if err := s.Migrate(context.Background(), nil); err != nil {
			t.Fatalf("migrate: %v", err)
		}
		return s
	})
}

func TestFileIsLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "wxnotify.db")
	first := open(t, path)
	if _, err := sqlite.Open(context.Background(), sqlite.Config{Path: path}); !errors.Is(err, sqlite.ErrInUse) {
		t.Fatalf("opened twice: %v, want ErrInUse", err)
	}
	if err := first.Migrate(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	first.Close()
	second := open(t, path)
	if have, want, err := second.Version(context.Background()); have != want || err != nil {
		t.Errorf("opened again: version %d of %d, %v", have, want, err)
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"no path":      "",
		"no directory": filepath.Join(t.TempDir(), "none", "wxnotify.db"),
		"a directory":  t.TempDir(),
	} {
		s, err := sqlite.Open(context.Background(), sqlite.Config{Path: path})
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
}
