package template

import (
	"strings"
	"testing"
)

// A value of each type that is in order, and one for each way in which it may not
// be. The length rules count characters: 20 Han characters are 20.
var values = []struct {
	key   string
	value string
	want  Code // "" for a value that passes
}{
	{"thing1", "三楼会议室 A-3, 12:30", ""},
	{"thing1", strings.Repeat("好", 20), ""},
	{"thing1", strings.Repeat("好", 21), CodeTooLong},
	{"thing1", strings.Repeat("a", 21), CodeTooLong},
	{"thing1", strings.Repeat("😀", 10), ""},
	{"thing1", strings.Repeat("😀", 11), CodeTooLong}, // two UTF-16 units each
	{"thing1", "a\nb", CodeControlCharacter},
	{"thing1", "a\tb", CodeControlCharacter},
	{"thing1", "a\u2028b", CodeControlCharacter},
	{"thing1", "", CodeEmpty},
	{"thing1", " \u3000 ", CodeEmpty},
	{"thing1", "\u200b", CodeEmpty}, // nothing that anyone sees
	{"thing1", "\xff", CodeBadFormat},
	{"number2", "12", ""},
	{"number2", "-0.50", ""},
	{"number2", strings.Repeat("9", 32), ""},
	{"number2", strings.Repeat("9", 33), CodeTooLong},
	{"number2", "1,000", CodeBadFormat},
	{"number2", "1e3", CodeBadFormat},
	{"number2", "12元", CodeBadFormat},
	{"number2", ".5", CodeBadFormat},
	{"number2", "１２", CodeBadFormat},
	{"letter3", "ABCxyz", ""},
	{"letter3", strings.Repeat("a", 33), CodeTooLong},
	{"letter3", "AB C", CodeBadFormat},
	{"letter3", "é", CodeBadFormat},
	{"symbol4", "#￥!", ""},
	{"symbol4", "######", CodeTooLong},
	{"symbol4", "#1", CodeBadFormat},
	{"symbol4", "中", CodeBadFormat},
	{"character_string5", "GD-88021 (a)", ""},
	{"character_string5", strings.Repeat("x", 33), CodeTooLong},
	{"character_string5", "单号1", CodeBadFormat},
	{"character_string5", "１", CodeBadFormat},
	{"time6", "15:01", ""},
	{"time6", "9:05", ""},
	{"time6", "15:01:05", ""},
	{"time6", "2019年10月1日 15:01", ""},
	{"time6", "2019-10-01 15:01:05", ""},
	{"time6", "15:01~16:30", ""},
	{"time6", "2019年10月1日 15:01~2019年10月2日 9:00", ""},
	{"time6", "2019年10月1日", CodeBadFormat},
	{"time6", "24:00", CodeBadFormat},
	{"time6", "15:60", CodeBadFormat},
	{"time6", "15:01:60", CodeBadFormat},
	{"time6", "2019年2月29日 15:01", CodeBadFormat},
	{"time6", "2020年2月29日 15:01", ""},
	{"time6", "2019年10月1日15:01", CodeBadFormat},
	{"time6", "2019年10月1日  15:01", CodeBadFormat},
	{"time6", "15:01～16:30", CodeBadFormat},
	{"time6", "15：01", CodeBadFormat},
	{"time6", "15:01~16:30~17:00", CodeBadFormat},
	{"time6", "15:01~", CodeBadFormat},
	{"time6", "2019-10-01T15:01:05+08:00", CodeBadFormat},
	{"time6", "下午3点", CodeBadFormat},
	{"date7", "2019年10月1日", ""},
	{"date7", "2019-12-25 09:42", ""},
	{"date7", "2019年10月1日 15:01", ""},
	{"date7", "2018/1/1", ""},
	{"date7", "2018.01.01", ""},
	{"date7", "2018-01", ""},
	{"date7", "2018年1月", ""},
	{"date7", "01-01", ""},
	{"date7", "2月29日", ""},
	{"date7", "2019年10月1日~2019年10月7日", ""},
	{"date7", "2019-02-30", CodeBadFormat},
	{"date7", "1900-02-29", CodeBadFormat},
	{"date7", "2月30日", CodeBadFormat},
	{"date7", "2019-13-01", CodeBadFormat},
	{"date7", "13-01", CodeBadFormat},
	{"date7", "2019-00-01", CodeBadFormat},
	{"date7", "15:01", CodeBadFormat},
	{"date7", "2018年1月 15:01", CodeBadFormat},
	{"date7", "2026年8月15日～2027年4月30日", CodeBadFormat},
	{"date7", "20191001", CodeBadFormat},
	{"date7", "2019-10/01", CodeBadFormat},
	{"amount8", "¥214.00", ""},
	{"amount8", "￥100", ""},
	{"amount8", "0.01", ""},
	{"amount8", "6000.00元", ""},
	{"amount8", "1234567890", ""},
	{"amount8", "12345678901", CodeBadFormat},
	{"amount8", "1,234.00", CodeBadFormat},
	{"amount8", "¥ 1", CodeBadFormat},
	{"amount8", "-1", CodeBadFormat},
	{"amount8", "免费", CodeBadFormat},
	{"phone_number9", "+86-0766-66888866", ""},
	{"phone_number9", "13800000000", ""},
	{"phone_number9", "+86-0766-668888667", CodeTooLong},
	{"phone_number9", "转8001", CodeBadFormat},
	{"phone_number9", "ext1", CodeBadFormat},
	{"phone_number9", "----", CodeBadFormat},
	{"car_number10", "粤A8Z888挂", ""},
	{"car_number10", "粤AD12345", ""},
	{"car_number10", "粤AD1234567", CodeTooLong},
	{"car_number10", "粤A中Z888", CodeBadFormat},
	{"car_number10", "粤A·8Z888", CodeBadFormat},
	{"name11", "张三", ""},
	{"name11", strings.Repeat("张", 10), ""},
	{"name11", strings.Repeat("张", 11), CodeTooLong},
	{"name11", "张 ABCDEFGHI", CodeTooLong}, // mixed counts as Han
	{"name11", "Jean-Luc O'Neill", ""},
	{"name11", strings.Repeat("a", 21), CodeTooLong},
	{"phrase12", "配送中", ""},
	{"phrase12", "配送配送配送中", CodeTooLong},
	{"phrase12", "配送中!", CodeBadFormat},
	{"phrase12", "ok", CodeBadFormat},
	{"enum_string13", "客厅", ""},
	{"enum_string13", "厨房", CodeNotInList},
	{"enum_string14", "谁知道", ""}, // no list came with the template
	{"enum15", "餐厅", ""},
	{"enum15", "厨房", CodeNotInList},
	{"short_thing16", "已完成", ""},
	{"short_thing16", "A1 !。", ""}, // any characters: nobody documented which
	{"short_thing16", "一二三四五六", CodeTooLong},
	{"const17", "已受理", ""},
	{"const17", strings.Repeat("好", 21), CodeTooLong},
	{"site18", strings.Repeat("好", 300), ""}, // a type that is not known
	{"hologram19", "~~~", ""},
	{"hologram19", "a\nb", CodeControlCharacter},
	{"hologram19", " ", CodeEmpty},
	{"short_thing20", "一二三四五六", ""}, // with a limit of its own
	{"short_thing20", "一二三四五六七", CodeTooLong},
}

func TestValues(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, tt := range values {
		f := newField(tt.key, nil)
		if tt.key == "enum_string13" || tt.key == "enum15" {
			f = newField(tt.key, []string{"客厅", "餐厅"})
		}
		if tt.key == "short_thing20" {
			f.limit = 6
		}
		seen[f.Type] = true
		var got Code
		fault := f.fault(tt.value)
		if fault != nil {
			got = fault.code
		}
		if got != tt.want {
			t.Errorf("%s %q: got %q, want %q", tt.key, tt.value, got, tt.want)
		}
		if fault != nil && (fault.reason == "" || len(tt.value) > 3 && strings.Contains(fault.reason, tt.value)) {
			t.Errorf("%s %q: the reason %q is empty or quotes the value", tt.key, tt.value, fault.reason)
		}
	}
	for kind := range rules {
		if !seen[kind] {
			t.Errorf("the type %s has no example", kind)
		}
	}
}

// TestExamples: what an answer offers as valid has to be.
func TestExamples(t *testing.T) {
	t.Parallel()
	for kind, r := range rules {
		f := newField(kind+"1", nil)
		if f.Example == "" {
			if !strings.HasPrefix(kind, "enum") {
				t.Errorf("%s has no example", kind)
			}
			continue
		}
		if fault := f.fault(f.Example); fault != nil {
			t.Errorf("%s: the example %q: %s", kind, f.Example, fault.reason)
		}
		if r.words == "" {
			t.Errorf("%s has no rule in words", kind)
		}
	}
}

func TestTruncate(t *testing.T) {
	t.Parallel()
	han := strings.Repeat("好", 30)
	family := "👨\u200d👩\u200d👧" // 8 UTF-16 units, one character to the reader
	for _, tt := range []struct {
		name, in, want string
	}{
		{"Han", han, han[:19*3] + "…"},
		{"letters", strings.Repeat("a", 25), strings.Repeat("a", 19) + "…"},
		{"no blank before the dots", strings.Repeat("a", 18) + " bcdef", strings.Repeat("a", 18) + "…"},
		{"a surrogate pair stays whole", strings.Repeat("a", 18) + "😀bc", strings.Repeat("a", 18) + "…"},
		{"an accent stays with its letter", strings.Repeat("a", 18) + "e\u0301bc", strings.Repeat("a", 18) + "…"},
		{"an emoji of parts stays whole", "aaaa" + family + family + "bb", "aaaa" + family + "…"},
		{"flags", strings.Repeat("🇨🇳", 6), strings.Repeat("🇨🇳", 4) + "…"},
		{"nothing would be left", "e" + strings.Repeat("\u0301", 25), ""},
	} {
		got, ok := truncate(tt.in, maxThing)
		if !ok {
			got = ""
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if length(got) > maxThing {
			t.Errorf("%s: %d characters", tt.name, length(got))
		}
	}
}
