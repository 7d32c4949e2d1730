package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The comment before a block of commands says who runs it.
var (
	markerPattern = regexp.MustCompile(`^<!-- (?:(run)|run: (Test\w+)|not run: (.+)) -->$`)
	testPattern   = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// testNames are all tests of the module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range testPattern.FindAllSubmatch(b, -1) {
			names[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// checkMarker says what is wrong with what is said about who runs a block.
func checkMarker(f fence, tests, runs map[string]bool, path string) error {
	m := markerPattern.FindStringSubmatch(f.marker)
	switch {
	case m == nil:
		return fmt.Errorf("nothing says who runs it: %q", f.marker)
	case m[1] != "" && !runs[path]:
		return fmt.Errorf("TestDocsRun does not know the page")
	case m[2] != "" && !tests[m[2]]:
		return fmt.Errorf("there is no %s", m[2])
	case m[3] != "" && len(strings.Fields(m[3])) < 4:
		return fmt.Errorf("%q is no reason", m[3])
	}
	for _, name := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(m[3], -1) {
		if !tests[name] {
			return fmt.Errorf("there is no %s", name)
		}
	}
	return nil
}

// Each block of commands in the README and the pages is run by a test, or it is
// said why it cannot be. Whatever a table calls a test is one.
func TestDocsSayWhoRunsThem(t *testing.T) {
	t.Parallel()
	tests, runs := testNames(t), map[string]bool{}
	for _, r := range docRuns {
		runs[r.path] = true
	}
	for _, p := range docs(t) {
		if p.path == chineseReadme {
			continue // has the blocks of the README
		}
		for _, f := range p.fences() {
			if !f.commands() {
				continue
			}
			if err := checkMarker(f, tests, runs, p.path); err != nil {
				t.Errorf("%s:%d: %v\n%s", p.path, f.line, err, f.text)
			}
		}
		for _, command := range unlistedCommands(p) {
			t.Errorf("%s: nothing says who runs %q", p.path, command)
		}
		for _, m := range regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(p.prose(), -1) {
			if !tests[m[1]] {
				t.Errorf("%s speaks of %s, which is no test", p.path, m[1])
			}
		}
	}
	if got := unlistedCommands(page{text: "Run `docker compose up` and `systemctl restart it`."}); len(got) != 1 {
		t.Errorf("not listed are %q, want one", got)
	}
	for _, wrong := range []string{"", "<!-- run: TestNothing -->", "<!-- not run: why -->", "<!-- run -->", "<!-- not run: it is left to TestNothing to do -->"} {
		if checkMarker(fence{marker: wrong}, tests, runs, "other.md") == nil {
			t.Errorf("%q: nothing was found", wrong)
		}
	}
}

// inlineCommands are the commands that stand in running text, by their first
// words, and who runs them or why nobody does. Those of wxnotify itself are
// checked word by word instead.
var inlineCommands = map[string]string{
	"docker compose":    "needs Docker; TestCompose loads the file as it is, the test script has compose read it where there is one",
	"kubectl":           "needs a cluster; TestKubernetes reads the manifests",
	"deploy/secrets.sh": "TestSecretsScript runs it",
	"deploy/release.sh": "builds six programs from a clone, which takes minutes; two runs give the same bytes where it is run",
	"deploy/test.sh":    "it is what runs every test",
	"deploy/chaos.sh":   "twenty minutes; the test script runs its short form",
	"./test.sh":         "the test script runs it, where there is a JDK",
	"node --test":       "the test script runs it, where there is a Node",
}

var inlinePattern = regexp.MustCompile("`((?:docker compose|kubectl|systemctl|psql|go run|go test|go build|node|mysql|\\./|deploy/[a-z/]*\\.sh)[^`]*)`")

// unlistedCommands are the commands in a page's running text that nobody
// answers for.
func unlistedCommands(p page) []string {
	var unlisted []string
	for _, m := range inlinePattern.FindAllStringSubmatch(p.prose(), -1) {
		known := false
		for start := range inlineCommands {
			known = known || strings.HasPrefix(m[1], start)
		}
		if !known {
			unlisted = append(unlisted, m[1])
		}
	}
	return unlisted
}

// commandLines are the command lines of ours in a text, without the program's
// name: those in blocks, and those in running text between backquotes.
func commandLines(p page) []string {
	var lines []string
	for _, f := range p.fences() {
		joined := strings.ReplaceAll(f.text, "\\\n", " ")
		for line := range strings.Lines(joined) {
			line, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "$ "), " #")
			for _, part := range regexp.MustCompile(`\|\||&&|[|;]`).Split(line, -1) {
				if rest, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(part), "./"), "wxnotify "); ok && f.commands() {
					lines = append(lines, rest)
				}
			}
		}
	}
	for _, m := range regexp.MustCompile("`wxnotify ([^`]+)`").FindAllStringSubmatch(p.prose(), -1) {
		lines = append(lines, m[1])
	}
	return lines
}

// checkCommandLine says whether a command line names commands and flags that
// there are.
func checkCommandLine(root *cobra.Command, line string) error {
	words := strings.Fields(line)
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return unknownCommand(cmd, rest[0])
	}
	for _, word := range rest {
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		if !strings.HasPrefix(word, "--") || name == "" || name == "help" {
			continue
		}
		known := func(set *pflag.FlagSet) bool { return set.Lookup(name) != nil }
		if !known(cmd.Flags()) && !known(cmd.InheritedFlags()) && !known(cmd.PersistentFlags()) {
			return fmt.Errorf("%s has no --%s", cmd.CommandPath(), name)
		}
	}
	return nil
}

// Every command line of ours that a page shows, runnable here or not, has
// commands and flags that exist.
func TestDocsShowCommandsThatExist(t *testing.T) {
	t.Parallel()
	root := (&program{}).root()
	total := 0
	for _, p := range docs(t) {
		lines := commandLines(p)
		total += len(lines)
		for _, line := range lines {
			if err := checkCommandLine(root, line); err != nil {
				t.Errorf("%s: wxnotify %s: %v", p.path, line, err)
			}
		}
	}
	for start, reason := range inlineCommands {
		for _, name := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(reason, -1) {
			if !testNames(t)[name] {
				t.Errorf("%s: there is no %s", start, name)
			}
		}
	}
	if total < 40 {
		t.Errorf("only %d command lines were found", total)
	}
	for _, wrong := range []string{"sned", "dead list --resaon page", "users improt FILE"} {
		if checkCommandLine(root, wrong) == nil {
			t.Errorf("%s: nothing was found", wrong)
		}
	}
}
