package console

import (
	"testing"
	"unicode"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// What the catalog says of the fields of a template has its Chinese.
func TestRulesInChinese(t *testing.T) {
	t.Parallel()
	keys := []store.TemplateKey{{Key: "enum_string1", Values: []string{"a", "b"}}}
	for _, key := range []string{
		"thing1", "number1", "letter1", "symbol1", "character_string1", "time1", "date1", "amount1", "phone_number1", "car_number1",
		"name1", "phrase1", "short_thing1", "const1",
	} {
		keys = append(keys, store.TemplateKey{Key: key})
	}
	catalog := template.NewCatalog(template.Contents{Templates: []store.Template{{App: "wx1", TemplateID: "t", Title: "t", Keys: keys}}})
	v := view{visit: &visit{lang: chinese}}
	said := map[string]bool{}
	for _, f := range catalog.Templates("wx1")[0].Fields {
		said[f.Rule] = true
		han := false
		for _, r := range v.Rule(f.Rule) {
			han = han || unicode.Is(unicode.Han, r)
		}
		if f.Rule == "" || !han || v.Rule(f.Rule) == f.Rule {
			t.Errorf("%s: %q is %q", f.Key, f.Rule, v.Rule(f.Rule))
		}
	}
	for words := range rulesInChinese {
		if !said[words] {
			t.Errorf("no field says %q", words)
		}
	}
	if v.lang = english; v.Rule("at most 5 symbols") != "at most 5 symbols" {
		t.Error("English pages are translated")
	}
}
