package template

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The forms of time and date, as WeChat's page and its samples have them. The
// groups are year, month, day; a form without a year leaves the first empty.
var (
	clockForm = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?$`)

	dayForms = []*regexp.Regexp{
		regexp.MustCompile(`^([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})日$`),
		regexp.MustCompile(`^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})$`),
		regexp.MustCompile(`^([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})$`),
		regexp.MustCompile(`^([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})$`),
	}
	monthForms = []*regexp.Regexp{
		regexp.MustCompile(`^([0-9]{4})年([0-9]{1,2})月()$`),
		regexp.MustCompile(`^([0-9]{4})-([0-9]{1,2})()$`),
	}
	yearlessForms = []*regexp.Regexp{
		regexp.MustCompile(`^()([0-9]{1,2})月([0-9]{1,2})日$`),
		regexp.MustCompile(`^()([0-9]{1,2})-([0-9]{1,2})$`),
	}
)

const (
	timeWords = "must be a 24-hour clock, such as 15:01, with a date and one blank before it if there is one"
	dateWords = "must be a date, such as 2019年10月1日 or 2019-10-01, with one blank and a 24-hour clock after it if there is one"
	noClock   = "has a time of day that does not exist: 00:00 to 23:59:59"
	noDay     = "has a date that is not in the calendar"
)

// timeFault is the rule of the type time.
func timeFault(value string) string {
	return eachEnd(value, timeWords, func(end string) string {
		day, clock, both := strings.Cut(end, " ")
		if !both {
			return clockFault(end, timeWords)
		}
		if reason := dayFault(day, timeWords, dayForms); reason != "" {
			return reason
		}
		return clockFault(clock, timeWords)
	})
}

// dateFault is the rule of the type date.
func dateFault(value string) string {
	return eachEnd(value, dateWords, func(end string) string {
		day, clock, both := strings.Cut(end, " ")
		if !both {
			return dayFault(day, dateWords, dayForms, monthForms, yearlessForms)
		}
		if reason := dayFault(day, dateWords, dayForms); reason != "" {
			return reason
		}
		return clockFault(clock, dateWords)
	})
}

// eachEnd applies a rule to a moment or to the two ends of a range. The signs of
// other alphabets are the commonest mistake, and the answer says so.
func eachEnd(value, words string, check func(string) string) string {
	switch {
	case strings.ContainsAny(value, "～〜∼"):
		return "has a full-width tilde: a range has the ASCII ~ between its ends"
	case strings.ContainsRune(value, '：'):
		return "has a full-width colon: a clock has the ASCII :"
	case isoForm.MatchString(value):
		return "is in the form of ISO 8601, which WeChat refuses: write the local time as users read it"
	}
	from, to, isRange := strings.Cut(value, "~")
	if reason := check(from); reason != "" || !isRange {
		return reason
	}
	if strings.Contains(to, "~") {
		return words
	}
	return check(to)
}

var isoForm = regexp.MustCompile(`[0-9]T[0-9]`)

func clockFault(text, words string) string {
	m := clockForm.FindStringSubmatch(text)
	if m == nil {
		return words
	}
	if number(m[1]) > 23 || number(m[2]) > 59 || number(m[3]) > 59 {
		return noClock
	}
	return ""
}

// dayFault looks for a form that the text has and then for the day in the
// calendar. Without a year, 29 February is one.
func dayFault(text, words string, families ...[]*regexp.Regexp) string {
	for _, family := range families {
		for _, form := range family {
			m := form.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			year, month, day := 2000, number(m[2]), 1
			if m[1] != "" {
				year = number(m[1])
			}
			if m[3] != "" {
				day = number(m[3])
			}
			made := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
			if made.Year() != year || int(made.Month()) != month || made.Day() != day {
				return noDay
			}
			return ""
		}
	}
	return words
}

// number is a text of a few digits; 0 for none.
func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
