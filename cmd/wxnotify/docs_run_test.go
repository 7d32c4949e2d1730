package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// docRuns are the pages whose blocks marked "run" TestDocsRun runs, in their
// order, in a shell with errexit on servers of their own. What a page takes for
// granted is prepared before.
var docRuns = []struct {
	path    string
	prepare string
	dumps   bool // the whole database
}{
	{path: "README.md", prepare: `
		printf 'user_id,openid\n1042,` + docOpenID + `\n' >users.csv
		printf 7d1f0c5b9a8e4d6f3b2a1c0e9f8d7b6a >wechat_secret`},
	{path: "deploy/docs/guarantees.md", prepare: prepareDoubts + `
		DOUBT=$(doubt 1) OTHER_DOUBT=$(doubt 2)`},
	{path: "deploy/docs/operations.md", dumps: true, prepare: prepareDoubts + `
		KNOWN=$(doubt 1)`},
	{path: "deploy/docs/capacity.md", prepare: `
		wxnotify migrate up`},
	{path: "deploy/docs/migration.md", prepare: `
		wxnotify migrate up
		printf 'user_id\topenid\n1042\t` + docOpenID + `\n' >users.tsv`},
}

const (
	docOpenID = "oDemo0000000000000000000user"
	// prepareDoubts makes notifications that died in doubt, as a restored database
	// has them.
	prepareDoubts = `
		wxnotify migrate up
		for i in 1 2 3; do
			wxnotify send --template ` + simulator.SeedReport + ` --openid ` + docOpenID + ` --data thing1=月报 --data thing2=3月
		done
		psql -q "$DATABASE_URL" -c "UPDATE notifications SET state = 'dead', class = 'fault', reason = 'in_doubt', handover_at = NULL, finished_at = now()"
		doubt() { psql -At "$DATABASE_URL" -c "SELECT id FROM notifications ORDER BY id OFFSET $1 LIMIT 1"; }`
)

// databaseTimeout bounds making and dropping a database, which waits for a
// checkpoint of everything that other tests wrote.
const databaseTimeout = 5 * time.Minute

// ownSchema is an empty schema of this test alone, by a URL that psql reads too.
func ownSchema(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(postgrestest.URL(t))
	if err != nil {
		t.Fatal("TEST_DATABASE_URL is no URL") // the error would quote the password
	}
	q := u.Query()
	q.Set("options", "-csearch_path="+q.Get("search_path"))
	q.Del("search_path")
	u.RawQuery = q.Encode()
	return u.String()
}

// ownDatabase is an empty database of this test alone: pg_dump takes all schemas,
// those of other tests included, which come and go.
func ownDatabase(t *testing.T) string {
	t.Helper()
	base := os.Getenv("TEST_DATABASE_URL")
	for _, program := range []string{"psql", "pg_dump", "pg_restore"} {
		if _, err := exec.LookPath(program); err != nil || base == "" {
			if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
				t.Fatalf("%s or TEST_DATABASE_URL is missing", program)
			}
			t.Skipf("%s or TEST_DATABASE_URL is missing", program)
		}
	}
	name := "wxnotify_docs_" + strings.ToLower(rand.Text())
	run := func(statement string) {
		ctx, cancel := context.WithTimeout(context.Background(), databaseTimeout)
		defer cancel()
		conn, err := pgx.Connect(ctx, base)
		if err == nil {
			_, err = conn.Exec(ctx, statement)
			_ = conn.Close(ctx)
		}
		if err != nil {
			t.Error(err)
		}
	}
	run("CREATE DATABASE " + name)
	t.Cleanup(func() { run("DROP DATABASE " + name + " WITH (FORCE)") })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("TEST_DATABASE_URL is no URL") // the error would quote the password
	}
	u.Path = "/" + name
	return u.String()
}

// docShell is a directory and an environment in which a page's commands work:
// wxnotify is this program, WeChat a simulated one.
func docShell(t *testing.T, database string) (dir string, env []string) {
	t.Helper()
	wechat, err := app.ServeSimulator(t.Context(), "127.0.0.1:0", simulator.Config{Apps: []simulator.App{simulator.SeedApp()}, AutoConsent: true}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), runDeadline)
		defer cancel()
		_ = wechat.Stop(ctx) // breaks what does not end
	})
	dir = t.TempDir()
	program := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", programEnv, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "wxnotify"), []byte(program), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, []string{
		"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8",
		"REDIS_URL=redis://" + startRedis(t, "--appendonly", "yes", "--maxmemory-policy", "noeviction") + "/0", "DATABASE_URL=" + database,
		"WECHAT_API_BASE_URL=" + wechat.URL, "WECHAT_APPID=" + simulator.SeedApp().AppID, "WECHAT_SECRET=" + simulator.SeedApp().Secret,
		"LISTEN_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "API_KEYS=approval:" + strings.Repeat("k", 32),
	}
}

// given are lines that the test does itself: settings, a build, and commands
// that stay up, which go into the background.
var (
	given   = regexp.MustCompile(`(?m)^(export .*|go build .*)$`)
	staying = regexp.MustCompile(`(?m)^((?:\./)?wxnotify (?:worker|gateway)\b[^#\n]*?)( *#.*)?$`)
	prompts = regexp.MustCompile(`(?m)^\$ `)
)

// script makes a block ready to be run.
func (f fence) script() string {
	s := given.ReplaceAllString(f.text, ":")
	s = staying.ReplaceAllString(s, "$1 &")
	s = strings.ReplaceAll(s, "--admin-addr 127.0.0.1:9091", "--admin-addr 127.0.0.1:0")
	s = strings.ReplaceAll(s, "TEMPLATE_ID", simulator.SeedReport)
	return prompts.ReplaceAllString(s, "")
}

// Every block that says so is run, as it stands.
func TestDocsRun(t *testing.T) {
	t.Parallel()
	for _, r := range docRuns {
		t.Run(filepath.Base(r.path), func(t *testing.T) {
			t.Parallel()
			var script strings.Builder
			script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait || true' EXIT\n{\n" + r.prepare + "\n} >/dev/null\n")
			blocks := 0
			p := doc(t, r.path)
			for _, f := range p.fences() {
				if f.commands() && f.marker == "<!-- run -->" {
					blocks++
					fmt.Fprintf(&script, "echo '== line %d'\n%s\n", f.line, f.script())
				}
			}
			script.WriteString("echo '== end'\n")
			if blocks == 0 {
				t.Fatal("the page has no block to run")
			}
			database := ownSchema
			if r.dumps {
				database = ownDatabase
			}
			dir, env := docShell(t, database(t))
			ctx, cancel := context.WithTimeout(t.Context(), 10*runDeadline) // some twenty programs, one after the other
			defer cancel()
			cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
			cmd.Dir, cmd.Env, cmd.WaitDelay = dir, env, 5*time.Second
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "== end") {
				t.Errorf("%s: %v\n%s", r.path, err, out)
			}
		})
	}
}
