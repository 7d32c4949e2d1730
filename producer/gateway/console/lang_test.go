package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/store"
)

// usedMessages finds every text that is translated where it is shown.
func usedMessages(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	const text = `"((?:[^"\\]|\\.)*)"`
	collect := func(source string, patterns ...string) {
		for _, p := range patterns {
			for _, m := range regexp.MustCompile(p).FindAllStringSubmatch(source, -1) {
				used[m[1]] = true
			}
		}
	}
	sources, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") || name == "messages.go" {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		collect(string(b), `v\.T\(`+text, `badRequest\(`+text+`\)`, `&problem\{[^"]*`+text+`\}`, `v\.show\("[a-z]+", `+text,
			`Text: +`+text, `s\.Problem = `+text)
	}
	pages, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		b, _ := pageFiles.ReadFile(name)
		collect(string(b), `\.T `+text)
	}
	for _, texts := range doneMessages {
		used[texts] = true
	}
	for _, texts := range reasonTexts {
		used[texts] = true
	}
	return used
}

// Every text has its Chinese, with the same places for numbers and names, and
// nothing is translated that no page shows.
func TestMessages(t *testing.T) {
	t.Parallel()
	used := usedMessages(t)
	if len(used) < 150 {
		t.Fatalf("only %d texts were found", len(used))
	}
	verbs := regexp.MustCompile(`%[a-z]`)
	for text := range used {
		translated, ok := messages[text]
		if !ok {
			t.Errorf("%q has no Chinese", text)
		}
		if want, got := verbs.FindAllString(text, -1), verbs.FindAllString(translated, -1); !slices.Equal(want, got) {
			t.Errorf("%q has %v, its Chinese %v", text, want, got)
		}
		if ok && !regexp.MustCompile(`\p{Han}|access_token`).MatchString(translated) {
			t.Errorf("%q: %q is no Chinese", text, translated)
		}
	}
	for text := range messages {
		if !used[text] {
			t.Errorf("%q is not used", text)
		}
	}
	for _, reason := range store.Reasons {
		if reasonTexts[reason] == "" {
			t.Errorf("reason %s is not explained", reason)
		}
	}
}

func TestChooseLang(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]lang{
		"": english, "zh-CN,zh;q=0.9,en;q=0.8": chinese, "en-US,en;q=0.9,zh;q=0.8": english, "zh;q=0.2, en;q=0.7": english,
		"fr, zh;q=0.5": chinese, "fr": english, "zh;q=x": english, "ZH-tw": chinese,
	} {
		r := httptest.NewRequest(http.MethodGet, "/admin/", nil)
		r.Header.Set("Accept-Language", header)
		if got := chooseLang(r); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
		r.AddCookie(&http.Cookie{Name: langCookie, Value: "zh"})
		if got := chooseLang(r); got != chinese {
			t.Errorf("%q with a choice: %s", header, got)
		}
	}
}
