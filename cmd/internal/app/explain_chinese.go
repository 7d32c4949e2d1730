package app

import "github.com/wxnotify/wxnotify/worker/wechat"

// inChinese is the Chinese of a text that Explain says of an errcode of a send;
// a text without one stays as it is. It is for the console: commands speak English.
func inChinese(text string) string {
	if translated, ok := wechat.Chinese(text); ok {
		return translated
	}
	if translated, ok := kindsInChinese[text]; ok {
		return translated
	}
	return text
}

// kindsInChinese are the texts of explainKind that are not in the table of
// errcodes, by the English ones. A test holds the list to them.
var kindsInChinese = map[string]string{ //nolint:gosec // words about secrets, none of them one
	"nothing was written: the name, the connection, TLS or the proxy failed":                                      "请求未发出：域名解析、连接、TLS 或代理失败",
	"check WECHAT_API_BASE_URL, HTTPS_PROXY and the way out of this network":                                      "检查 WECHAT_API_BASE_URL、HTTPS_PROXY 与本网络的出口",
	"refused before it was looked at":                                                                             "处理之前即被拒绝",
	"try again later; behind a proxy, check that it passes Content-Length":                                        "稍后重试；若经过代理，检查代理是否传递 Content-Length",
	"the answer does not say what happened: the message may have been sent":                                       "应答没有说明结果：消息可能已发出",
	"look at the phone before sending again; if it keeps coming, see what stands between this machine and WeChat": "重发前先确认用户是否已收到；若持续出现，检查本机与微信之间的设备",
	"the request left and no answer came: the message may have been sent":                                         "请求已发出但没有应答：消息可能已发出",
	"look at the phone before sending again":                                                                      "重发前先确认用户是否已收到",
	"send again in a few seconds":                                                                                 "几秒后重发",
	"WeChat does not accept the access token":                                                                     "微信不接受该 access_token",
	"the minute's quota is used up":                                                                               "分钟配额已用完",
	"send again in the next minute":                                                                               "下一分钟再发",
	"the day's quota is used up":                                                                                  "当日配额已用完",
	"let it rest for some hours":                                                                                  "停发几小时",
	"the app as a whole may not do this":                                                                          "整个小程序无权这样做",
	"see the notices in the console":                                                                              "查看公众平台中的通知",
	"the template is not usable":                                                                                  "模板不可用",
	"see the app's templates in the console":                                                                      "在公众平台查看该小程序的模板",
	"the page is not in the released version":                                                                     "页面不在已发布版本中",
	"the user gave no consent, or it is used up":                                                                  "用户未授权，或次数已用完",
	"the user has to subscribe again, with a tap in the Mini Program":                                             "需要用户在小程序中点击重新订阅",
	"the openid is not of this app, or its account is limited":                                                    "openid 不属于该小程序，或账号受限",
	"check which app the openid belongs to":                                                                       "确认该 openid 属于哪个小程序",
	"WeChat refuses the content":                                                                                  "微信拒绝该内容",
	"correct what the message names":                                                                              "改正消息中指出的内容",
	"the login code is not accepted":                                                                              "登录 code 不被接受",
	"call wx.login again":                                                                                         "重新调用 wx.login",
	"look the rid up in the console":                                                                              "在公众平台按 rid 查询",
}
