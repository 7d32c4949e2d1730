package app_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/wxnotify/wxnotify"

// anything allows every package but the binary, which nothing imports.
const anything = "*"

// allowed says for each package, by its directory, which of ours it may import.
// Data goes one way: producer -> store and queue -> worker -> worker/wechat, so
// producer and worker meet only in worker/task. A package that is not listed
// here has no room yet: give it a line when its place is decided.
var allowed = map[string][]string{
	"store":            {},
	"store/postgres":   {"store"},
	"store/sqlite":     {"store"},
	"store/storetest":  {"store", "store/postgres", "store/sqlite", "worker/wechat/simulator"}, // the ledger is held against it
	"store/tokencache": {"store"},

	"worker/jsonobject":       {},
	"worker/task":             {"store", "worker/jsonobject"},
	"worker/wechat":           {"worker/jsonobject"},
	"worker/wechat/simulator": {"worker/wechat"},
	"worker":                  {"store", "worker/task", "worker/wechat"},

	"producer":          {"store", "worker/task"},
	"producer/callback": {"store"},
	"producer/template": {"store"},
	"producer/webhook":  {"store"},
	"producer/gateway":  {"producer", "producer/callback", "producer/gateway/apikey", "producer/template", "store", "worker/task", "worker/wechat"},

	"producer/gateway/apikey":           {},
	"producer/gateway/console":          {"producer", "producer/gateway/console/password", "producer/template", "store", "worker/task"},
	"producer/gateway/console/password": {},

	"cmd/internal/config": {"producer/gateway/apikey", "producer/gateway/console/password", "producer/template", "store", "worker/task"},
	"cmd/internal/app":    {anything},
	"cmd/internal/bench":  {"producer", "store", "store/postgres", "worker/task", "worker/wechat/simulator"},
	"cmd/wxnotify":        {anything},

	"cmd/internal/processtest": {},
}

// forTests lists what test files and *test packages may import besides what
// their package may: real stores and the wire fake, never the other room.
var forTests = []string{"store", "store/postgres", "store/sqlite", "store/tokencache", "worker/wechat/simulator"}

// An imports is the part of one package's imports that is ours, by directory.
type imports struct {
	production []string
	tests      []string // of _test.go files
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	graph, err := readImports(os.DirFS(filepath.Join("..", "..", "..")))
	if err != nil {
		t.Fatal(err)
	}
	// A walk that began in the wrong place would find nothing to complain about.
	for _, dir := range []string{"store", "worker/task", "worker/wechat", "cmd/internal/app"} {
		if _, ok := graph[dir]; !ok {
			t.Errorf("package %s was not found", dir)
		}
	}
	for _, violation := range checkImports(graph) {
		t.Error(violation)
	}
}

func TestImportCheckerFindsPlantedEdges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		dir  string
		has  imports
		want string // "" for an edge that is in order
	}{
		{"producer to worker", "producer", imports{production: []string{"worker"}}, "producer may not import worker"},
		{"worker to producer", "worker", imports{production: []string{"producer"}}, "worker may not import producer"},
		{"gateway to worker", "producer/gateway", imports{production: []string{"worker"}}, "producer/gateway may not import worker"},
		{"gateway to wechat", "producer/gateway", imports{production: []string{"worker/wechat"}}, ""},
		{"producer to wechat", "producer", imports{production: []string{"worker/wechat"}}, "producer may not import worker/wechat"},
		{"producer to task", "producer", imports{production: []string{"worker/task", "store"}}, ""},
		{"worker to a named store", "worker", imports{production: []string{"store/postgres"}}, "worker may not import store/postgres"},
		{"store to anything", "store", imports{production: []string{"worker/task"}}, "store may not import worker/task"},
		{"one store to the other", "store/sqlite", imports{production: []string{"store/postgres"}}, "store/sqlite may not import store/postgres"},
		{"wechat to store", "worker/wechat", imports{production: []string{"store"}}, "worker/wechat may not import store"},
		{"simulator in production", "worker", imports{production: []string{"worker/wechat/simulator"}}, "worker may not import worker/wechat/simulator"},
		{"simulator in a command", "cmd/wxnotify", imports{production: []string{"worker/wechat/simulator"}}, ""},
		{"simulator in a test", "worker", imports{tests: []string{"worker", "worker/wechat/simulator"}}, ""},
		{"test package in a command", "cmd/internal/app", imports{production: []string{"store/storetest"}}, "cmd/internal/app may not import store/storetest"},
		{"test package in a test", "store/postgres", imports{tests: []string{"store/storetest"}}, ""},
		{"test package of a package", "worker/workertest", imports{production: []string{"worker", "store/sqlite", "cmd/internal/app"}}, "worker/workertest may not import cmd/internal/app"},
		{"simulator's test package", "worker/workertest", imports{production: []string{"worker/wechat/simulator/simulatortest"}}, ""},
		{"other room's test package", "producer", imports{tests: []string{"worker/workertest"}}, "producer (tests) may not import worker/workertest"},
		{"other room in a test", "producer", imports{tests: []string{"worker"}}, "producer (tests) may not import worker"},
		{"other room in a test package", "producer/producertest", imports{production: []string{"worker"}}, "producer/producertest may not import worker"},
		{"test of the program", "cmd/internal/app", imports{tests: []string{"worker", "producer", "store/storetest"}}, ""},
		{"room to cmd", "worker", imports{production: []string{"cmd/internal/config"}}, "worker may not import cmd/internal/config"},
		{"app to the binary", "cmd/internal/app", imports{production: []string{"cmd/wxnotify"}}, "cmd/internal/app may not import cmd/wxnotify"},
		{"a sixth room", "util", imports{}, "util has no line in the table of allowed imports"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			got := checkImports(map[string]imports{tt.dir: tt.has})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadImports plants a forbidden edge in source text, where the checker
// would have to find it.
func TestReadImports(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"producer/send.go":         `package producer; import ("context"; w "github.com/wxnotify/wxnotify/worker")`,
		"producer/send_test.go":    `package producer_test; import "github.com/wxnotify/wxnotify/store/sqlite"`,
		"producer/other_os.go":     "//go:build plan9\n\npackage producer\n\nimport _ \"github.com/wxnotify/wxnotify/store\"",
		"producer/testdata/bad.go": `package bad; import "github.com/wxnotify/wxnotify/cmd/wxnotify"`,
		"worker/doc.go":            `package worker; import "github.com/wxnotify/wxnotifyish"`,
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	graph, err := readImports(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]imports{
		"producer": {production: []string{"store", "worker"}, tests: []string{"store/sqlite"}},
		"worker":   {},
	}
	if diff := cmp.Diff(want, graph, cmp.AllowUnexported(imports{})); diff != "" {
		t.Errorf("imports (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"producer may not import worker"}, checkImports(graph)); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// readImports parses every Go file of a module tree whatever its build tags,
// which is why it does not ask the go command.
func readImports(tree fs.FS) (map[string]imports, error) {
	graph := map[string]imports{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir // as the go command does
			}
			return nil
		}
		if path.Ext(base) != ".go" {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		found, err := oursIn(name, source)
		if err != nil {
			return err
		}
		has := graph[path.Dir(name)]
		list := &has.production
		if strings.HasSuffix(base, "_test.go") {
			list = &has.tests
		}
		*list = slices.Compact(slices.Sorted(slices.Values(append(*list, found...))))
		graph[path.Dir(name)] = has
		return nil
	})
	return graph, err
}

// oursIn returns the directories of the module's packages that a file imports.
func oursIn(name string, source []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		if dir, ok := strings.CutPrefix(imported, module+"/"); ok {
			found = append(found, dir)
		}
	}
	return found, nil
}

// checkImports returns a sentence for each edge that the table does not allow,
// in a fixed order.
func checkImports(graph map[string]imports) []string {
	var violations []string
	for _, dir := range slices.Sorted(maps.Keys(graph)) {
		production, ok := mayImport(dir)
		if !ok {
			violations = append(violations, dir+" has no line in the table of allowed imports")
			continue
		}
		tests := slices.Concat(production, forTests, []string{dir})
		for _, to := range graph[dir].production {
			if isTestPackage(to) && !isTestPackage(dir) || !permits(production, to) {
				violations = append(violations, dir+" may not import "+to)
			}
		}
		for _, to := range graph[dir].tests {
			if !permits(tests, to) {
				violations = append(violations, dir+" (tests) may not import "+to)
			}
		}
	}
	return violations
}

// mayImport returns the row of a package. A *test package without a row of its
// own is bound as the tests of the package it serves are.
func mayImport(dir string) ([]string, bool) {
	if row, ok := allowed[dir]; ok {
		return row, true
	}
	row, ok := allowed[path.Dir(dir)]
	if !ok || !isTestPackage(dir) {
		return nil, false
	}
	return slices.Concat(row, forTests, []string{path.Dir(dir)}), true
}

// permits reports whether a row allows an import. Who may import a package may
// import what serves its tests; that this is itself a test is the caller's check.
func permits(row []string, to string) bool {
	if slices.Contains(row, anything) {
		return to != "cmd/wxnotify"
	}
	return slices.Contains(row, to) || isTestPackage(to) && slices.Contains(row, path.Dir(to))
}

// isTestPackage reports whether a package serves tests only, which its name says.
func isTestPackage(dir string) bool { return strings.HasSuffix(dir, "test") }
