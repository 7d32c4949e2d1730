package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/worker/task"
)

func TestParse(t *testing.T) {
	t.Parallel()
	v, err := parse([]byte(" {\"a\" : [1, -2.50e+3 ,true,null,\"x\\\"]},\"], \"b\":{} , \"\\u4e2d\":\"\\ud83d\\ude00\"} \n"))
	if err != nil || v.kind != kindObject || len(v.members) != 3 {
		t.Fatalf("parse: %+v, %v", v, err)
	}
	items := v.members[0].items
	for i, want := range []struct {
		kind kind
		raw  string
	}{{kindNumber, "1"}, {kindNumber, "-2.50e+3"}, {kindBool, "true"}, {kindNull, "null"}, {kindString, `"x\"]},"`}} {
		if items[i].kind != want.kind || string(items[i].raw) != want.raw {
			t.Errorf("item %d: %d %s, want %+v", i, items[i].kind, items[i].raw, want)
		}
	}
	if m := v.members[2]; m.name != "中" || unquote(m.raw) != "😀" {
		t.Errorf("member %q: %s", m.name, m.raw)
	}
	for text, want := range map[string]error{
		"":           errNotJSON,
		"{} {}":      errNotJSON,
		`{"a":01}`:   errNotJSON,
		`{'a':1}`:    errNotJSON,
		"[1,]":       errNotJSON,
		"\"\xff\"":   errNotUTF8,
		"[" + "\x00": errNotJSON,
		strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2): errTooDeep,
		strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000):       errNotJSON, // beyond what encoding/json takes
	} {
		if _, err := parse([]byte(text)); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", text, err, want)
		}
	}
	for text, want := range map[string]string{
		" ": "is empty", "{": "ends too early", `{"a":"b`: "ends too early", "{} {}": "JSON: column 4", "[1,]\n": "JSON: column 4",
		"[\n1,\n 中x]": "line 3, column 2", `{"中":'s3cr3t'}`: "JSON: column 6",
	} {
		if _, err := parse([]byte(text)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	if _, err := parse([]byte(strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1))); err != nil {
		t.Errorf("as deep as may be: %v", err)
	}
}

// FuzzParse holds the reader to encoding/json: the same texts are JSON, and they
// say the same.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"a":1,"b":[true,null,"x"],"c":{"d":-1.5e3}}`, `{"a":"\"\\\u0000\ud800"}`, ` [ ] `, `"\/"`, `{"":{"":""}}`, `[[[[]]]]`, `1`, "{\"a\"\t:\r\n1}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parse(b)
		var want any
		decoder := json.NewDecoder(bytes.NewReader(b))
		decoder.UseNumber()
		wantErr := decoder.Decode(&want)
		if wantErr == nil && !errors.Is(second(decoder.Token()), io.EOF) {
			wantErr = errNotJSON
		}
		switch {
		case err != nil && wantErr == nil && !errors.Is(err, errTooDeep) && !errors.Is(err, errNotUTF8):
			t.Fatalf("%q is refused: %v", b, err)
		case err == nil && wantErr != nil:
			t.Fatalf("%q is taken, but %v", b, wantErr)
		case err == nil:
			if diff := cmp.Diff(want, plain(v)); diff != "" {
				t.Fatalf("%q (-encoding/json +parse):\n%s", b, diff)
			}
		}
	})
}

func second[A, B any](_ A, b B) B { return b }

// plain is a value as encoding/json gives it.
func plain(v value) any {
	switch v.kind {
	case kindNull:
	case kindBool:
		return string(v.raw) == "true"
	case kindNumber:
		return json.Number(v.raw)
	case kindString:
		return unquote(v.raw)
	case kindArray:
		list := make([]any, len(v.items))
		for i, item := range v.items {
			list[i] = plain(item)
		}
		return list
	case kindObject:
		object := make(map[string]any, len(v.members))
		for _, m := range v.members {
			object[m.name] = plain(m.value)
		}
		return object
	}
	return nil
}

// FuzzParseNotification: whatever comes, a notification that is taken says what
// it says only once, and each fault has a code of the lists.
func FuzzParseNotification(f *testing.F) {
	for _, text := range []string{
		`{"template_id":"t","user_id":1042,"data":{"thing1":"x","number2":{"value":1.50}},"wait":60,"send_at":"2026-03-02T15:01:00+08:00"}`,
		`{"template_id":"t","openid":"o","data":{"thing1":null},"app":null,"x":{}}`, `{"data":[]}`, `[]`, `{"wait":1e400}`, `{"wait":99999999999999999999}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, faults := ParseNotification(b)
		for _, fault := range faults {
			if !slices.Contains(FieldCodes, fault.Code) || fault.Reason == "" || fault.Field != "" && fault.Field[0] != '/' {
				t.Errorf("fault %+v", fault)
			}
		}
		if len(faults) > 0 {
			return
		}
		if n.TemplateID == "" || len(n.Data) == 0 || (n.UserID == "") == (n.OpenID == "") || n.Wait < 0 || n.Wait > MaxWait || n.Wait%time.Second != 0 {
			t.Errorf("%q was taken as %+v", b, n)
		}
		if again, faults := ParseNotification(b); len(faults) > 0 || !cmp.Equal(n, again) {
			t.Errorf("%q: once %+v, then %+v", b, n, again)
		}
	})
}

// A value of data is a text, a number with its digits, or an object with one.
func TestData(t *testing.T) {
	t.Parallel()
	got, faults := ParseNotification([]byte(`{"template_id":"t","user_id":"u","data":
		{"a":"x","b":{"value":"y"},"c":3.50,"d":{"value":12345678901234567890},"e":1.5e3,"f":-0}}`))
	want := map[string]string{"a": "x", "b": "y", "c": "3.50", "d": "12345678901234567890", "e": "1500", "f": "-0"}
	if diff := cmp.Diff(want, got.Data); diff != "" || len(faults) > 0 {
		t.Errorf("%v (-want +got):\n%s", faults, diff)
	}
	_, faults = ParseNotification([]byte(`{"template_id":"t","user_id":"u","data":
		{"a":true,"b":{"value":{"value":"y"}},"c":null,"d":["x"],"e":{},"f":1e99,"ok":"x"}}`))
	fields := map[string]FieldCode{}
	for _, f := range faults {
		fields[f.Field] = f.Code
	}
	wantFields := map[string]FieldCode{
		"/data/a": FieldWrongType, "/data/b/value": FieldWrongType, "/data/c": FieldWrongType, "/data/d": FieldWrongType,
		"/data/e/value": FieldWrongType, "/data/f": FieldTooLong,
	}
	if diff := cmp.Diff(wantFields, fields); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// Every reason of the checks behind the door has a code that says what it is
// about.
func TestCodesOfTheClient(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	client := newDoorClient(t)
	good := producer.Notification{App: "wx1", TemplateID: "t", UserID: "u", Data: map[string]string{"thing1": "x"}}
	now := time.Now()
	for name, tt := range map[string]struct {
		edit  func(*producer.Notification)
		field string
		code  FieldCode
	}{
		"no addressee":    {func(n *producer.Notification) { n.UserID = "" }, "/user_id", FieldRequired},
		"two addressees":  {func(n *producer.Notification) { n.OpenID = "o" }, "/openid", FieldConflict},
		"no template":     {func(n *producer.Notification) { n.TemplateID = "" }, "/template_id", FieldRequired},
		"long template":   {func(n *producer.Notification) { n.TemplateID = long }, "/template_id", FieldTooLong},
		"no data":         {func(n *producer.Notification) { n.Data = nil }, "/data", FieldRequired},
		"empty value":     {func(n *producer.Notification) { n.Data = map[string]string{"thing1": " "} }, "/data/thing1", FieldCode(template.CodeEmpty)},
		"empty key":       {func(n *producer.Notification) { n.Data = map[string]string{"": "x"} }, "/data", FieldCode(template.CodeUnknownKey)},
		"long value":      {func(n *producer.Notification) { n.Data = map[string]string{"thing1": long} }, "/data/thing1", FieldTooLong},
		"NUL":             {func(n *producer.Notification) { n.Data = map[string]string{"thing1": "a\x00"} }, "/data/thing1", FieldBadFormat},
		"not UTF-8":       {func(n *producer.Notification) { n.Page = "\xff" }, "/page", FieldBadFormat},
		"odd app":         {func(n *producer.Notification) { n.App = "a:b" }, "/app", FieldBadFormat},
		"odd ref":         {func(n *producer.Notification) { n.Ref = "\xff" }, "/ref", FieldBadFormat},
		"odd priority":    {func(n *producer.Notification) { n.Priority = "x" }, "/priority", FieldNotInList},
		"odd duplicates":  {func(n *producer.Notification) { n.Duplicates = "x" }, "/duplicates", FieldNotInList},
		"odd lang":        {func(n *producer.Notification) { n.Lang = "x" }, "/lang", FieldNotInList},
		"far ahead":       {func(n *producer.Notification) { n.SendAt = now.Add(2 * producer.MaxDelay) }, "/send_at", FieldOutOfRange},
		"expired":         {func(n *producer.Notification) { n.ExpiresAt = now.Add(-time.Hour) }, "/expires_at", FieldOutOfRange},
		"expires too far": {func(n *producer.Notification) { n.ExpiresAt = now.Add(3 * producer.MaxDelay) }, "/expires_at", FieldOutOfRange},
		"expires before":  {func(n *producer.Notification) { n.SendAt, n.ExpiresAt = now.Add(2*time.Hour), now.Add(time.Hour) }, "/expires_at", FieldOutOfRange},
		"many keys":       {func(n *producer.Notification) { n.Data = manyKeys(task.MaxDataKeys + 1) }, "/data", FieldTooLong},
		"too much":        {func(n *producer.Notification) { n.Data = escaped(task.MaxDataKeys) }, "/data", FieldTooLong},
	} {
		n := good
		n.Data = maps.Clone(good.Data)
		tt.edit(&n)
		faults := checked(client.Check(n))
		if len(faults) != 1 || faults[0].Field != tt.field || faults[0].Code != tt.code {
			t.Errorf("%s: %+v, want %s %s", name, faults, tt.field, tt.code)
		}
	}
	if faults := checked(client.Check(good)); faults != nil {
		t.Errorf("a good one: %+v", faults)
	}
}

func newDoorClient(t *testing.T) *producer.Client {
	t.Helper()
	client, err := producer.New(producer.Config{Store: awayStore{}, DefaultApp: doorApp})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func manyKeys(n int) map[string]string {
	data := map[string]string{}
	for i := range n {
		data["thing"+strings.Repeat("1", i+1)] = "x"
	}
	return data
}

// escaped is data whose JSON is six times as long as its text.
func escaped(n int) map[string]string {
	data := manyKeys(n)
	for k := range data {
		data[k] = "x" + strings.Repeat("\x01", task.MaxValue-1)
	}
	return data
}

// An object of many fields is read through a map, one of few is not: they are told
// alike.
func TestObjectsOfFewAndManyFields(t *testing.T) {
	t.Parallel()
	for _, n := range []int{few, few + 1, 500} {
		var b strings.Builder
		b.WriteString(`{"last":"first"`)
		for i := range n - 2 {
			fmt.Fprintf(&b, `,"k%d":"v%d"`, i, i)
		}
		b.WriteString(`,"none":null,"last":"again"}`)
		v, err := parse([]byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		var faults FieldErrors
		o := newObject("/at", v, &faults)
		if got := o.text("last"); got != "again" {
			t.Errorf("%d fields: got %q, want the last of two", n, got)
		}
		for i := range n - 3 {
			if got, want := o.text(fmt.Sprintf("k%d", i)), fmt.Sprintf("v%d", i); got != want {
				t.Errorf("%d fields: got %q, want %q", n, got, want)
			}
		}
		if _, ok := o.get("none"); ok {
			t.Errorf("%d fields: null is there", n)
		}
		if _, ok := o.get("nowhere"); ok {
			t.Errorf("%d fields: found what is not there", n)
		}
		o.end()
		want := FieldErrors{
			{Field: "/at/last", Code: FieldDuplicate, Reason: "is there twice"},
			{Field: fmt.Sprintf("/at/k%d", n-3), Code: FieldUnknown, Reason: "is not a field here"},
		}
		if diff := cmp.Diff(want, faults); diff != "" {
			t.Errorf("%d fields: faults (-want +got):\n%s", n, diff)
		}
	}
}
