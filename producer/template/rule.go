package template

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxThing is the limit of a thing, in characters.
const maxThing = 20

// valueFault is what is wrong with a value; reason goes on from the field's name.
type valueFault struct {
	code   Code
	reason string
}

// rule is what one type asks of a value that is not blank and has no control
// characters.
type rule struct {
	words   string // for people
	example string
	limit   int // of characters; 0: form sees to it
	// form says what is wrong with the characters; "" when nothing is.
	form func(value string) string
	// undocumented: the limit is what others found, so the settings file may
	// set another.
	undocumented bool
}

var (
	numberForm = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	amountForm = regexp.MustCompile(`^[¥￥$€£]?[0-9]{1,10}(\.[0-9]+)?元?$`)
	plateForm  = regexp.MustCompile(`^[\p{Han}A-Za-z0-9]([A-Za-z0-9]*[\p{Han}A-Za-z0-9])?$`)
)

// rules are the types of WeChat's page, and two that it leaves out and templates
// have: short_thing and const. A type that is not here passes.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_sendmessage.html
var rules = map[string]rule{
	"thing": {words: "at most 20 characters", example: "三楼会议室", limit: maxThing},
	"number": {
		words: "at most 32 digits, decimals allowed", example: "12.5", limit: 32,
		form: matches(numberForm, "must be digits, with decimals at most: no blanks, commas or units"),
	},
	"letter": {
		words: "at most 32 letters A-Z and a-z", example: "ABC", limit: 32,
		form: only(isASCIILetter, "must be letters A-Z and a-z"),
	},
	"symbol": {
		words: "at most 5 symbols", example: "#", limit: 5,
		form: only(isSymbol, "must be symbols: no letters, Han characters, digits or blanks"),
	},
	"character_string": {
		words: "at most 32 digits, letters and symbols, no Han characters", example: "GD-88021", limit: 32,
		form: only(isASCII, "must be digits, letters and symbols of ASCII: no Han characters, no full-width signs"),
	},
	"time": {
		words: "a 24-hour clock, after a date if there is one, or two of them with ~ between", example: "2019年10月1日 15:01",
		form: timeFault,
	},
	"date": {
		words: "a date, before a 24-hour clock if there is one, or two of them with ~ between", example: "2019年10月1日",
		form: dateFault,
	},
	"amount": {
		words: "at most 10 digits, decimals allowed, a currency sign before or 元 after them", example: "¥100.00",
		form: matches(amountForm, "must be at most 10 digits, with decimals at most, a currency sign (¥ ￥ $ € £) before or 元 after them: no blanks or commas"),
	},
	"phone_number": {
		words: "at most 17 digits and symbols", example: "+86-0766-66888866", limit: 17,
		form: phoneFault,
	},
	"car_number": {
		words: "at most 8 letters and digits, of which the first and the last may be a Han character", example: "粤A8Z888挂", limit: 8,
		form: matches(plateForm, "must be letters and digits; only the first and the last may be a Han character"),
	},
	"name": {
		words: "at most 10 characters with a Han character among them, or 20 without", example: "张三", limit: 20,
	},
	"phrase": {
		words: "at most 5 Han characters and nothing else", example: "配送中", limit: 5,
		form: only(isHan, "must be Han characters and nothing else"),
	},
	"enum":        {words: "one of the template's values"},
	"enum_string": {words: "one of the template's values"},
	"short_thing": {words: "at most 5 characters", example: "已完成", limit: 5, undocumented: true},
	"const":       {words: "at most 20 characters", example: "已完成", limit: 20, undocumented: true},
}

// newField makes the field of a key.
func newField(key string, values []string) Field {
	f := Field{Key: key, Type: typeOf(key), Values: slices.Clone(values)}
	f.describe()
	return f
}

// describe fills in the rule in words, and an example.
func (f *Field) describe() {
	r := rules[f.Type]
	f.Rule, f.Example = r.words, r.example
	switch {
	case len(f.Values) > 0:
		f.Rule, f.Example = "one of "+strings.Join(f.Values, ", "), f.Values[0]
	case f.limit > 0:
		f.Rule = fmt.Sprintf("at most %d characters", f.limit)
	case r.words != "" && r.example == "":
		f.Rule = "" // an enumeration whose values are not known
	}
}

// fault finds what WeChat would refuse a value for; nil when nothing.
func (f Field) fault(value string) *valueFault {
	switch {
	case !utf8.ValidString(value):
		return &valueFault{CodeBadFormat, "is not valid UTF-8"}
	case strings.ContainsFunc(value, isControl):
		return &valueFault{CodeControlCharacter, "has a newline or another control character, which WeChat refuses: replace it by a blank"}
	case !strings.ContainsFunc(value, isVisible):
		return &valueFault{CodeEmpty, "is empty, which WeChat refuses: write - or 无"}
	case len(f.Values) > 0:
		if !slices.Contains(f.Values, value) {
			return &valueFault{CodeNotInList, "must be " + f.Rule}
		}
		return nil
	}
	r := rules[f.Type]
	limit := r.limit
	if f.limit > 0 {
		limit = f.limit
	}
	// The form first: of a value that is wrong and long, the length is not the
	// thing to mend.
	if r.form != nil {
		if reason := r.form(value); reason != "" {
			return &valueFault{CodeBadFormat, reason}
		}
	}
	if f.Type == "name" && strings.ContainsFunc(value, isHan) {
		limit = 10
	}
	if n := length(value); limit > 0 && n > limit {
		return &valueFault{CodeTooLong, fmt.Sprintf("has %d characters; at most %d are allowed", n, limit)}
	}
	return nil
}

func matches(form *regexp.Regexp, reason string) func(string) string {
	return func(value string) string {
		if form.MatchString(value) {
			return ""
		}
		return reason
	}
}

func only(allowed func(rune) bool, reason string) func(string) string {
	return func(value string) string {
		if strings.ContainsFunc(value, func(r rune) bool { return !allowed(r) }) {
			return reason
		}
		return ""
	}
}

// phoneFault asks for a digit besides what the page says: symbols alone are a
// placeholder that nobody can call.
func phoneFault(value string) string {
	bad := func(r rune) bool { return !isASCII(r) || isASCIILetter(r) }
	if strings.ContainsFunc(value, bad) || !strings.ContainsAny(value, "0123456789") {
		return "must be digits and symbols of ASCII such as + and -: no letters, no Han characters"
	}
	return ""
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

func isASCIILetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

// isASCII is printable ASCII.
func isASCII(r rune) bool { return ' ' <= r && r <= '~' }

func isSymbol(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsSpace(r) }

// isControl also takes the separators of lines and paragraphs, which are
// newlines under another name.
func isControl(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// isVisible leaves out blanks of any width and what has none: a value of these
// alone is empty to the reader.
func isVisible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }
