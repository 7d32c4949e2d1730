package wechat

// Errcode is one row of the table: what a code means and which kind it is.
type Errcode struct {
	Code int
	Kind Kind
	// Meaning says in a few words what WeChat means by it.
	Meaning string
	// Do says what an administrator does about it; "" when nothing.
	Do string
	// TokenSide: the fault is about fetching a token, so a pause of the app is
	// probed by a token fetch, not by a message.
	TokenSide bool
}

// Errcodes is the one table of errcodes, for subscribe/send, the token
// endpoints and jscode2session. The simulator, the metrics and the handbook use
// it too.
//
// Sources: https://developers.weixin.qq.com/miniprogram/dev/server/API/mp-message-management/subscribe-message/api_sendmessage.html
// and https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html
var Errcodes = []Errcode{
	{Code: 0, Kind: KindOK, Meaning: "accepted"},
	{Code: -1, Kind: KindUnsure, Meaning: "system error on WeChat's side"},

	{Code: 40001, Kind: KindBadToken, Meaning: "access token invalid or not the latest (on a token endpoint: wrong secret)", Do: "if it keeps coming, find what else fetches tokens for this appid"},
	{Code: 40014, Kind: KindBadToken, Meaning: "access token malformed", Do: "check that a shared token is stored whole (512 characters and more)"},
	{Code: 42001, Kind: KindBadToken, Meaning: "access token expired"},
	{Code: 43108, Kind: KindConcurrent, Meaning: "another call for this openid is running"},
	{Code: 45011, Kind: KindThrottled, Meaning: "minute quota reached"},
	{Code: 45009, Kind: KindThrottledDay, Meaning: "daily quota reached", Do: "wait for the next day, or clear the quota in the console"},
	{Code: 43117, Kind: KindOpenIDThrottled, Meaning: "too many messages to this openid"},

	{Code: 40002, Kind: KindAccount, Meaning: "grant_type refused", Do: "report it: the request is built wrong", TokenSide: true},
	{Code: 40013, Kind: KindAccount, Meaning: "appid invalid", Do: "check WECHAT_APPID", TokenSide: true},
	{Code: 40125, Kind: KindAccount, Meaning: "secret wrong or reset", Do: "check WECHAT_SECRET against the console", TokenSide: true},
	{Code: 40164, Kind: KindAccount, Meaning: "this machine's address is not on the app's IP whitelist", Do: "add the address in the message to the whitelist in the console", TokenSide: true},
	{Code: 40243, Kind: KindAccount, Meaning: "secret frozen", Do: "unfreeze it in the console", TokenSide: true},
	{Code: 41001, Kind: KindAccount, Meaning: "access token missing", Do: "report it: the request was sent without a token"},
	{Code: 41002, Kind: KindAccount, Meaning: "appid missing", Do: "check WECHAT_APPID", TokenSide: true},
	{Code: 41004, Kind: KindAccount, Meaning: "secret missing", Do: "check WECHAT_SECRET", TokenSide: true},
	{Code: 43002, Kind: KindAccount, Meaning: "POST required", Do: "check WECHAT_API_BASE_URL and proxies on the way", TokenSide: true},
	{Code: 43107, Kind: KindAccount, Meaning: "subscribe messages banned for this app or template", Do: "see the notice in the console"},
	{Code: 48001, Kind: KindAccount, Meaning: "this app may not call the API", Do: "check that appid and secret are those of the Mini Program, not of an official account"},
	{Code: 48004, Kind: KindAccount, Meaning: "API forbidden for irregularities", Do: "see the notice in the console"},
	{Code: 50004, Kind: KindAccount, Meaning: "token API forbidden for this account", Do: "see the notice in the console", TokenSide: true},
	{Code: 50007, Kind: KindAccount, Meaning: "account frozen", Do: "see the notice in the console", TokenSide: true},
	{Code: 61004, Kind: KindAccount, Meaning: "this machine's address is not registered with the third-party platform", Do: "register the address"},
	{Code: 61007, Kind: KindAccount, Meaning: "the app has not given this right to the third-party platform", Do: "have permission set 18 granted"},
	{Code: 89503, Kind: KindAccount, Meaning: "the call waits for an administrator's confirmation", Do: "confirm it in WeChat", TokenSide: true},
	{Code: 89506, Kind: KindAccount, Meaning: "an administrator refused this address for 24 hours", Do: "ask the administrator", TokenSide: true},
	{Code: 89507, Kind: KindAccount, Meaning: "an administrator refused this address for an hour", Do: "ask the administrator", TokenSide: true},
	{Code: 43100, Kind: KindAccount, Meaning: "template changed too often"},
	{Code: 43104, Kind: KindAccount, Meaning: "this appid has no permission", Do: "see the notice in the console"},
	{Code: 43106, Kind: KindAccount, Meaning: "adding templates is punished", Do: "see the notice in the console"},
	{Code: 40230, Kind: KindAccount, Meaning: "API signature required or wrong", Do: "switch API signing off for this app"},
	{Code: 40231, Kind: KindAccount, Meaning: "API signature required or wrong", Do: "switch API signing off for this app"},
	{Code: 40232, Kind: KindAccount, Meaning: "API signature required or wrong", Do: "switch API signing off for this app"},
	{Code: 40233, Kind: KindAccount, Meaning: "API signature required or wrong", Do: "switch API signing off for this app"},
	{Code: 40234, Kind: KindAccount, Meaning: "API signature wrong", Do: "switch API signing off for this app"},
	{Code: 40235, Kind: KindAccount, Meaning: "API encryption wrong", Do: "switch API signing off for this app"},
	{Code: 40236, Kind: KindAccount, Meaning: "API signature required or wrong", Do: "switch API signing off for this app"},
	{Code: 40237, Kind: KindAccount, Meaning: "appid and token do not match", Do: "check what shares this token"},
	{Code: 40238, Kind: KindAccount, Meaning: "API key not set", Do: "switch API signing off for this app"},
	{Code: 40239, Kind: KindAccount, Meaning: "API key not set", Do: "switch API signing off for this app"},
	{Code: 40240, Kind: KindAccount, Meaning: "API signature too old", Do: "switch API signing off for this app"},

	{Code: 40037, Kind: KindTemplate, Meaning: "template id unknown to this app", Do: "compare the template id with the Mini Program's list in the console (wxnotify doctor says how many it has); correct the id, or add the template"},
	{Code: 43116, Kind: KindTemplate, Meaning: "template banned", Do: "see the notice in the console"},
	{Code: 43102, Kind: KindTemplate, Meaning: "template is not a subscription template", Do: "choose a subscribe-message template"},
	{Code: 43103, Kind: KindTemplate, Meaning: "this API can only cancel the subscription", Do: "choose a subscribe-message template"},
	{Code: 43105, Kind: KindTemplate, Meaning: "nothing is bound to the template", Do: "check which app owns the template"},
	{Code: 41030, Kind: KindPage, Meaning: "page not in the released version", Do: "release the page or correct it"},
	{Code: 40165, Kind: KindPage, Meaning: "page path invalid", Do: "correct the page"},
	{Code: 43101, Kind: KindRefused, Meaning: "the user has not subscribed, or the consent is used up"},
	{Code: 40003, Kind: KindBadAddress, Meaning: "openid invalid or of another app", Do: "if many: the token and the openids are of different apps"},
	{Code: 50002, Kind: KindBadAddress, Meaning: "the user's account is limited"},

	{Code: 47003, Kind: KindRejected, Meaning: "a field is missing or its value breaks the rule of its type", Do: "correct the field that is named, and replay"},
	{Code: 45168, Kind: KindRejected, Meaning: "a blocked word in the text", Do: "change the text, and replay"},
	{Code: 40249, Kind: KindRejected, Meaning: "blocked for illegal content", Do: "change the text, and replay"},
	{Code: 45002, Kind: KindRejected, Meaning: "content too large"},
	{Code: 44002, Kind: KindRejected, Meaning: "empty body", Do: "report it: the request was built wrong, or a proxy emptied it"},
	{Code: 44004, Kind: KindRejected, Meaning: "text empty"},
	{Code: 47001, Kind: KindRejected, Meaning: "body is not the JSON that WeChat expects", Do: "report it: the request was built wrong"},
	{Code: 40066, Kind: KindRejected, Meaning: "URL invalid", Do: "check WECHAT_API_BASE_URL and proxies on the way"},

	{Code: 40029, Kind: KindBadCode, Meaning: "login code wrong or expired"},
	{Code: 40163, Kind: KindBadCode, Meaning: "login code used before"},
	{Code: 40226, Kind: KindBadCode, Meaning: "login blocked for a high-risk user"},
}

var byCode = func() map[int]Errcode {
	m := make(map[int]Errcode, len(Errcodes))
	for _, e := range Errcodes {
		m[e.Code] = e
	}
	return m
}()

// LookupErrcode returns the table's row for code; ok is false for a code that
// nobody documented, whose kind is KindUnknown.
func LookupErrcode(code int) (e Errcode, ok bool) {
	e, ok = byCode[code]
	if !ok {
		return Errcode{Code: code, Kind: KindUnknown, Meaning: "not documented"}, false
	}
	return e, true
}
