package simulator

import (
	"strings"
	"testing"
)

// The vectors of WeChat's documentation and of WxJava's tests.

func TestEncrypt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ key, random, msg, appID, want string }{
		"official": {
			strings.Repeat("A", 43), "707722b803182950", `{"demo_resp":"good luck"}`, "wxba5fad812f8e6fb9",
			"ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
		},
		"official, padded by 19": {
			strings.Repeat("A", 43), "a8eedb185eb2fecf",
			`{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`,
			"wxba5fad812f8e6fb9",
			"+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=",
		},
		"key with loose bits, Chinese text": {
			"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "aaaabbbbccccdddd", "我是中文abcd123", "wxb11529c136998cb6",
			"jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := decodeAESKey(tc.key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := encrypt(key, []byte(tc.random), []byte(tc.msg), tc.appID)
			if err != nil || got != tc.want {
				t.Errorf("got %s, %v; want %s", got, err, tc.want)
			}
		})
	}
	for _, key := range []string{"", "short", strings.Repeat("*", 43), strings.Repeat("A", 44)} {
		if _, err := decodeAESKey(key); err == nil {
			t.Errorf("the key %q was taken", key)
		}
	}
}

func TestSign(t *testing.T) {
	t.Parallel()
	for want, parts := range map[string][]string{
		"899cf89e464efb63f54ddac96b0a0a235f53aa78": {"AAAAA", "1714037059", "486452656"},
		"1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1": {
			"AAAAA", "1713424427", "415670741",
			"ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
		},
	} {
		if got := sign(parts...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
