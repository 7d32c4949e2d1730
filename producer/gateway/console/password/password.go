// Package password keeps passwords of people as argon2id hashes (RFC 9106), in
// the usual text form that other tools read and write too. It owns the form and
// the cost; who may try how often is the caller's.
package password

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// The cost of a new hash, the least that OWASP's Password Storage Cheat Sheet
// names for argon2id: 19 MiB and two passes, some 30 ms on a small server.
const (
	memory  = 19 * 1024 // KiB
	passes  = 2
	threads = 1
	saltLen = 16
	keyLen  = 32
)

// What a hash of others may cost at most: a login must not be a way to exhaust
// the process.
const (
	maxMemory  = 256 * 1024 // KiB
	maxPasses  = 16
	maxThreads = 16
	minSalt    = 8
	minKey     = 16
	maxBytes   = 64 // of salt and key
)

// MinLength is how many bytes a password has at least. It is low on purpose: it
// keeps out the empty and the obvious.
const MinLength = 8

// Hash is a hashed password. The zero value verifies nothing.
type Hash struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

// New hashes a password with a salt of its own.
func New(password string) Hash {
	salt := make([]byte, saltLen)
	rand.Read(salt)
	return derive(password, salt)
}

// Shared hashes a password that several processes hold in plain text, so that
// each of them comes to the same hash.
func Shared(password string) Hash {
	salt := sha256.Sum256([]byte("wxnotify console"))
	return derive(password, salt[:saltLen])
}

func derive(password string, salt []byte) Hash {
	h := Hash{memory: memory, passes: passes, threads: threads, salt: salt}
	h.key = h.hash(password, keyLen)
	return h
}

func (h Hash) hash(password string, n uint32) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, n)
}

// Verify reports whether this is the password. It takes as long either way.
func (h Hash) Verify(password string) bool {
	if len(h.key) == 0 {
		return false
	}
	got := h.hash(password, uint32(len(h.key))) //nolint:gosec // at most 64
	return subtle.ConstantTimeCompare(got, h.key) == 1
}

// String is the hash as it stands in a file: $argon2id$v=19$m=…,t=…,p=…$salt$key.
func (h Hash) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.threads,
		encoding.EncodeToString(h.salt), encoding.EncodeToString(h.key))
}

var encoding = base64.RawStdEncoding.Strict()

// errForm does not repeat the text, which may be a password.
var errForm = errors.New("not an argon2id hash as `wxnotify admin password` prints it")

// Parse reads what String wrote, also with other costs.
func Parse(text string) (Hash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return Hash{}, errForm
	}
	var h Hash
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); err != nil {
		return Hash{}, errForm
	}
	var saltErr, keyErr error
	h.salt, saltErr = encoding.DecodeString(parts[4])
	h.key, keyErr = encoding.DecodeString(parts[5])
	switch {
	case saltErr != nil, keyErr != nil, h.String() != text:
		return Hash{}, errForm
	case len(h.salt) < minSalt, len(h.key) < minKey, len(h.salt) > maxBytes, len(h.key) > maxBytes:
		return Hash{}, errors.New("an argon2id hash with a salt or a key of an unusual length")
	case h.passes < 1, h.passes > maxPasses, h.threads < 1, h.threads > maxThreads,
		h.memory < 8*uint32(h.threads), h.memory > maxMemory:
		return Hash{}, fmt.Errorf("an argon2id hash of a cost that is not served: at most m=%d,t=%d,p=%d", maxMemory, maxPasses, maxThreads)
	}
	return h, nil
}
