package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "take the Chinese README's sections as looked at, and its blocks of code from the English one")

// lookedAt is the line below a heading of the Chinese README: a hash of the
// English section that it was last compared with.
var lookedAt = regexp.MustCompile(`(?m)^<!-- README\.md: ([0-9a-f]{12}) -->\n`)

// section is a part of a page, with its heading.
type section struct {
	heading, text string
}

// sections are the parts of a page at its headings.
func (p page) sections() []section {
	var all []section
	var at int
	masked := fencePattern.ReplaceAllStringFunc(p.text, func(code string) string { return strings.Repeat("x", len(code)) })
	starts := regexp.MustCompile(`(?m)^#{1,6} .+$`).FindAllStringIndex(masked, -1)
	for i := range starts {
		at = len(p.text)
		if i+1 < len(starts) {
			at = starts[i+1][0]
		}
		all = append(all, section{p.text[starts[i][0]:starts[i][1]], p.text[starts[i][0]:at]})
	}
	return all
}

func (s section) hash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s.text)))[:12] }

// shape is what two languages of a page have in common, in the order of the
// page: headings by their level, blocks of code as they are, tables by their
// names and defaults, and where links lead.
type shape struct {
	Headings []int
	Code     []string
	Tables   []string
	Links    []string
}

// unworded is a cell of a table that no language changes.
var unworded = regexp.MustCompile("^`.*`$")

func (p page) shape() shape {
	var s shape
	place := map[string]int{} // of headings, by their anchor
	for i, h := range p.headings() {
		s.Headings = append(s.Headings, h.level)
		place[h.anchor] = i
	}
	for _, f := range p.fences() {
		s.Code = append(s.Code, f.lang+"\n"+f.marker+"\n"+f.text)
	}
	for line := range strings.Lines(p.prose()) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		row := strconv.Itoa(len(cells)) + " cells"
		for _, c := range cells[:min(2, len(cells))] {
			if c = strings.TrimSpace(c); unworded.MatchString(c) {
				row += " " + c
			}
		}
		s.Tables = append(s.Tables, row)
	}
	for _, link := range p.links() {
		path, fragment, _ := strings.Cut(link, "#")
		if strings.Contains(link, "://") {
			s.Links = append(s.Links, link)
			continue
		}
		if path != "" {
			path = filepath.Join(filepath.Dir(p.path), path)
		} else if fragment != "" {
			fragment = fmt.Sprint("heading ", place[fragment])
		}
		s.Links = append(s.Links, path+"#"+fragment)
	}
	return s
}

// inOneLanguage are pages that the two READMEs link each in its own language.
var inOneLanguage = strings.NewReplacer(".zh-CN.md#", ".md#", "README.md#", "README#", chineseReadme+"#", "README#")

// The Chinese README says what the English one says: it has the same headings,
// code, settings and links, and each section was compared with the English one
// as it is now. Who has done that runs this test with -update.
func TestChineseReadme(t *testing.T) {
	t.Parallel()
	from, to := doc(t, "README.md"), doc(t, chineseReadme)
	if *update {
		to.text = sameCode(from, to)
		to.text = looked(from, to)
		if err := os.WriteFile("../../"+to.path, []byte(to.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, got := from.shape(), to.shape()
	for _, s := range []*shape{&want, &got} {
		for i, link := range s.Links {
			s.Links[i] = inOneLanguage.Replace(link)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("README.md and %s differ in more than their language:\n%s", to.path, diff)
	}
	ours, theirs := from.sections(), to.sections()
	if len(ours) != len(theirs) {
		t.Fatalf("%d sections, want %d", len(theirs), len(ours))
	}
	for i, s := range theirs {
		m := lookedAt.FindStringSubmatch(s.text)
		if m == nil || m[1] != ours[i].hash() {
			t.Errorf("%s: the English %q has changed since: bring it up to date, then go test ./cmd/wxnotify -run TestChineseReadme -update",
				s.heading, ours[i].heading)
		}
	}
}

// sameCode is the Chinese page with the blocks of code of the English one, when
// both have as many.
func sameCode(from, to page) string {
	code := fencePattern.FindAllString(from.text, -1)
	if len(code) != len(to.fences()) {
		return to.text
	}
	return fencePattern.ReplaceAllStringFunc(to.text, func(string) string {
		next := code[0]
		code = slices.Delete(code, 0, 1)
		return next
	})
}

// looked is the Chinese page with the hashes of the English sections.
func looked(from, to page) string {
	ours, theirs := from.sections(), to.sections()
	var b strings.Builder
	for i, s := range theirs {
		text := lookedAt.ReplaceAllString(s.text, "")
		if i < len(ours) {
			text = s.heading + "\n<!-- README.md: " + ours[i].hash() + " -->" + strings.TrimPrefix(text, s.heading)
		}
		b.WriteString(text)
	}
	return b.String()
}
