package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			status := func() (v schema, code int) {
				t.Helper()
				got := sh.run(t, "migrate", "status", "--json")
				if err := json.Unmarshal([]byte(got.stdout), &v); err != nil {
					t.Fatalf("%v in %+v", err, got)
				}
				return v, got.code
			}
			before, code := status()
			if before.Have != 0 || before.Want < 1 || code != exitFailed {
				t.Fatalf("before: got %+v, exit code %d", before, code)
			}
			have := fmt.Sprintf("schema version 0 of %d", before.Want)
			const remedy = "run 'wxnotify migrate up'\n"
			if got, want := sh.run(t, "users", "show", "u1"), (answer{exitFailed, "", "wxnotify: " + have + ": " + remedy}); got != want {
				t.Errorf("a command on an empty database: got %+v, want %+v", got, want)
			}
			if got, want := sh.run(t, "migrate", "status"), (answer{exitFailed, have + "\n", "wxnotify: " + remedy}); got != want {
				t.Errorf("status of an empty database: got %+v, want %+v", got, want)
			}

			got := sh.run(t, "migrate", "up")
			if got.code != exitOK || !strings.HasSuffix(got.stdout, ": up to date\n") || !strings.Contains(got.stderr, "0001") {
				t.Errorf("up: got %+v", got)
			}
			if got := sh.run(t, "migrate", "up"); got.code != exitOK || got.stderr != "" {
				t.Errorf("up again: got %+v", got)
			}
			after, code := status()
			if after.Have != after.Want || code != exitOK {
				t.Errorf("after: got %+v, exit code %d", after, code)
			}

			if got := sh.run(t, "migrate", "down"); got.code != exitUsage || !strings.Contains(got.stderr, "--yes") {
				t.Errorf("down without --yes: got %+v", got)
			}
			if v, _ := status(); v != after {
				t.Errorf("down without --yes changed the schema to %+v", v)
			}
			sh.must(t, "migrate", "down", "--yes")
			if v, _ := status(); v.Have != after.Have-1 {
				t.Errorf("down: got %+v", v)
			}
		})
	}
}

func TestMigrateNeedsADatabase(t *testing.T) {
	t.Parallel()
	got := shell{}.run(t, "migrate", "up")
	if got.code != exitFailed || !strings.Contains(got.stderr, "DATABASE_URL") {
		t.Errorf("got %+v", got)
	}
}

func TestUnreachableDatabaseKeepsItsPassword(t *testing.T) {
	t.Parallel()
	sh := shell{env: map[string]string{"DATABASE_URL": "postgres://u:s3cr3t@127.0.0.1:1/x?connect_timeout=1&sslmode=disable"}}
	got := sh.run(t, "migrate", "status")
	if got.code != exitFailed || strings.Contains(got.stderr, "s3cr3t") || !strings.Contains(got.stderr, "unavailable") {
		t.Errorf("got %+v", got)
	}
}
