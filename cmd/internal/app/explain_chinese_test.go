package app

import (
	"testing"
	"unicode"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// What the console says of an errcode, it can say in Chinese, and no more is
// translated than is said.
func TestExplainedInChinese(t *testing.T) {
	t.Parallel()
	for _, e := range wechat.Errcodes {
		x := explainErrcode(e.Code, true)
		for _, text := range []string{x.Meaning, x.Do} {
			if text != "" && !hasHan(text) {
				t.Errorf("%d: %q", e.Code, text)
			}
		}
		if english := explainErrcode(e.Code, false); hasHan(english.Meaning+english.Do) || (english.Do == "") != (x.Do == "") {
			t.Errorf("%d: %+v", e.Code, english)
		}
	}
	said := map[string]bool{}
	for _, k := range wechat.Kinds {
		meaning, do := explainKind(k)
		for _, text := range []string{meaning, do} {
			said[text] = true
			if text != "" && !hasHan(inChinese(text)) {
				t.Errorf("%s: %q has no Chinese", k, text)
			}
		}
	}
	for text := range kindsInChinese {
		if _, twice := wechat.Chinese(text); twice || !said[text] {
			t.Errorf("%q is not said, or is the table's", text)
		}
	}
}

func hasHan(text string) bool {
	for _, r := range text {
		if unicode.Is(unicode.Han, r) {
			return true
		}
	}
	return false
}
