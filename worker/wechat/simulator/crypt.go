package simulator

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1" //nolint:gosec // WeChat's signature is SHA-1
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// The push encryption of
// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html

// decodeAESKey turns the 43 characters of an EncodingAESKey into 32 bytes. Not
// strict: keys chosen by people may have bits set after the last byte.
func decodeAESKey(encoded string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(encoded + "=")
	if err != nil || len(key) != 32 {
		return nil, errors.New("the AES key is not 43 characters of base64")
	}
	return key, nil
}

// encrypt seals msg for appID: AES-256-CBC over random(16), the length of msg in
// four bytes, msg and appID, padded to 32-byte blocks.
func encrypt(key, random, msg []byte, appID string) (string, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	const padTo = 32
	plain := slices.Clone(random)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(msg))) //nolint:gosec // an event is far below 4 GiB
	plain = append(plain, msg...)
	plain = append(plain, appID...)
	pad := padTo - len(plain)%padTo
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain), nil
}

// sign is the hexadecimal SHA-1 of the parts in byte order.
func sign(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, ""))) //nolint:gosec // WeChat's signature is SHA-1
	return hex.EncodeToString(sum[:])
}
