package jsonobject

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzRead reads what encoding/json reads, and nothing that it refuses.
func FuzzRead(f *testing.F) {
	for _, doc := range []string{
		`{"errcode":0,"errmsg":"ok","msgid":9007199254740993}`,
		" {\n\t\"errcode\" : \"40001\" , \"errmsg\" : \"a \\\"}\\\" b\" }\r\n",
		`{"a":{"b":[1,{"c":"}"}],"d":null},"e":[[],{}],"f":-1.5e3,"g":true}`,
		`{"err\u0063ode":1,"errcode":2,"errcode":3}`, `{}`, `{ }`, `{"":""}`, `{"a":"\\"}`, `{"a":"\u4f60\ud83d\ude00"}`,
		``, ` `, `null`, `[]`, `"x"`, `7`, `{`, `{"a"}`, `{"a":1,}`, `{"a":1}{}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var want map[string]json.RawMessage
		err := json.Unmarshal(doc, &want)
		got, ok := Read(doc)
		if ok != (err == nil && want != nil) {
			t.Fatalf("%q: got ok = %v, encoding/json says %v", doc, ok, err)
		}
		names := make(map[string]bool)
		for _, m := range got {
			var name string // as encoding/json takes a name that is not UTF-8
			quoted, _ := json.Marshal(string(m.name))
			if err := json.Unmarshal(quoted, &name); err != nil {
				t.Fatal(err)
			}
			if names[name] = true; string(m.name) != name {
				continue
			}
			if diff := cmp.Diff(string(want[name]), string(got.Get(name))); diff != "" {
				t.Errorf("%q: %s: (-want +got)\n%s", doc, name, diff)
			}
			var text string
			_ = json.Unmarshal(want[name], &text)
			if diff := cmp.Diff(text, got.Text(name)); diff != "" {
				t.Errorf("%q: text of %s: (-want +got)\n%s", doc, name, diff)
			}
		}
		if len(names) != len(want) {
			t.Errorf("%q: got %d names, want %d", doc, len(names), len(want))
		}
	})
}
