package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer/gateway/console"
	"github.com/wxnotify/wxnotify/store"
)

// Lists name templates by their titles, and explanations are in the visitor's
// language.
func TestWordsOfLists(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *console.Config) {
		c.Explain = func(errcode int, chinese bool) console.Explanation {
			if chinese {
				return console.Explanation{Meaning: "说明", Do: "操作"}
			}
			return console.Explanation{Meaning: "the meaning", Do: "what to do"}
		}
	})
	if _, _, err := r.store.BeginTemplateSync(t.Context(), testApp, time.Hour, true); err != nil {
		t.Fatal(err)
	}
	_, err := r.store.SaveTemplates(t.Context(), store.TemplateList{App: testApp, Next: time.Hour, Templates: []store.Template{
		{App: testApp, TemplateID: testTemplate, Title: "a title", Type: store.TemplateOneTime, Keys: []store.TemplateKey{{Key: "thing1"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	n := r.dead()
	r.settle(r.accept(), func(s *store.Settlement) { s.Class, s.Reason = store.ClassRefused, store.ReasonNotSubscribed })
	r.paused[testApp] = &console.Pause{Kind: "account", Errcode: 48001, Why: "errcode 48001: barred", Since: time.Now(), Until: time.Now()}
	english, chinese := r.viewer(), r.viewer()
	chinese.header.Set("Accept-Language", "zh")
	for page, words := range map[string][3]string{ // of both languages, of the English one, of the Chinese one
		"/admin/":              {"a title", `title="the meaning"`, `title="说明"`},
		"/admin/notifications": {"a title", `title="the meaning"`, `title="说明"`},
		"/admin/dead":          {"a title", `title="the meaning"`, `title="说明"`},
		"/admin/refused":       {"a title", `title="the meaning"`, `title="说明"`},
		"/admin/pauses":        {"errcode 48001)", "answers: barred (account", "说明 (account"},
		path(n):                {"a title", "The meaning. <b>What to do.</b>", "说明。 <b>操作。</b>"},
	} {
		for i, v := range []*visitor{english, chinese} {
			text := v.want(page, 200)
			for _, want := range []string{words[0], words[1+i]} {
				if !strings.Contains(text, want) {
					t.Errorf("%s does not show %s", page, want)
				}
			}
		}
	}
}
