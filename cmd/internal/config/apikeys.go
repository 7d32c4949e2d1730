package config

import (
	"errors"
	"regexp"
	"strings"

	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
)

// minKey is the least length of an API key: less cannot hold 128 random bits in
// any usual writing of them.
const minKey = 32

// apiKeyForm is what an Authorization header can carry behind Bearer.
var apiKeyForm = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// producerForm is that of a producer's name in the store.
var producerForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// apiKeys are name:key pairs, separated by commas. A name may come again with
// another key, so that keys can be changed one after the other.
func apiKeys[T any](at func(*T) *[]Producer) kind[T] {
	return kind[T]{name: "text", values: "NAME:KEY, separated by commas; a key has at least 32 characters", parse: func(t *T, text string) error {
		var found []Producer
		byName := map[string]int{}
		for part := range strings.SplitSeq(text, ",") {
			name, key, ok := strings.Cut(strings.TrimSpace(part), ":")
			switch {
			case !ok || !producerForm.MatchString(name):
				return errors.New("must be NAME:KEY, separated by commas; a name has up to 64 letters, digits, dots, dashes and underscores")
			case len(key) < minKey || !apiKeyForm.MatchString(key):
				return errors.New("has a key that is too short or has characters that no header carries: make one with `wxnotify keys new NAME`")
			}
			i, again := byName[name]
			if !again {
				i = len(found)
				byName[name] = i
				found = append(found, Producer{Name: name, Rights: []Right{RightSend, RightRead, RightUsers}})
			}
			found[i].Keys = append(found[i].Keys, apikey.Of(key))
		}
		*at(t) = found
		return nil
	}}
}
