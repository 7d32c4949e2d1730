package simulator

import (
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// TestWordingsCoverTheTable holds this package against the errcode table, which
// it deliberately does not import.
func TestWordingsCoverTheTable(t *testing.T) {
	t.Parallel()
	for _, e := range wechat.Errcodes {
		if wordings[e.Code] == "" {
			t.Errorf("errcode %d (%s) has no wording", e.Code, e.Meaning)
		}
		if tokenSide[e.Code] && !e.TokenSide {
			t.Errorf("errcode %d is answered where the secret is used, the table says otherwise", e.Code)
		}
	}
	for code := range tokenSide {
		if e, ok := wechat.LookupErrcode(code); !ok || e.Kind != wechat.KindAccount {
			t.Errorf("errcode %d is an account fault here, the table says %s", code, e.Kind)
		}
	}
	for api, want := range map[API]wechat.API{
		APISend: wechat.APISend, APIStableToken: wechat.APIStableToken, APIToken: wechat.APIToken,
		APICode2Session: wechat.APICode2Session, APITemplates: wechat.APITemplates,
	} {
		if string(api) != string(want) {
			t.Errorf("endpoint %q is called %q in package wechat", api, want)
		}
	}
}
