package task

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func TestParseAcceptsTheSmallestRawPayload(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"short form":     `{"template_id":"T","page":"p?a=1&b=2","user_id":"u1","data":{"thing1":"报表","number2":"3.50"}}`,
		"value form":     `{"template_id":"T","page":"p?a=1&b=2","user_id":"u1","data":{"thing1":{"value":"报表"},"number2":{"value":3.50}}}`,
		"numbers":        `{"template_id":"T","page":"p?a=1&b=2","user_id":"u1","data":{"thing1":"报表","number2":3.50}}`,
		"foreign fields": `{"template_id":"T","page":"p?a=1&b=2","user_id":"u1","data":{"thing1":{"value":"报表","color":"#f00"},"number2":3.50},"trace":{"a":[1]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(in))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			want := Payload{TemplateID: "T", Page: "p?a=1&b=2", UserID: "u1", Data: map[string]string{"thing1": "报表", "number2": "3.50"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseUserIDMayBeAnInteger(t *testing.T) {
	t.Parallel()
	got, err := Parse([]byte(`{"template_id":"T","user_id":9007199254740993,"data":{"a1":"x"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.UserID != "9007199254740993" {
		t.Errorf("UserID = %q, want the digits unchanged", got.UserID)
	}
}

func TestParseNamesTheBadField(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	for name, tc := range map[string]struct {
		in     string
		fields []string
	}{
		"not JSON":           {`hello`, []string{""}},
		"empty":              {``, []string{""}},
		"array":              {`[]`, []string{""}},
		"invalid UTF-8":      {"{\"template_id\":\"\xff\"}", []string{""}},
		"1 MiB":              {`{"template_id":"` + strings.Repeat("x", 1<<20) + `"}`, []string{""}},
		"deep nesting":       {`{"data":` + strings.Repeat(`[`, 20_000) + `}`, []string{""}},
		"everything missing": {`{}`, []string{"template_id", "user_id", "data"}},
		"wrong types":        {`{"template_id":7}`, []string{"template_id"}},
		"user_id fraction":   {`{"template_id":"T","user_id":1.5,"data":{"a1":"x"}}`, []string{"user_id"}},
		"user_id object":     {`{"template_id":"T","user_id":{},"data":{"a1":"x"}}`, []string{"user_id"}},
		"both addressees":    {`{"template_id":"T","user_id":"u","openid":"o","data":{"a1":"x"}}`, []string{"openid"}},
		"data as string":     {`{"template_id":"T","user_id":"u","data":"{\"a1\":\"x\"}"}`, []string{"data"}},
		"value an array":     {`{"template_id":"T","user_id":"u","data":{"a1":[1],"b2":"x"}}`, []string{"data.a1"}},
		"value nested twice": {`{"template_id":"T","user_id":"u","data":{"a1":{"value":{"value":"x"}},"b2":"x"}}`, []string{"data.a1"}},
		"empty value":        {`{"template_id":"T","user_id":"u","data":{"a1":"","b2":"x"}}`, []string{"data.a1"}},
		"blank values":       {`{"template_id":"T","user_id":"u","data":{"a1":" \t\n","b2":{"value":"\u3000"},"c3":"x"}}`, []string{"data.a1", "data.b2"}},
		"NUL in value":       {`{"template_id":"T","user_id":"u","data":{"a1":"x\u0000"}}`, []string{"data.a1"}},
		"hostile key":        {`{"template_id":"T","user_id":"u","data":{"'; drop":"x\u0000"}}`, []string{"data"}},
		"10 kB template":     {`{"template_id":"` + long + `","user_id":"u","data":{"a1":"x"}}`, []string{"template_id"}},
		"enums":              {`{"template_id":"T","user_id":"u","data":{"a1":"x"},"lang":"xx","miniprogram_state":"yy"}`, []string{"lang", "miniprogram_state"}},
		"bad id":             {`{"id":"7","template_id":"T","user_id":"u","data":{"a1":"x"}}`, []string{"id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tc.in))
			var fe FieldErrors
			if !errors.As(err, &fe) {
				t.Fatalf("err = %v, want FieldErrors", err)
			}
			var fields []string
			for _, f := range fe {
				fields = append(fields, f.Field)
			}
			if diff := cmp.Diff(tc.fields, fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%v", diff, err)
			}
			if len(err.Error()) > 500 || strings.Contains(err.Error(), "drop") {
				t.Errorf("the error quotes the input: %.200s", err)
			}
		})
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	t.Parallel()
	p := Payload{
		ID: uuid.Must(uuid.NewV7()), App: "wx1", TemplateID: "T", Page: "a?b=<&>", UserID: `u"1`,
		Data: map[string]string{"thing1": "中文 & <b>"}, Lang: "en_US", MiniprogramState: "trial",
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) || strings.Contains(string(b), `\u0026`) {
		t.Errorf("marshaled %s, want JSON without escaped &", b)
	}
	got, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}

func TestQueueNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		app  string
		prio store.Priority
		want string
	}{{"wx1", store.Critical, "critical"}, {"", "", "default"}, {"wx2", store.Low, "wx2:low"}} {
		got := Queue(tc.app, "wx1", tc.prio)
		if got != tc.want {
			t.Errorf("Queue(%q, %q) = %q, want %q", tc.app, tc.prio, got, tc.want)
		}
	}
	app, p, ok := ParseQueue("wx2:low", "wx1")
	if app != "wx2" || p != store.Low || !ok {
		t.Errorf("ParseQueue(wx2:low) = %q %q %v", app, p, ok)
	}
	if _, _, ok := ParseQueue("emails", "wx1"); ok {
		t.Error("ParseQueue accepts a queue that is not ours")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	id := uuid.Must(uuid.NewV7())
	gotID, gen, ok := ParseID(ID(id, 12))
	if gotID != id || gen != 12 || !ok {
		t.Errorf("ParseID(ID) = %v %d %v", gotID, gen, ok)
	}
	for _, s := range []string{"", "abc", id.String(), id.String() + ":0", id.String() + ":x", "order-7:1"} {
		if _, _, ok := ParseID(s); ok {
			t.Errorf("ParseID(%q) takes a raw TaskID for ours", s)
		}
	}
	if first, again, other := RawID("default", "a"), RawID("default", "a"), RawID("low", "a"); first == other || first != again {
		t.Error("RawID must depend on queue and TaskID and nothing else")
	}
}

// asynq truncates options to whole seconds and reads a zero timeout as 30
// minutes; a task past its Deadline would burn its retries unrun.
func TestOptionsSurviveTruncation(t *testing.T) {
	t.Parallel()
	if Timeout%time.Second != 0 || Timeout <= 0 {
		t.Errorf("Timeout %v is not whole seconds", Timeout)
	}
	if MaxRetry < 1000 {
		t.Errorf("MaxRetry %d is within reach", MaxRetry)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"template_id":"T","page":"p","user_id":"u1","data":{"thing1":{"value":"x"}}}`))
	f.Add([]byte(`{"template_id":"T","user_id":7,"data":{"thing1":1e9}}`))
	f.Add([]byte(`{"template_id":"T","user_id":"u","data":{"thing1":" "}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		if err := p.Check(); err != nil {
			t.Fatalf("Parse let through what Check refuses: %v", err)
		}
		for k, v := range p.Data {
			if strings.TrimSpace(v) == "" {
				t.Fatalf("Parse let through the blank value of %q", k)
			}
		}
		out, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		q, err := Parse(out)
		if err != nil {
			t.Fatalf("a marshaled payload does not parse: %v", err)
		}
		if diff := cmp.Diff(p, q); diff != "" {
			t.Fatalf("round trip (-want +got):\n%s", diff)
		}
	})
}
