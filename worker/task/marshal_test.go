package task

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// reflected is what encoding/json makes of a payload.
func reflected(t *testing.T, p Payload) string {
	t.Helper()
	raw := func(v any) json.RawMessage {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		return bytes.TrimRight(b.Bytes(), "\n")
	}
	w := wire{App: p.App, TemplateID: p.TemplateID, Page: p.Page, OpenID: p.OpenID, Lang: p.Lang, MiniprogramState: p.MiniprogramState}
	if p.ID != uuid.Nil {
		w.ID = p.ID.String()
	}
	if p.UserID != "" {
		w.UserID = raw(p.UserID)
	}
	if len(p.Data) > 0 {
		w.Data = raw(p.Data)
	}
	return string(raw(w))
}

func TestMarshalWritesWhatEncodingJSONWrites(t *testing.T) {
	t.Parallel()
	texts := []string{
		"", "plain", "中文，全角", "a<b>&c", `"quoted" \ back`, "line\nand\ttab\r", "\x00\x01\x1f\x7f", "\u2028\u2029", "“quotes” …",
		"bad \xff\xfe utf-8 \xe2\x80", "😀", strings.Repeat("长", 400),
	}
	payloads := []Payload{{}, {ID: uuid.Max, Data: map[string]string{"thing2": "b", "thing1": "a", `k"ey`: "c"}}}
	for _, s := range texts {
		payloads = append(payloads, Payload{
			ID: uuid.MustParse("01890a5d-ac96-774b-bcce-b302099a8057"), App: s, TemplateID: s, Page: s, UserID: s, OpenID: s,
			Data: map[string]string{"thing1": s, s: "x"}, Lang: s, MiniprogramState: s,
		})
	}
	for _, p := range payloads {
		got, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(reflected(t, p), string(got)); diff != "" {
			t.Errorf("payload (-want +got):\n%s", diff)
		}
		length, err := p.Length()
		if err != nil || length < len(got) || length > MaxPayload && length != len(got) {
			t.Errorf("Length = %d, %v; the payload has %d bytes", length, err, len(got))
		}
	}
}

func TestLengthOfWhatIsTooLong(t *testing.T) {
	t.Parallel()
	for _, n := range []int{MaxPayload / longestEscape, MaxPayload / 2, MaxPayload, 2 * MaxPayload} {
		p := Payload{TemplateID: "t", UserID: "u", Data: map[string]string{"thing1": strings.Repeat("x", n)}}
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		length, err := p.Length()
		if err != nil || (length > MaxPayload) != (len(b) > MaxPayload) {
			t.Errorf("Length = %d, %v; the payload has %d bytes of at most %d", length, err, len(b), MaxPayload)
		}
	}
}
