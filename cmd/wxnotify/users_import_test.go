package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

// csvFile writes a file for an import.
func csvFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// report runs an import with --json.
func (s shell) report(t *testing.T, args ...string) (r importReport, got answer) {
	t.Helper()
	got = s.run(t, append([]string{"users", "import", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.stdout), &r); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	return r, got
}

func TestUsersImport(t *testing.T) {
	t.Parallel()
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			sh.must(t, "migrate", "up")
			sh.must(t, "users", "bind", "changes", "oOld")
			sh.must(t, "users", "bind", "loses", "oMoves")
			sh.must(t, "users", "bind", "stays", "oStays")
			file := csvFile(t, "\ufeffuser_id,openid,app,unionid\r\n"+
				"new,oNew,,\r\n"+
				"changes,oChanged,"+testApp+",uX\r\n"+
				"wins,oMoves,,\r\n"+
				"stays,oStays,,\r\n"+
				"twice,oFirst,,\r\n"+
				"twice,oSecond,,\r\n"+
				"\r\n"+ // an empty line is no line
				",oNobody,,\r\n"+
				"noid,,,\r\n"+
				"wrongapp,oX,wxother,\r\n"+
				"short,oX\r\n"+
				"\xd6\xd0,oX,,\r\n"+
				`quo"te,oX,,`+"\r\n"+
				" spaces , oSpaces ,,\r\n"+
				"inside,o s3cr3t,,\r\n"+
				"foreign,o中,,\r\n")
			r, got := sh.report(t, file)
			want := importReport{
				boundCount: boundCount{Created: 3, Changed: 1, Moved: 1, Unchanged: 1}, Repeated: 1, Bad: 8,
				Faults: []lineFault{
					{9, "user_id is empty"},
					{10, "openid is empty"},
					{11, "its app is not among those that are set"},
					{12, "has 2 fields, the header has 4"},
					{13, "user_id is not UTF-8"},
					{14, "its quotes do not match"},
					{16, "openid may have letters, digits, - and _ only"},
					{17, "openid may have letters, digits, - and _ only"},
				},
			}
			if diff := cmp.Diff(want, r, cmp.AllowUnexported(importReport{})); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if got.code != exitFailed || !strings.Contains(got.stderr, "line 9: user_id is empty\n") ||
				!strings.HasSuffix(got.stderr, "wxnotify: 8 bad lines left out\n") || strings.Contains(got.stderr+got.stdout, "s3cr3t") {
				t.Errorf("got %+v", got)
			}
			for user, openID := range map[string]string{"new": "oNew", "changes": "oChanged", "wins": "oMoves", "twice": "oSecond", "spaces": "oSpaces"} {
				if got := sh.must(t, "users", "show", user, "--reveal"); !strings.Contains(got, openID+" ") {
					t.Errorf("%s: got %q, want %s", user, got, openID)
				}
			}
		})
	}
}

func TestUsersImportIsRepeatable(t *testing.T) {
	t.Parallel()
	const lines = importChunk + 1
	var text strings.Builder
	text.WriteString("openid,user_id\n")
	for i := range lines {
		fmt.Fprintf(&text, "o%d,u%d\n", i, i)
	}
	for name, newShell := range eachStore {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sh := newShell(t)
			sh.must(t, "migrate", "up")
			r, got := sh.report(t, csvFile(t, text.String()))
			if r.Created != lines || r.Bad != 0 || got.code != exitOK || got.stderr != "" {
				t.Errorf("first: got %+v, %+v", r, got)
			}
			sh.stdin = text.String()
			if got, want := sh.must(t, "users", "import", "-"), "created 0  changed 0  moved 0  unchanged 5,001  repeated 0  bad 0\n"; got != want {
				t.Errorf("again, from stdin: got %q, want %q", got, want)
			}
		})
	}
}

func TestUsersImportFaults(t *testing.T) {
	t.Parallel()
	sh := eachStore["sqlite"](t)
	sh.must(t, "migrate", "up")
	const header = "the first line must be the header user_id,openid, and may add unionid and app"
	for _, tc := range []struct{ name, text, found string }{
		{"empty", "", ""},
		{"no header", "u1,o1\n", "; it has 2 columns and none of these names"},
		{"column missing", "user_id,unionid\n", "; it is user_id,unionid"},
		{"column twice", "user_id,openid,openid\n", "; it is user_id,openid,openid"},
		{"unknown column", "User_ID,OpenID,phone,工号\n", "; it is user_id,openid,phone,(no name)"},
		{"broken header", "\"user_id\n", ""},
	} {
		got := sh.run(t, "users", "import", csvFile(t, tc.text))
		if want := (answer{code: exitFailed, stderr: "wxnotify: " + header + tc.found + "\n"}); got != want {
			t.Errorf("%s: got %+v, want %+v", tc.name, got, want)
		}
	}
	if got := sh.run(t, "users", "import", filepath.Join(t.TempDir(), "none.csv")); got.code != exitFailed {
		t.Errorf("missing file: got %+v", got)
	}
	if got := sh.run(t, "users", "import"); got.code != exitUsage {
		t.Errorf("no file: got %+v", got)
	}
	if got := sh.must(t, "users", "import", csvFile(t, "USER_ID, OpenID\n")); !strings.HasPrefix(got, "created 0 ") {
		t.Errorf("a header and no line: got %q", got)
	}

	many := "user_id,openid\n" + strings.Repeat("u\n", maxShownFaults+5)
	r, got := sh.report(t, csvFile(t, many))
	if r.Bad != maxShownFaults+5 || len(r.Faults) != maxShownFaults || !strings.Contains(got.stderr, "and 5 bad lines more\n") {
		t.Errorf("many faults: got %+v", got)
	}
}

// TestUsersImportStopsAndSaysSo interrupts an import between two chunks.
func TestUsersImportStopsAndSaysSo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	im := &userImport{
		cfg:      &config.Config{Apps: []config.App{{AppID: testApp, Default: true}}},
		store:    &bindOnce{cancel: cancel},
		progress: &progress{},
	}
	var text strings.Builder
	text.WriteString("user_id,openid\n")
	for i := range 2 * importChunk {
		fmt.Fprintf(&text, "u%d,o%d\n", i, i)
	}
	err := im.run(ctx, strings.NewReader(text.String()), testApp)
	if err == nil || im.report.Created != importChunk {
		t.Errorf("got %v and %+v, want the first chunk and an error", err, im.report)
	}
}

// bindOnce takes one chunk and then ends the context.
type bindOnce struct {
	app.BindingStore

	cancel context.CancelFunc
}

// Bind counts everything as created.
func (b *bindOnce) Bind(ctx context.Context, bindings []store.Binding) (store.Bound, error) {
	if err := ctx.Err(); err != nil {
		return store.Bound{}, err
	}
	b.cancel()
	return store.Bound{Created: len(bindings)}, nil
}
