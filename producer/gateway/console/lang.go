package console

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// lang is a language of the pages.
type lang string

const (
	english lang = "en"
	chinese lang = "zh"
)

// langCookie keeps the language that a visitor chose. It tells nothing about
// anybody.
const langCookie = "wxnotify_lang"

// chooseLang is the language that the visitor chose, or else the one of the two
// that the browser likes better.
func chooseLang(r *http.Request) lang {
	if c, err := r.Cookie(langCookie); err == nil && (c.Value == string(english) || c.Value == string(chinese)) {
		return lang(c.Value)
	}
	best, weight := english, 0.0
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(text, 64)
		}
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if l := lang(primary); (l == english || l == chinese) && q > weight {
			best, weight = l, q
		}
	}
	return best
}

// keepLang keeps the choice and shows the same page again.
func (v *visit) keepLang(code string) {
	if code == string(english) || code == string(chinese) {
		http.SetCookie(v.w, &http.Cookie{ //nolint:gosec // Secure where there is TLS; it is no secret
			Name: langCookie, Value: code, Path: Path, MaxAge: 365 * 24 * 3600,
			HttpOnly: true, Secure: secure(v.r), SameSite: http.SameSiteLaxMode,
		})
	}
	v.redirect(withLang(v.r.URL, ""))
}

// withLang is the page with lang as its parameter; "" takes it out.
func withLang(u *url.URL, code string) string {
	q := u.Query()
	q.Del("lang")
	if code != "" {
		q.Set("lang", code)
	}
	if len(q) == 0 {
		return u.Path
	}
	return u.Path + "?" + q.Encode()
}

// T is a message in the visitor's language; text is the English one, with verbs
// of fmt where args go.
func (v *visit) T(text string, args ...any) string {
	if v.lang == chinese {
		if translated, ok := messages[text]; ok {
			text = translated
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}
