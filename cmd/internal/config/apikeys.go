package config

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
)

// KeyHash is the SHA-256 of an API key. A fast hash is right for it: keys are
// random, nobody guesses 256 bits.
type KeyHash [sha256.Size]byte

// HashKey is the hash of a key.
func HashKey(key string) KeyHash { return sha256.Sum256([]byte(key)) }

// NewKey makes a key of 256 random bits, which begins so that people and secret
// scanners recognise it.
func NewKey() string {
	random := make([]byte, 32)
	rand.Read(random)
	return "wxn_" + base64.RawURLEncoding.EncodeToString(random)
}

// keyHashPrefix begins the text of a hash and names how it is made. A colon here
// would be read as a mapping in some forms of YAML.
const keyHashPrefix = "sha256-"

// String is the hash as it stands in the file.
func (h KeyHash) String() string { return keyHashPrefix + hex.EncodeToString(h[:]) }

func parseKeyHash(text string) (h KeyHash, ok bool) {
	digits, found := strings.CutPrefix(text, keyHashPrefix)
	b, err := hex.DecodeString(digits)
	if !found || err != nil || len(b) != len(h) {
		return KeyHash{}, false
	}
	return KeyHash(b), true
}

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
			found[i].Keys = append(found[i].Keys, HashKey(key))
		}
		*at(t) = found
		return nil
	}}
}
