package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// chineseReadme is the README in Chinese; the top level has no room for it.
const chineseReadme = "deploy/docs/README.zh-CN.md"

// page is a document, by its path from the top of the module.
type page struct {
	path string
	text string
}

// docs are the README and every page of deploy.
func docs(t *testing.T) []page {
	t.Helper()
	paths := []string{"README.md", "deploy/java/README.md", "deploy/miniprogram/README.md"}
	found, err := filepath.Glob("../../deploy/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		paths = append(paths, strings.TrimPrefix(path, "../../"))
	}
	pages := make([]page, len(paths))
	for i, path := range paths {
		pages[i] = doc(t, path)
	}
	return pages
}

func doc(t *testing.T, path string) page {
	t.Helper()
	b, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return page{path, string(b)}
}

// fence is a block of code.
type fence struct {
	line   int // of its first line of code, from 1
	lang   string
	text   string
	marker string // the comment before it, who runs it; "" without one
}

var fencePattern = regexp.MustCompile("(?m)^( *)```([\\w]*)[^\n]*\n((?s:.*?))^ *```$")

// fences are the blocks of code of a page. In the README's walk-through no block
// has a comment of its own.
func (p page) fences() []fence {
	var all []fence
	for _, at := range fencePattern.FindAllStringSubmatchIndex(p.text, -1) {
		before := strings.TrimRight(p.text[:at[0]], " \n")
		marker := before[strings.LastIndexByte(before, '\n')+1:]
		if !strings.HasPrefix(marker, "<!--") {
			marker = ""
		}
		if from := strings.LastIndex(before, "<!-- the walk-through:"); from > strings.LastIndex(before, "<!-- end of the walk-through -->") {
			marker = "<!-- run: TestReadmeWalkThrough -->"
		}
		all = append(all, fence{
			line: strings.Count(p.text[:at[6]], "\n") + 1, lang: p.text[at[4]:at[5]], text: p.text[at[6]:at[7]], marker: marker,
		})
	}
	return all
}

// commands reports whether the block is typed by a person, not shown to one.
func (f fence) commands() bool {
	return slices.Contains([]string{"bash", "sh", "console", "sql"}, f.lang)
}

// prose is the page without its blocks of code.
func (p page) prose() string { return fencePattern.ReplaceAllString(p.text, "") }

// heading is a heading and its anchor.
type heading struct {
	level        int
	text, anchor string
}

func (p page) headings() []heading {
	var all []heading
	for _, m := range regexp.MustCompile(`(?m)^(#{1,6}) (.+)$`).FindAllStringSubmatch(p.prose(), -1) {
		all = append(all, heading{len(m[1]), m[2], anchor(m[2])})
	}
	return all
}

// anchor is what GitHub makes of a heading.
func anchor(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	return b.String()
}

var linkPattern = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// links are where the page leads.
func (p page) links() []string {
	var all []string
	for _, m := range linkPattern.FindAllStringSubmatch(p.prose(), -1) {
		all = append(all, m[1])
	}
	return all
}

// brokenLink says what is wrong with a link of a page; "" when nothing is.
// Addresses of other sites are not asked.
func brokenLink(t *testing.T, from page, link string) string {
	t.Helper()
	if strings.Contains(link, "://") {
		return ""
	}
	path, fragment, _ := strings.Cut(link, "#")
	target := from
	if path != "" {
		full := filepath.Join(filepath.Dir(from.path), path)
		info, err := os.Stat("../../" + full)
		switch {
		case err != nil:
			return "there is no " + full
		case info.IsDir() || fragment == "":
			return ""
		}
		target = doc(t, full)
	}
	for _, h := range target.headings() {
		if h.anchor == fragment {
			return ""
		}
	}
	return "no heading of " + target.path + " is #" + fragment
}

// Every link inside the module leads to a file, and to a heading when it names
// one. Each page of deploy/docs can be reached from the README.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	reached := map[string]bool{"README.md": true}
	pages := docs(t)
	for range pages { // as long as it takes
		for _, p := range pages {
			for _, link := range p.links() {
				if path, _, _ := strings.Cut(link, "#"); reached[p.path] && !strings.Contains(link, "://") {
					reached[filepath.Join(filepath.Dir(p.path), path)] = true
				}
			}
		}
	}
	for _, p := range pages {
		for _, link := range p.links() {
			if fault := brokenLink(t, p, link); fault != "" {
				t.Errorf("%s: %s: %s", p.path, link, fault)
			}
		}
		if !reached[p.path] {
			t.Errorf("%s: nothing leads here from the README", p.path)
		}
	}
	for _, link := range []string{"nowhere.md", "#nothing", "deploy/docs/runbook.md#nothing"} {
		if brokenLink(t, pages[0], link) == "" {
			t.Errorf("%s: nothing was found", link)
		}
	}
}
