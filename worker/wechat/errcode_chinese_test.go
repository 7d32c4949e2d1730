package wechat

import (
	"testing"
	"unicode"
)

// Every text of the table has its Chinese, and nothing else has.
func TestChinese(t *testing.T) {
	t.Parallel()
	unknown, _ := LookupErrcode(99999)
	texts := map[string]bool{}
	for _, e := range append(Errcodes, unknown) {
		texts[e.Meaning], texts[e.Do] = true, true
	}
	delete(texts, "")
	for text := range texts {
		translated, ok := Chinese(text)
		han := false
		for _, r := range translated {
			han = han || unicode.Is(unicode.Han, r)
		}
		if !ok || !han {
			t.Errorf("%q has no Chinese: %q", text, translated)
		}
	}
	for text := range inChinese {
		if !texts[text] {
			t.Errorf("%q is not in the table", text)
		}
	}
}
