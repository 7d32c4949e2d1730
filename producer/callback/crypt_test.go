package callback

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// The values of WeChat's documentation, and two of other programs that speak to
// WeChat.
const (
	vectorAppID = "wxba5fad812f8e6fb9"
	vectorToken = "AAAAA"
	vectorEvent = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	vectorReply = "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
)

var vectorKey = strings.Repeat("A", 43)

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parts []string
		want  string
	}{
		"address check": {[]string{vectorToken, "1714036504", "1514711492"}, "f464b24fc39322e44b38aa78f5edd27bd1441696"},
		"plain push":    {[]string{vectorToken, "1714037059", "486452656"}, "899cf89e464efb63f54ddac96b0a0a235f53aa78"},
		"secure push, the signature that covers nothing": {[]string{vectorToken, "1714112445", "415670741"}, "6c5c811b55cc85e0e1b54100749188c20beb3f5d"},
		"secure push": {[]string{vectorToken, "1714112445", "415670741", vectorEvent}, "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"},
		"reply":       {[]string{vectorToken, "1713424427", "415670741", vectorReply}, "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1"},
		"another token": {[]string{
			"pcoLldqMu2WQQtYBeDX5HiXPsBFlTnDM", "1623292419", "1623324060",
			"o1XtmVltGmUAqoWee54yd4Q5ZBgrw4/9lFo5qdZoVPd1DybzarjuYCfFlR2AFbAcWHwFgmbrVBD+f9910QIF6g==",
		}, "1495c4dfd4958d4e5faf618978ae66943a042f87"},
	} {
		if got := signature(test.parts...); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if !signed(test.want, test.parts...) || signed(strings.ToUpper(test.want), test.parts...) || signed("", test.parts...) {
			t.Errorf("%s: signed does not tell right from wrong", name)
		}
	}
}

func TestDecryptVectors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ key, sealed, appID, want string }{
		"push": {
			vectorKey, vectorEvent, vectorAppID,
			`{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`,
		},
		"reply": {vectorKey, vectorReply, vectorAppID, `{"demo_resp":"good luck"}`},
		"key with bits after its end, text of two scripts": {
			"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
			"jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
			"wxb11529c136998cb6", "我是中文abcd123",
		},
		"another key": {
			"CyjBvGm4tJNmcThkeL5Wajzom4jKlBygKtpTkYeqsnE",
			"o1XtmVltGmUAqoWee54yd4Q5ZBgrw4/9lFo5qdZoVPd1DybzarjuYCfFlR2AFbAcWHwFgmbrVBD+f9910QIF6g==",
			"wwedab3d5fc43636d8", "6058207018001857403",
		},
	} {
		key, err := decodeAESKey(test.key)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := decrypt(key, test.sealed, test.appID)
		if err != nil || string(got) != test.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if _, err := decrypt(key, test.sealed, test.appID+"0"); !errors.Is(err, errDecrypt) {
			t.Errorf("%s, of another app: %v", name, err)
		}
	}
}

func TestDecodeAESKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", "A", vectorKey + "A", vectorKey[1:], strings.Repeat("!", 43), vectorKey[1:] + "\n"} {
		if _, err := decodeAESKey(key); err == nil || key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("a key of %d characters: %v", len(key), err)
		}
	}
}

// seal encrypts plain as it is, after padding it.
func seal(tb testing.TB, plain []byte, pad int) string {
	tb.Helper()
	key, err := decodeAESKey(vectorKey)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		tb.Fatal(err)
	}
	plain = append(bytes.Clone(plain), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

// framed is a message as it is encrypted, with the length that it claims.
func framed(message, appID string, length uint32) []byte {
	plain := []byte("0123456789abcdef")
	plain = binary.BigEndian.AppendUint32(plain, length)
	return append(append(plain, message...), appID...)
}

// sealMessage encrypts a message as WeChat does.
func sealMessage(tb testing.TB, message, appID string) string {
	tb.Helper()
	plain := framed(message, appID, uint32(len(message)))
	return seal(tb, plain, padTo-len(plain)%padTo)
}

// Whoever has the token and not the key must not crash us or get anything in.
func TestDecryptRefuses(t *testing.T) {
	t.Parallel()
	key, err := decodeAESKey(vectorKey)
	if err != nil {
		t.Fatal(err)
	}
	good := framed("hello", vectorAppID, 5) // 43 bytes
	if got, err := decrypt(key, seal(t, good, 21), vectorAppID); err != nil || string(got) != "hello" {
		t.Fatalf("what the others are made of: %q, %v", got, err)
	}
	oddPad := append(bytes.Clone(good), bytes.Repeat([]byte{9}, 20)...)
	for name, sealed := range map[string]string{
		"empty":                        "",
		"not base64":                   "!!!!",
		"not whole blocks":             base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"one block":                    seal(t, make([]byte, 15), 1),
		"all padding":                  seal(t, nil, 32),
		"no padding":                   seal(t, append(bytes.Clone(good), make([]byte, 20)...), 1)[:64] + "AAAA",
		"padding of zero":              seal(t, append(bytes.Clone(good), make([]byte, 21)...), 0),
		"padding beyond two blocks":    seal(t, good, 53),
		"padding that is not the same": seal(t, append(oddPad, 21), 0),
		"longer than it is":            seal(t, framed("hello", vectorAppID, 1<<31), 21),
		"length with the sign bit":     seal(t, framed("hello", vectorAppID, 1<<32-1), 21),
		"length beyond the appid":      seal(t, framed("hello", vectorAppID, 24), 21),
		"length short of the message":  seal(t, framed("hello", vectorAppID, 4), 21),
		"no appid":                     seal(t, framed("hello", "", 5), 7),
		"another appid":                sealMessage(t, "hello", "wx0000000000000000"),
	} {
		if got, err := decrypt(key, sealed, vectorAppID); !errors.Is(err, errDecrypt) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	key, err := decodeAESKey(vectorKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(vectorEvent, []byte{})
	f.Add("", framed("hello", vectorAppID, 5))
	f.Fuzz(func(t *testing.T, encoded string, plain []byte) {
		for _, sealed := range []string{encoded, seal(t, plain, padTo-len(plain)%padTo)} {
			got, err := decrypt(key, sealed, vectorAppID)
			if err != nil {
				continue
			}
			// What is accepted is what somebody with the key sealed for this app.
			again, err := decrypt(key, sealMessage(t, string(got), vectorAppID), vectorAppID)
			if err != nil || !bytes.Equal(again, got) {
				t.Errorf("%q became %q, %v", got, again, err)
			}
		}
	})
}
