package template

import (
	"errors"
	"regexp"
	"strings"
)

// A page pattern is a page in which {name} stands for any text without / ? & and
// #: pages/approval/detail?id={id}. A pattern without such a place is also the
// page of notifications that name none.

var pagePlace = regexp.MustCompile(`\{[A-Za-z0-9_]+\}`)

// pageMatcher makes a pattern into an expression.
func pageMatcher(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	from := 0
	for _, at := range pagePlace.FindAllStringIndex(pattern, -1) {
		b.WriteString(regexp.QuoteMeta(pattern[from:at[0]]) + `[^/?&#]+`)
		from = at[1]
	}
	b.WriteString(regexp.QuoteMeta(pattern[from:]) + "$")
	return regexp.MustCompile(b.String())
}

// checkPagePattern reports what is wrong with a pattern.
func checkPagePattern(pattern string) error {
	rest := pagePlace.ReplaceAllString(pattern, "")
	switch {
	case strings.ContainsAny(rest, "{}"):
		return errors.New("has a brace that is not part of a {name}")
	case strings.ContainsFunc(rest, func(r rune) bool { return isControl(r) || r == ' ' }):
		return errors.New("has a blank or a control character")
	case len(pattern) > maxPage:
		return errors.New("is longer than 1,024 bytes")
	}
	return nil
}

// maxPage is far above what anyone uses; WeChat documents no limit.
const maxPage = 1024

// CheckPage checks a notification's page against the template's pattern and
// returns the page to use, without a slash at its beginning: WeChat takes both.
// "" stands for a notification that names none, and the answer for a card that
// opens nothing.
func (t *Template) CheckPage(page string) (string, FieldErrors) {
	page = strings.TrimLeft(page, "/")
	switch {
	case t.Page == "":
		return page, nil
	case page == "" && !pagePlace.MatchString(t.Page):
		return t.Page, nil
	case page == "":
		return "", FieldErrors{{Field: "/page", Code: CodeRequired, Reason: "is required by this template's page pattern", Example: t.Page}}
	case !t.pages.MatchString(page):
		return "", FieldErrors{{Field: "/page", Code: CodeBadPage, Reason: "is not of this template's page pattern", Example: t.Page}}
	}
	return page, nil
}
