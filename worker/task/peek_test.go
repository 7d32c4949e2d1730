package task

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func TestPeekReadsWhatParseReads(t *testing.T) {
	t.Parallel()
	data := map[string]string{"thing1": `a "b" {\ 您好`}
	for name, p := range map[string]Payload{
		"a user":    {ID: uuid.New(), App: "wx1", TemplateID: "t", UserID: "u-1", Data: data, Lang: "zh_CN"},
		"an openid": {App: "wx1", TemplateID: "t", OpenID: "o", Page: "pages/a?b=<c>&d=\u2028", Data: data},
		"strange":   {App: "wx\"1\\", TemplateID: "\t您", UserID: "😀", Data: data},
	} {
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		want, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		want = Payload{App: want.App, TemplateID: want.TemplateID, Page: want.Page, UserID: want.UserID, OpenID: want.OpenID}
		got, ok := Peek(b)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: ok = %v, (-want +got):\n%s", name, ok, diff)
		}
	}
}

func TestPeekOfAnInteger(t *testing.T) {
	t.Parallel()
	p, ok := Peek([]byte(`{"user_id": 12345678901234567890, "app":"a","template_id":"t"}`))
	if !ok || p.UserID != "12345678901234567890" {
		t.Errorf("got %q, %v", p.UserID, ok)
	}
}

func TestPeekOfLittle(t *testing.T) {
	t.Parallel()
	for _, b := range []string{
		``, `null`, `[]`, `"{}"`, `{}`, `{"app":"a","template_id":"t"`,
		`{"app":"a","template_id":"t"}`,
		`{"app":"a","openid":"o"}`,
		`{"template_id":"t","openid":"o"}`,
		`{"app":"a","template_id":"t","openid":"o","user_id":"u"}`,
		`{"app":"a","template_id":"t","user_id":1.5}`,
		`{"app":"a","template_id":"t","user_id":{}}`,
		`{"app":["a"],"template_id":"t","openid":"o"}`,
		`{"app":"a","template_id":"t","openid":"o","x":"` + strings.Repeat("x", MaxPayload) + `"}`,
	} {
		if p, ok := Peek([]byte(b)); ok {
			t.Errorf("%.80s: got %+v", b, p)
		}
	}
}
