package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/callback"
)

// AskCallbacks adds a check for each app whose message push is received: the
// question that WeChat's console asks when the URL is saved, at base, which is
// the address of the gateway as WeChat knows it.
func (d *Doctor) AskCallbacks(cfg *config.Config, base string) {
	for _, a := range cfg.Apps {
		if !a.Callback.Receives() {
			continue
		}
		d.groups = append(d.groups, group{{"app " + a.AppID + " callback", func(ctx context.Context) Result {
			return askCallback(ctx, strings.TrimRight(base, "/")+"/wechat/callback/"+a.AppID, a)
		}}})
	}
}

// askCallback asks as WeChat does, from here: what is between WeChat and the
// gateway is not seen.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html
func askCallback(ctx context.Context, address string, a config.App) Result {
	echo, nonce := rand.Text(), rand.Text()
	at := strconv.FormatInt(time.Now().Unix(), 10)
	query := url.Values{
		"timestamp": {at}, "nonce": {nonce}, "echostr": {echo},
		"signature": {callback.Sign(a.Callback.Token.Reveal(), at, nonce)},
	}
	status, body, err := get(ctx, address+"?"+query.Encode())
	const console = "; in WeChat's console the URL of the message push is this one"
	switch {
	case err != nil:
		return fail(address+": "+shortErr(err), "see that the gateway runs, and its name, TLS certificate and the proxy before it"+console)
	case status == http.StatusOK && body == echo:
		return okay("%s answers as WeChat expects; whether WeChat reaches it, its console says when it is saved", address)
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fail(fmt.Sprintf("%s refuses the signature (HTTP %d)", address, status), "give the gateway the callback token that is set here")
	case status == http.StatusNotFound:
		return fail(address+" knows no such app (HTTP 404)", "give the gateway this app's callback token and AES key; with CALLBACK_ADDR ask that address")
	}
	return fail(fmt.Sprintf("%s answers something else (HTTP %d)", address, status), "see what stands before the gateway: the answer has to be the echostr and nothing else"+console)
}

// maxEcho is more than an echostr.
const maxEcho = 4 << 10

// get fetches a page and follows no redirect: WeChat does not either.
func get(ctx context.Context, address string) (status int, body string, err error) {
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("User-Agent", "wxnotify")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxEcho))
	return resp.StatusCode, string(b), err
}
