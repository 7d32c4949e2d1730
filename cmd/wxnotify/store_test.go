package main

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// The app and an openid of the tests; real ones have this length.
const (
	testApp    = "wx0123456789abcdef"
	testOpenID = "oAbcdefghijklmnopqrstuvwxyz1"
)

// eachStore makes a shell on an empty database of each kind.
var eachStore = map[string]func(*testing.T) shell{
	"sqlite": func(t *testing.T) shell {
		t.Helper()
		return shell{env: map[string]string{
			"DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "x.db"), "WECHAT_APPID": testApp,
		}}
	},
	"postgres": func(t *testing.T) shell {
		t.Helper()
		return shell{env: map[string]string{"DATABASE_URL": postgrestest.URL(t), "WECHAT_APPID": testApp}}
	},
}

// open opens the store of the shell beside the commands.
func (s shell) open(t *testing.T) app.Store {
	t.Helper()
	cfg, err := config.Load(config.Sources{LookupEnv: func(name string) (string, bool) {
		text, ok := s.env[name]
		return text, ok
	}})
	if err != nil {
		t.Fatal(err)
	}
	st, err := app.OpenStore(t.Context(), cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			got := newShell(t).runContext(ctx, "migrate", "status")
			if got.code != exitFailed || got.stderr != "wxnotify: interrupted\n" {
				t.Errorf("got %+v", got)
			}
		})
	}
}
