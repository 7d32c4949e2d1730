package app

import (
	"fmt"
	"regexp"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Explained is a failed call of WeChat in words. It holds what may be shown and
// kept: no token, no secret, no addressee.
type Explained struct {
	API     string `json:"api"`
	Kind    string `json:"kind"`
	Errcode int    `json:"errcode"` // 0 when no errcode was read
	Errmsg  string `json:"errmsg"`
	RID     string `json:"rid,omitempty"`
	Field   string `json:"field,omitempty"`
	HTTP    int    `json:"http_status,omitempty"` // 0 when no status line came
	Meaning string `json:"meaning"`
	Do      string `json:"do,omitempty"` // "" when nothing
}

// Explain puts a failed call into words: by the errcode table where there is
// an errcode, else by its kind.
func Explain(e *wechat.Error) Explained {
	x := Explained{
		API: string(e.API), Kind: e.Kind.String(), Errcode: e.Code, Errmsg: e.Msg,
		RID: e.RID, Field: e.Field, HTTP: e.HTTPStatus,
	}
	if e.Code == 0 {
		x.Meaning, x.Do = explainKind(e.Kind)
		if e.API != wechat.APISend && (e.Kind == wechat.KindUnsure || e.Kind == wechat.KindInDoubt) {
			// Only a send leaves something behind that may have happened.
			x.Meaning, x.Do = "no answer that can be used", "see what stands between this machine and WeChat"
		}
		return x
	}
	row, _ := wechat.LookupErrcode(e.Code)
	x.Meaning, x.Do = row.Meaning, row.Do
	switch {
	case e.Code == 40164:
		if address := refusedAddress(e.Msg); address != "" {
			x.Do = fmt.Sprintf("add %s to the IP whitelist in the console, or switch the whitelist off", address)
		}
	case e.Kind == wechat.KindAccount && row.Kind == wechat.KindBadToken:
		// On a token endpoint the credential that was refused is the secret.
		x.Meaning, x.Do = "the secret is not that of this appid", "check WECHAT_SECRET against the console"
	case x.Do == "":
		_, x.Do = explainKind(e.Kind)
	}
	return x
}

// Whitelisted addresses are named as "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4,
// not in whitelist".
var addressPattern = regexp.MustCompile(`invalid ip ([0-9A-Fa-f.:]+)`)

// refusedAddress is the address of this machine that WeChat names in 40164; ""
// when it names none.
func refusedAddress(errmsg string) string {
	if m := addressPattern.FindStringSubmatch(errmsg); m != nil {
		return m[1]
	}
	return ""
}

// explainKind says what a kind means and what a person does about it, where the
// errcode does not say more.
func explainKind(k wechat.Kind) (meaning, do string) {
	switch k {
	case wechat.KindOK:
		return "accepted", ""
	case wechat.KindUnreachable:
		return "nothing was written: the name, the connection, TLS or the proxy failed",
			"check WECHAT_API_BASE_URL, HTTPS_PROXY and the way out of this network"
	case wechat.KindBusy:
		return "refused before it was looked at", "try again later; behind a proxy, check that it passes Content-Length"
	case wechat.KindUnsure:
		return "the answer does not say what happened: the message may have been sent",
			"look at the phone before sending again; if it keeps coming, see what stands between this machine and WeChat"
	case wechat.KindInDoubt:
		return "the request left and no answer came: the message may have been sent", "look at the phone before sending again"
	case wechat.KindConcurrent:
		return "another call for this openid is running", "send again in a few seconds"
	case wechat.KindBadToken:
		return "WeChat does not accept the access token", "if it keeps coming, find what else fetches tokens for this appid"
	case wechat.KindThrottled:
		return "the minute's quota is used up", "send again in the next minute"
	case wechat.KindThrottledDay:
		return "the day's quota is used up", "wait for the next day, or clear the quota in the console"
	case wechat.KindOpenIDThrottled:
		return "too many messages to this openid", "let it rest for some hours"
	case wechat.KindAccount:
		return "the app as a whole may not do this", "see the notices in the console"
	case wechat.KindTemplate:
		return "the template is not usable", "see the app's templates in the console"
	case wechat.KindPage:
		return "the page is not in the released version", "release the page or correct it"
	case wechat.KindRefused:
		return "the user gave no consent, or it is used up", "the user has to subscribe again, with a tap in the Mini Program"
	case wechat.KindBadAddress:
		return "the openid is not of this app, or its account is limited", "check which app the openid belongs to"
	case wechat.KindRejected:
		return "WeChat refuses the content", "correct what the message names"
	case wechat.KindBadCode:
		return "the login code is not accepted", "call wx.login again"
	case wechat.KindUnknown:
		return "not documented", "look the rid up in the console"
	}
	return "not documented", ""
}
