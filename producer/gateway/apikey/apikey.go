// Package apikey is what an API key of a producer looks like and what is kept of
// it. Settings and gateway share it; who has which key, and what for, is theirs.
package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

// Hash is the SHA-256 of an API key. A fast hash without salt is right for it: a
// key is 256 random bits, which no dictionary has and nobody tries out, and a
// slow hash would have to be computed for every request.
type Hash [sha256.Size]byte

// Of is the hash of a key.
func Of(key string) Hash { return sha256.Sum256([]byte(key)) }

// New makes a key of 256 random bits, which begins so that people and secret
// scanners recognise it.
func New() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return "wxn_" + base64.RawURLEncoding.EncodeToString(random)
}

// HashPrefix begins the text of a hash and names how it is made. A colon here
// would be read as a mapping in some forms of YAML.
const HashPrefix = "sha256-"

// String is the hash as it stands in the settings' file.
func (h Hash) String() string { return HashPrefix + hex.EncodeToString(h[:]) }

// Parse reads what String wrote.
func Parse(text string) (h Hash, ok bool) {
	digits, found := strings.CutPrefix(text, HashPrefix)
	b, err := hex.DecodeString(digits)
	if !found || err != nil || len(b) != len(h) {
		return Hash{}, false
	}
	return Hash(b), true
}
