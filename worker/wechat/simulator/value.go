package simulator

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The forms of time and date values. A range joins two with an ASCII tilde; the
// full-width one is refused.
const (
	clockForm = `(?:[01]?\d|2[0-4]):[0-5]\d(?::[0-5]\d)?`
	monthForm = `(?:0?[1-9]|1[0-2])`
	dayForm   = `(?:0?[1-9]|[12]\d|3[01])`
	dateForm  = `(?:\d{4}年` + monthForm + `月` + dayForm + `日` +
		`|\d{4}-` + monthForm + `-` + dayForm +
		`|\d{4}/` + monthForm + `/` + dayForm +
		`|\d{4}\.` + monthForm + `\.` + dayForm + `)`
	shortDateForm = `(?:\d{4}年` + monthForm + `月` +
		`|` + monthForm + `月` + dayForm + `日` +
		`|\d{4}-` + monthForm +
		`|` + monthForm + `-` + dayForm + `)`
)

var (
	timePattern = regexp.MustCompile(`^(?:` + dateForm + ` )?` + clockForm + `$`)
	datePattern = regexp.MustCompile(`^(?:` + dateForm + `(?: ` + clockForm + `)?|` + shortDateForm + `)$`)

	numberPattern    = regexp.MustCompile(`^-?\d+(?:\.\d+)?$`)
	amountPattern    = regexp.MustCompile(`^[¥￥$€£]?\d{1,10}(?:\.\d+)?元?$`)
	carNumberPattern = regexp.MustCompile(`^[\p{Han}A-Za-z0-9](?:[A-Za-z0-9]*[\p{Han}A-Za-z0-9])?$`)
)

// validValue applies the documented limit of a key's type to a value that is
// not blank. Types that the documentation does not list pass.
func validValue(f Field, value string, enums map[string][]string) bool {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return false
	}
	n := length(value)
	switch f.Type {
	case "thing", "const":
		return n <= 20
	case "short_thing": // undocumented; the code bases that use it say five
		return n <= 5
	case "number":
		return n <= 32 && numberPattern.MatchString(value)
	case "letter":
		return n <= 32 && !strings.ContainsFunc(value, func(r rune) bool { return !asciiLetter(r) })
	case "symbol":
		return n <= 5 && !strings.ContainsFunc(value, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	case "character_string":
		return n <= 32 && !strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII })
	case "time":
		return validRange(value, timePattern)
	case "date":
		return validRange(value, datePattern)
	case "amount":
		return amountPattern.MatchString(value)
	case "phone_number":
		return n <= 17 && !strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII || asciiLetter(r) })
	case "car_number":
		return n <= 8 && carNumberPattern.MatchString(value)
	case "name":
		if strings.ContainsFunc(value, isHan) {
			return n <= 10
		}
		return n <= 20
	case "phrase":
		return n <= 5 && !strings.ContainsFunc(value, func(r rune) bool { return !isHan(r) })
	case "enum_string":
		allowed, ok := enums[f.Key]
		return !ok || slices.Contains(allowed, value)
	}
	return true
}

func validRange(value string, pattern *regexp.Regexp) bool {
	from, to, isRange := strings.Cut(value, "~")
	return pattern.MatchString(from) && (!isRange || pattern.MatchString(to))
}

// length counts characters. How WeChat counts those outside the basic plane is
// not known, so the larger of runes and UTF-16 units is taken.
func length(s string) int {
	n := utf8.RuneCountInString(s)
	for _, r := range s {
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

func asciiLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
