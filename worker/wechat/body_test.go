package wechat

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

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
