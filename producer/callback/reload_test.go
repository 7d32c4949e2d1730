package callback

import (
	"net/http"
	"net/url"
	"testing"
)

// The message push of an app comes, gets another key and goes with the settings.
func TestReload(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	check := url.Values{
		"signature": {"f464b24fc39322e44b38aa78f5edd27bd1441696"}, "timestamp": {"1714036504"}, "nonce": {"1514711492"},
		"echostr": {"4375120948345356249"},
	}
	reload := func(apps map[string]AppConfig) {
		t.Helper()
		apply, err := r.handler.Reload(apps)
		if err != nil {
			t.Fatal(err)
		}
		apply()
	}
	if _, err := r.handler.Reload(map[string]AppConfig{vectorAppID: {Token: vectorToken, AESKey: "short"}}); err == nil {
		t.Error("a key that is none is taken over")
	}
	status, text := r.do(http.MethodGet, vectorAppID, check, "")
	r.wantAnswer("after settings that were refused", status, text, 200, "4375120948345356249")

	reload(map[string]AppConfig{"wx-new": {Token: vectorToken, AESKey: vectorKey}, vectorAppID: {Token: "another", AESKey: vectorKey}})
	status, text = r.do(http.MethodGet, "wx-new", check, "")
	r.wantAnswer("an app that came", status, text, 200, "4375120948345356249")
	status, text = r.do(http.MethodGet, vectorAppID, check, "")
	r.wantAnswer("another token", status, text, 403, "Forbidden")

	reload(nil)
	status, text = r.do(http.MethodGet, "wx-new", check, "")
	r.wantAnswer("an app that went", status, text, 404, "404 page not found")
}
