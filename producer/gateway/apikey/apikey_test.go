package apikey_test

import (
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
)

func TestKeysAndTheirHashes(t *testing.T) {
	t.Parallel()
	key := apikey.New()
	if key == apikey.New() || !strings.HasPrefix(key, "wxn_") || len(key) != len("wxn_")+43 {
		t.Errorf("key of %d characters", len(key))
	}
	h := apikey.Of(key)
	if h == apikey.Of(key+"x") || strings.Contains(h.String(), key) {
		t.Error("the hash says nothing, or too much")
	}
	if got, ok := apikey.Parse(h.String()); !ok || got != h {
		t.Errorf("%s is not read as it was written", h)
	}
	const none = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if got := apikey.Of("").String(); got != "sha256-"+none {
		t.Errorf("got %s", got)
	}
	for _, text := range []string{"", none, "sha256-", "sha256-" + none[1:], "sha256-" + none + "00", "sha256-" + none[:62] + "zz", "sha256:" + none} {
		if _, ok := apikey.Parse(text); ok {
			t.Errorf("%q is taken for a hash", text)
		}
	}
}
