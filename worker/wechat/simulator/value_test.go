package simulator

import (
	"strings"
	"testing"
)

func TestValidValue(t *testing.T) {
	t.Parallel()
	han := func(n int) string { return strings.Repeat("汉", n) }
	for typ, tc := range map[string]struct{ good, bad []string }{
		"thing":            {[]string{"a", han(20), "1。!😀"}, []string{han(21), strings.Repeat("😀", 11), "a\tb", "a\u0085b"}},
		"short_thing":      {[]string{han(5)}, []string{han(6)}},
		"const":            {[]string{han(20)}, []string{han(21)}},
		"number":           {[]string{"0", "-1", "12.50", strings.Repeat("9", 32)}, []string{strings.Repeat("9", 33), "1,000", "1.", "一", "１"}},
		"letter":           {[]string{"abcXYZ", strings.Repeat("a", 32)}, []string{strings.Repeat("a", 33), "a1", "é"}},
		"symbol":           {[]string{"!@#"}, []string{"!!!!!!", "a!", "汉", "1"}},
		"character_string": {[]string{"LY-2026 #1", strings.Repeat("x", 32)}, []string{strings.Repeat("x", 33), "单号1"}},
		"time": {
			[]string{"15:01", "9:05", "15:01:05", "2019年10月1日 15:01", "2023-12-13 17:24:00", "15:01~16:30", "2019年10月1日 15:01~2019年10月2日 16:01"},
			[]string{"2019年10月1日", "25:00", "15:60", "15:01～16:30", "15:01~", "~15:01", "15:01~16:30~17:00", "now", "2026-13-01 10:00"},
		},
		"date": {
			[]string{"2019年10月1日", "2019年10月1日 15:01", "2019-12-25 09:42", "2018-01-01", "2018/01/01", "2018.01.01", "2018-01", "01-01", "2019年10月", "10月1日", "2026年8月15日~2027年4月30日"},
			[]string{"15:01", "2018-1-32", "2018-13-01", "2026年8月15日～2027年4月30日", "tomorrow"},
		},
		"amount":       {[]string{"￥100", "¥214.00", "0.01", "$5", "6000.00元", "9999999999"}, []string{"99999999999", "100 元", "¥", "1,000", "CNY 5"}},
		"phone_number": {[]string{"+86-0766-66888866", "13800000000"}, []string{"+86-0766-668888667", "一三八", "ext5"}},
		"car_number":   {[]string{"粤A8Z888挂", "A12345", "粤"}, []string{"粤A8Z8888挂", "粤A粤123", "粤A-123"}},
		"name":         {[]string{han(10), strings.Repeat("a", 20), "O'Neil"}, []string{han(11), strings.Repeat("a", 21), "李" + strings.Repeat("a", 10)}},
		"phrase":       {[]string{"配送中", han(5)}, []string{han(6), "配送中1", "ok"}},
		"enum_string":  {[]string{"one"}, []string{"three"}},
		"site":         {[]string{"anything at all that nobody documented"}, []string{"a\nb"}},
	} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			f := Field{Key: typ + "2", Type: typ}
			enums := map[string][]string{"enum_string2": {"one", "two"}}
			for _, v := range tc.good {
				if !validValue(f, v, enums) {
					t.Errorf("%q was refused", v)
				}
			}
			for _, v := range tc.bad {
				if validValue(f, v, enums) {
					t.Errorf("%q was accepted", v)
				}
			}
		})
	}
	if !validValue(Field{Key: "enum_string9", Type: "enum_string"}, "any", nil) {
		t.Error("an enum without a list refused a value")
	}
}
