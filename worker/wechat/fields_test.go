package wechat

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzFields reads what encoding/json reads, and nothing that it refuses.
func FuzzFields(f *testing.F) {
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
		got, ok := readFields(doc)
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
			if diff := cmp.Diff(string(want[name]), string(got.get(name))); diff != "" {
				t.Errorf("%q: %s: (-want +got)\n%s", doc, name, diff)
			}
			var text string
			_ = json.Unmarshal(want[name], &text)
			if diff := cmp.Diff(text, got.text(name)); diff != "" {
				t.Errorf("%q: text of %s: (-want +got)\n%s", doc, name, diff)
			}
		}
		if len(names) != len(want) {
			t.Errorf("%q: got %d names, want %d", doc, len(names), len(want))
		}
	})
}

// FuzzMessageBody writes what encoding/json writes.
func FuzzMessageBody(f *testing.F) {
	f.Add("oABC", "pages/index?a=1&b=<2>", "thing1", "\u60a8\u597d \"x\" \\ \b\f\n\r\t\x00\x1f\x7f", "time4", "\xff\u2028\u2029\ufffd\U0001f600\xed\xa0")
	f.Add("", "//", "", "", "b", "a")
	f.Fuzz(func(t *testing.T, to, page, key1, value1, key2, value2 string) {
		m := Message{ToUser: to, TemplateID: "t" + value1, Page: page, Data: map[string]string{key1: value1, key2: value2}, Lang: value2}
		type value struct {
			Value string `json:"value"`
		}
		want := struct {
			ToUser           string           `json:"touser"`
			TemplateID       string           `json:"template_id"`
			Page             string           `json:"page,omitempty"`
			Data             map[string]value `json:"data"`
			MiniprogramState string           `json:"miniprogram_state"`
			Lang             string           `json:"lang"`
		}{m.ToUser, m.TemplateID, m.Page, map[string]value{}, "formal", m.Lang}
		for want.Page != "" && want.Page[0] == '/' {
			want.Page = want.Page[1:]
		}
		if want.Lang == "" {
			want.Lang = "zh_CN"
		}
		for k, v := range m.Data {
			want.Data[k] = value{v}
		}
		b, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(b), string(m.body())); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
