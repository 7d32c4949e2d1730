package console

import (
	"regexp"
	"strings"
)

// Rule is what a field of a template takes, in the visitor's language. The
// catalog speaks English; a test holds the texts to its types.
func (v view) Rule(words string) string {
	if v.lang != chinese || words == "" {
		return words
	}
	if translated, ok := rulesInChinese[words]; ok {
		return translated
	}
	if m := characters.FindStringSubmatch(words); m != nil {
		return "最多 " + m[1] + " 个字"
	}
	if values, ok := strings.CutPrefix(words, "one of "); ok {
		return "以下之一：" + values
	}
	return words
}

var characters = regexp.MustCompile(`^at most ([0-9]+) characters$`)

var rulesInChinese = map[string]string{
	"at most 32 digits, decimals allowed":                                                  "最多 32 位数字，可带小数",
	"at most 32 letters A-Z and a-z":                                                       "最多 32 个英文字母",
	"at most 5 symbols":                                                                    "最多 5 个符号",
	"at most 32 digits, letters and symbols, no Han characters":                            "最多 32 位数字、字母和符号，不含汉字",
	"a 24-hour clock, after a date if there is one, or two of them with ~ between":         "24 小时制时间，前面可带日期，两个之间用 ~",
	"a date, before a 24-hour clock if there is one, or two of them with ~ between":        "日期，后面可带 24 小时制时间，两个之间用 ~",
	"at most 10 digits, decimals allowed, a currency sign before or 元 after them":          "最多 10 位数字，可带小数，前面可带货币符号或后面带“元”",
	"at most 17 digits and symbols":                                                        "最多 17 位数字和符号",
	"at most 8 letters and digits, of which the first and the last may be a Han character": "最多 8 位字母和数字，首尾可为汉字",
	"at most 10 characters with a Han character among them, or 20 without":                 "含汉字时最多 10 个字，否则最多 20 个",
	"at most 5 Han characters and nothing else":                                            "最多 5 个汉字，不含其他",
}
