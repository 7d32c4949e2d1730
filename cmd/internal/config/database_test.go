package config_test

import (
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text, shown, path string
	}{
		{text: "postgres://u:p%40@h:5432/db?sslmode=disable", shown: "postgres://u:***@h:5432/db?sslmode=disable"},
		{text: "postgresql://u@h/db", shown: "postgresql://u@h/db"},
		{text: "postgres:///db?host=/run/postgresql&user=u&password=pw", shown: "postgres:///db?host=/run/postgresql&user=u&password=***"},
		{text: "postgres://u:p@h1:5432,h2:5433/db", shown: "postgres://u:***@h1:5432,h2:5433/db"},
		{text: "postgres://u:p@ss@h/db", shown: "postgres://u:***@h/db"},
		{text: "sqlite:/var/lib/x.db", shown: "sqlite:/var/lib/x.db", path: "/var/lib/x.db"},
		{text: "sqlite:x.db", shown: "sqlite:x.db", path: "x.db"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			d := world{env: map[string]string{"DATABASE_URL": tc.text}}.load(t).Database
			if d.String() != tc.shown {
				t.Errorf("shown: got %s, want %s", d, tc.shown)
			}
			path, isSQLite := d.SQLite()
			if path != tc.path || isSQLite != (tc.path != "") {
				t.Errorf("SQLite: got %q, %v, want %q", path, isSQLite, tc.path)
			}
			rawURL, isPostgres := d.Postgres()
			if isPostgres == isSQLite || isPostgres && rawURL != tc.text {
				t.Errorf("Postgres: got %q, %v", rawURL, isPostgres)
			}
		})
	}
	for _, text := range []string{
		"mysql://h/db", "h/db", "sqlite:", "sqlite::memory:", "sqlite:x.db?mode=ro", "host=h dbname=db",
		"postgres://u:p#x@h/db", "postgres://h:port/db", "postgres://h/db?sslmode=perhaps",
	} {
		if _, err := config.Load(world{env: map[string]string{"DATABASE_URL": text}}.sources()); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestRedisKeyShown(t *testing.T) {
	t.Parallel()
	cfg := world{env: map[string]string{
		"WECHAT_APPID":        "wx1",
		"WECHAT_TOKEN_SOURCE": "redis://:pw@h/1?key=Applet Token",
		"WECHAT_TOKEN_MIRROR": "redis-cluster://:pw@h?tls=true&key=T",
	}}.load(t)
	app := cfg.Apps[0]
	if app.TokenSource.Kind != config.TokenForeign || app.TokenSource.Foreign.Key != "Applet Token" {
		t.Errorf("source: got %v", app.TokenSource)
	}
	if got, want := app.TokenSource.String(), "redis://:***@h:6379/1?key=Applet+Token"; got != want {
		t.Errorf("source: got %s, want %s", got, want)
	}
	if got, want := app.TokenMirror.String(), "redis-cluster://:***@h:6379?tls=true&key=T"; got != want {
		t.Errorf("mirror: got %s, want %s", got, want)
	}
}
