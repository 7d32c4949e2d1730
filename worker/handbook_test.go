package worker

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

var update = flag.Bool("update", false, "write the errcode handbook anew")

// handbooks are the pages, by language.
var handbooks = map[string]string{
	english: "../deploy/docs/errcodes.md",
	chinese: "../deploy/docs/errcodes.zh-CN.md",
}

// The errcode handbook is that of the table and of the reactions, which
// TestReactionToEveryErrcode holds the code to. -update writes it.
func TestHandbook(t *testing.T) {
	t.Parallel()
	for language, path := range handbooks {
		got, err := os.ReadFile(path)
		if err != nil && !*update {
			t.Fatal(err)
		}
		// What follows is made by another package.
		head, reasons, _ := bytes.Cut(got, []byte(endOfHandbook))
		want := handbook(t, language)
		if *update {
			if err := os.WriteFile(path, append([]byte(want+endOfHandbook), reasons...), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, string(head)); diff != "" {
			t.Errorf("%s differs from the code; go test ./worker -run TestHandbook -update writes it:\n%s", path, diff)
		}
	}
}

const endOfHandbook = "<!-- end of the generated handbook -->\n"

// handbook is the page in a language.
func handbook(t *testing.T, language string) string {
	t.Helper()
	say := func(text string) string {
		if language == english || text == "" {
			return text
		}
		if translated, ok := inChinese[text]; ok {
			return translated
		}
		if translated, ok := wechat.Chinese(text); ok {
			return translated
		}
		t.Errorf("no Chinese for %q", text)
		return text
	}
	var b strings.Builder
	b.WriteString(handbookHead[language])
	row := func(cells ...string) {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	b.WriteString("\n## " + say("Kinds and reactions") + "\n\n")
	row(say("kind"), say("what it is"), say("the notification becomes"), say("costs an attempt"), say("reaction"))
	row("---", "---", "---", "---", "---")
	for _, k := range wechat.Kinds {
		r, ok := reactions[k]
		if !ok {
			t.Errorf("kind %v has no words", k)
		}
		row("`"+k.String()+"`", say(r.from), becomes(k, say), costs(k, say), say(r.reaction))
	}
	for _, k := range wechat.Kinds {
		rows := slices.DeleteFunc(slices.Clone(wechat.Errcodes), func(e wechat.Errcode) bool { return e.Kind != k })
		if len(rows) == 0 {
			continue
		}
		b.WriteString("\n## `" + k.String() + "`\n\n" + say(reactions[k].admin) + "\n\n")
		row("errcode", say("WeChat means"), say("what an administrator does"))
		row("---:", "---", "---")
		for _, e := range rows {
			do := e.Do
			if do == "" {
				do = "nothing of its own: see above"
			}
			row(strconv.Itoa(e.Code), say(e.Meaning), say(do))
		}
	}
	b.WriteString("\n")
	return b.String()
}

// becomes is the state that an answer of a kind leads to, with its reason.
func becomes(k wechat.Kind, say func(string) string) string {
	want, ok := expect[k]
	switch {
	case k == wechat.KindBadToken:
		return "`" + string(store.Sent) + "`" + say(" with the second call")
	case k == wechat.KindBadCode:
		return "–" // not an answer to a send
	case k == wechat.KindUnreachable:
		return "`" + string(store.Retrying) + "`"
	case !ok:
		return ""
	}
	text := "`" + string(want.state) + "`"
	if want.class != store.ClassNone {
		text += fmt.Sprintf(" (`%s`, `%s`)", want.class, want.reason)
	}
	if want.dueMin > 0 && want.state == store.Retrying {
		text += say(" after ") + span(want.dueMin, want.dueMax)
	}
	return text
}

// span is how long a wait is at least and at most.
func span(from, to time.Duration) string {
	text := func(d time.Duration) string {
		if d < time.Minute {
			return fmt.Sprintf("%g s", d.Seconds())
		}
		return fmt.Sprintf("%g min", d.Minutes())
	}
	if from == to {
		return text(from)
	}
	return text(from) + "–" + text(to)
}

// costs says whether an answer of a kind takes from MAX_ATTEMPTS.
func costs(k wechat.Kind, say func(string) string) string {
	if expect[k].spent > 0 && k != wechat.KindBadCode {
		return say("yes")
	}
	return say("no")
}

// Every word of the handbook is used: a text that the code changed leaves none
// of the old one behind.
func TestHandbookHasNoIdleWords(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, word := range handbookWords {
		used[word] = true
	}
	for _, r := range reactions {
		used[r.from], used[r.reaction], used[r.admin] = true, true, true
	}
	for text := range inChinese {
		if !used[text] {
			t.Errorf("nobody says %q", text)
		}
	}
}
