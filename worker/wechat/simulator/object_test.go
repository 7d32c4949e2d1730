package simulator

import (
	"encoding/json"
	"reflect"
	"testing"
)

func FuzzEachMember(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `[]`, `1`, `"a"`, `null`, `{"a":1}`, `{"a":{"b":[1,{"c":"}"}]},"d":"\"\\,","e":-1.5e3 , "f":null}`,
		`{"a":"","a":"x"}`, `{"\u0061":"\ud83d\ude00"}`, "{\"a\"\t:\n[ ] ,\"b\":true}", `{"":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !validJSON(raw) {
			return
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(raw, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		if ok := eachMember(raw, func(name string, value []byte) { got[name] = value }); ok != isObject {
			t.Fatalf("%q: object %t, want %t", raw, ok, isObject)
		}
		if !isObject {
			return
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %q, want %q", raw, got, want)
		}
		for name, value := range want {
			var g, w any
			if json.Unmarshal(got[name], &g) != nil || json.Unmarshal(value, &w) != nil || !reflect.DeepEqual(g, w) {
				t.Errorf("%q: member %q: got %q, want %q", raw, name, got[name], value)
			}
			text, isString := stringValue(got[name])
			if ws, ok := w.(string); ok != isString || text != ws {
				t.Errorf("%q: member %q: got string %q %t, want %q %t", raw, name, text, isString, ws, ok)
			}
		}
	})
}
