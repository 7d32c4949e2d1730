package wechat

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMsg bounds Error.Msg in bytes: it is stored with every attempt.
const maxMsg = 256

// minPrivate is the length in bytes from which a value of a call is masked.
// Shorter ones ("1", "ok") would blot out ordinary words and identify nobody.
const minPrivate = 4

var (
	ridPattern = regexp.MustCompile(`rid:\s*([0-9a-f]+(?:-[0-9a-f]+)*)`)
	// tail is what WeChat appends: "rid: 8hex-8hex-8hex", after a comma on sns
	// endpoints, and the older "hint: [..]", "hints: [..]", "hints: [ req_id: .. ]".
	tail = regexp.MustCompile(`(?:\s*,?\s*(?:hints?:\s*\[[^\]]*\]?|rid:\s*[0-9a-f-]+))+\s*$`)
	// blob is a run as long as an openid (28), a secret (32), a template id (43)
	// or a token (100 and more) and longer than any word of an errmsg.
	blob    = regexp.MustCompile(`[A-Za-z0-9_-]{28,}`)
	ridOnly = regexp.MustCompile(`^[0-9a-f-]{1,64}$`)
)

// findRID returns WeChat's request id, from the text or the field beside it.
func findRID(errmsg, field string) string {
	rid := field
	if m := ridPattern.FindStringSubmatch(errmsg); m != nil {
		rid = m[1]
	}
	if rid == "" || !ridOnly.MatchString(rid) {
		return ""
	}
	return rid
}

// clean makes a foreign text fit to be kept: without WeChat's tail, without the
// private values of the call and anything that looks like one, without control
// characters, and clipped. An address as in 40164 stays: the administrator
// needs it.
func clean(text string, private []string) string {
	text = strings.Join(strings.Fields(strings.Map(printable, text)), " ")
	text = tail.ReplaceAllString(text, "")
	for _, v := range forms(private) {
		text = strings.ReplaceAll(text, v, masked)
	}
	text = blob.ReplaceAllString(text, masked)
	return clip(text)
}

// forms returns every spelling of the private values that is long enough to
// mask, longest first so that a value inside another leaves no rest.
func forms(private []string) []string {
	var all []string
	for _, v := range private {
		v = strings.Join(strings.Fields(strings.Map(printable, v)), " ")
		for _, f := range []string{v, url.QueryEscape(v), url.PathEscape(v)} {
			if len(f) >= minPrivate && !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// printable turns what a log line should not hold into a space.
func printable(r rune) rune {
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

// clip cuts text to maxMsg bytes on a rune boundary.
func clip(text string) string {
	if len(text) <= maxMsg {
		return text
	}
	cut := maxMsg
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}
