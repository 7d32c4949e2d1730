package callback

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // WeChat's signature is SHA-1
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// errDecrypt does not say what is wrong: who can make us decrypt, which takes
// the token, learns nothing from it.
var errDecrypt = errors.New("cannot be decrypted with this AES key for this app")

// decodeAESKey turns an EncodingAESKey into 32 bytes. It is not strict: keys
// chosen by people may have bits set after the last byte.
func decodeAESKey(encoded string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(encoded + "=")
	if err != nil || len(encoded) != 43 || len(key) != 32 {
		return nil, errors.New("not 43 characters of base64")
	}
	return key, nil
}

// Sign is the signature of a request that is not encrypted, the check of the
// address among them: for who asks as WeChat does.
func Sign(token, timestamp, nonce string) string { return signature(token, timestamp, nonce) }

// signature is the hexadecimal SHA-1 of the parts in byte order.
func signature(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // WeChat's signature is SHA-1
	return hex.EncodeToString(sum[:])
}

// signed compares in constant time.
func signed(got string, parts ...string) bool {
	return subtle.ConstantTimeCompare([]byte(got), []byte(signature(parts...))) == 1
}

// The parts of what is encrypted: random(16), the length of the message in four
// bytes, the message, the appid.
const (
	randomSize = 16
	headSize   = randomSize + 4
	padTo      = 32 // PKCS#7 over two AES blocks, so that a pad of 17 to 32 is valid
)

// decrypt opens what WeChat sealed for the app: AES-256-CBC whose IV is the
// beginning of the key.
func decrypt(key []byte, encoded, appID string) ([]byte, error) {
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
		return nil, errDecrypt
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errDecrypt
	}
	cipher.NewCBCDecrypter(block, key[:aes.BlockSize]).CryptBlocks(sealed, sealed)
	pad := int(sealed[len(sealed)-1])
	if pad < 1 || pad > padTo || pad > len(sealed)-headSize {
		return nil, errDecrypt
	}
	plain, padding := sealed[:len(sealed)-pad], sealed[len(sealed)-pad:]
	if !bytes.Equal(padding, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errDecrypt
	}
	length := uint64(binary.BigEndian.Uint32(plain[randomSize:headSize]))
	rest := plain[headSize:]
	if length > uint64(len(rest)) || string(rest[length:]) != appID {
		return nil, errDecrypt
	}
	return rest[:length], nil
}
