package template

import (
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// length counts characters as WeChat does: one Han character is one. How it
// counts those outside the basic plane, such as emoji, is not known, so the
// larger of runes and UTF-16 units is taken, which is the latter.
func length(s string) int {
	n := utf8.RuneCountInString(s)
	for _, r := range s {
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

const ellipsis = "…"

// truncate cuts s to at most limit characters, the last one being …, between two
// characters as a reader sees them: an accent stays with its letter, the parts of
// an emoji stay together. ok is false when nothing would be left.
func truncate(s string, limit int) (short string, ok bool) {
	room := limit - length(ellipsis)
	end, state := 0, -1
	for rest := s; rest != ""; {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if room -= length(cluster); room < 0 {
			break
		}
		end += len(cluster)
	}
	kept := strings.TrimSpace(s[:end])
	return kept + ellipsis, kept != ""
}
