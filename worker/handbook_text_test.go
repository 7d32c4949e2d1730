package worker

import "github.com/wxnotify/wxnotify/worker/wechat"

const (
	english = "en"
	chinese = "zh-CN"
)

var handbookHead = map[string]string{
	english: `# Errcode handbook

[中文](errcodes.zh-CN.md)

What WeChat's answers mean, what wxnotify does about each, and what is left to an administrator. It is generated from the
table in ` + "`worker/wechat/errcode.go`" + ` and from the reactions that a test holds the code to.

` + "`wxnotify dead show ID`" + ` says the same about one notification. The *rid* that it prints is what WeChat's support asks for.
`,
	chinese: `# 错误码手册

[English](errcodes.md)

微信的每个返回码是什么意思、wxnotify 如何处理、还需要管理员做什么。本页由 ` + "`worker/wechat/errcode.go`" + ` 中的表和经测试核对的处理规则生成。

` + "`wxnotify dead show ID`" + ` 针对单条通知给出同样的说明；其中的 *rid* 是向微信提交工单时需要提供的编号。
`,
}

// reaction is what a kind is, in words.
type reactionWords struct {
	from, reaction, admin string
}

var reactions = map[wechat.Kind]reactionWords{
	wechat.KindOK: {
		"errcode 0", "the balance of a one-time template goes down by one; the msgid is kept for the receipt",
		"WeChat accepted the message. Whether it reached the user says the receipt.",
	},
	wechat.KindUnreachable: {
		"nothing was written: DNS, connect, TLS or proxy failed",
		"again in about 5 s; after 20 in a row this process holds still and probes every 10 s", "",
	},
	wechat.KindBusy: {
		"HTTP 412, or 503 with Retry-After: refused before processing",
		"again after 10 s, growing to an hour, with jitter; after MAX_ATTEMPTS dead, reason attempts_spent", "",
	},
	wechat.KindUnsure: {
		"errcode -1, another 5xx, an answer that is not JSON: it may have happened",
		"with `duplicates: allow` as busy, and the doubt is on record; with `avoid` as in_doubt",
		"Nothing while it is rare. When it is not: WeChat is sick, or something between here and WeChat answers in its place.",
	},
	wechat.KindInDoubt: {
		"timeout or broken connection after the request had left",
		"waits for WeChat's receipt; then `allow` sends once more, `avoid` ends as dead, reason in_doubt", "",
	},
	wechat.KindConcurrent: {
		"another call for this openid is running", "again in 1 to 3 s",
		"Nothing: WeChat proves that it did nothing, and the next try comes by itself.",
	},
	wechat.KindBadToken: {
		"WeChat does not accept the access token",
		"that token is dropped, another fetched, and one second call made at once; if that fails too, the app pauses and is probed every 30 s. Never a loop, never force_refresh",
		"Nothing while it is rare: another system has fetched a token. If the app pauses for it, the token source gives tokens that WeChat refuses.",
	},
	wechat.KindThrottled: {
		"the minute's quota of this app and API", "the app pauses until the minute ends",
		"Nothing; if it comes often, set MAX_SEND_RATE.",
	},
	wechat.KindThrottledDay: {
		"the day's quota of this app and API", "the app pauses and is probed every 15 minutes until midnight in China",
		"Find out which producer used it up (the panel \"Sent by template\"), and spread what is not urgent.",
	},
	wechat.KindOpenIDThrottled: {
		"too many messages to one openid", "this openid rests for 10 minutes, doubling to 6 hours; nobody else is affected",
		"Nothing; see whether a producer sends one user the same thing again and again.",
	},
	wechat.KindAccount: {
		"the app as a whole may not send or fetch a token", "the app pauses and is probed every minute; `/readyz`, the console and the metrics say why",
		"Somebody has to act, in WeChat's console or in the settings. Nothing is lost meanwhile, and nothing has to be resumed: the next probe that succeeds ends the pause.",
	},
	wechat.KindTemplate: {
		"WeChat does not know the template or has banned it",
		"a dead letter; after 3 without a success between them the template is paused and its notifications wait",
		"Bring the template back or correct the id, then `wxnotify templates sync`, and replay what died: `wxnotify dead replay --reason template --dry-run`.",
	},
	wechat.KindPage: {
		"the page is not in the released version", "a dead letter; after 3 for one template and page, that pair rests",
		"Release the page or have the producer correct it, then `wxnotify dead replay --reason page --dry-run`.",
	},
	wechat.KindRefused: {
		"the user has given no consent, or it is used up", "the balance becomes 0; the notification waits for a consent where it may (`wait`), else it is dead of class refused",
		"Nothing: it is an ordinary outcome. If it is frequent, let the Mini Program ask at more taps, see the consent plan of the API.",
	},
	wechat.KindBadAddress: {
		"the openid is not of this app, or its account is limited",
		"a dead letter; the binding counts as suspect until the next login. Over a fifth of an app's last 50 calls: the app pauses",
		"The user's next login mends the binding; then replay. `wxnotify users bind` does it by hand.",
	},
	wechat.KindRejected: {
		"WeChat refuses the content", "a dead letter that names the field",
		"Tell the producer which field; `wxnotify dead replay ID --set data.thing1=TEXT` mends one.",
	},
	wechat.KindBadCode: {
		"the code of wx.login, at a login", "the login is answered 422 or 403; no notification is concerned",
		"Nothing: the Mini Program takes a new code.",
	},
	wechat.KindUnknown: {
		"any errcode that is not below", "tried again after 10 minutes and after 30, then dead, reason unknown_errcode", "",
	},
}

// handbookWords are the words of the page beside those of the table.
var handbookWords = []string{
	"Kinds and reactions", "kind", "what it is", "the notification becomes", "costs an attempt", "reaction", "WeChat means",
	"what an administrator does", "nothing of its own: see above", " with the second call", " after ", "yes", "no",
}

// inChinese is every text of the handbook, by the English one: a change of that
// fails the test until somebody has looked at the other.
var inChinese = map[string]string{
	"Kinds and reactions": "类别与处理", "kind": "类别", "what it is": "含义", "the notification becomes": "通知变为",
	"costs an attempt": "消耗次数", "reaction": "处理", "WeChat means": "微信的含义", "what an administrator does": "管理员做什么",
	"nothing of its own: see above": "无特别操作，见上文", " with the second call": "（第二次调用后）", " after ": "，间隔 ", "yes": "是", "no": "否",

	"errcode 0": "errcode 0",
	"the balance of a one-time template goes down by one; the msgid is kept for the receipt":                               "一次性模板的余额减一；保留 msgid 以匹配回执",
	"WeChat accepted the message. Whether it reached the user says the receipt.":                                           "微信已接受消息；是否送达用户以回执为准。",
	"nothing was written: DNS, connect, TLS or proxy failed":                                                               "请求未发出：DNS、连接、TLS 或代理失败",
	"again in about 5 s; after 20 in a row this process holds still and probes every 10 s":                                 "约 5 秒后重试；连续 20 次后本进程停发，每 10 秒探测一次",
	"HTTP 412, or 503 with Retry-After: refused before processing":                                                         "HTTP 412，或带 Retry-After 的 503：处理前即被拒绝",
	"again after 10 s, growing to an hour, with jitter; after MAX_ATTEMPTS dead, reason attempts_spent":                    "10 秒后重试，间隔逐步增至一小时并带抖动；达到 MAX_ATTEMPTS 后为 dead，原因 attempts_spent",
	"errcode -1, another 5xx, an answer that is not JSON: it may have happened":                                            "errcode -1、其他 5xx、非 JSON 的应答：可能已经生效",
	"with `duplicates: allow` as busy, and the doubt is on record; with `avoid` as in_doubt":                               "`duplicates: allow` 时同 busy，并记录存疑；`avoid` 时同 in_doubt",
	"Nothing while it is rare. When it is not: WeChat is sick, or something between here and WeChat answers in its place.": "偶发时无需处理。频繁出现时：微信侧故障，或中间设备代替微信作了应答。",
	"timeout or broken connection after the request had left":                                                              "请求发出后超时或连接中断",
	"waits for WeChat's receipt; then `allow` sends once more, `avoid` ends as dead, reason in_doubt":                      "等待微信回执；之后 `allow` 再发一次，`avoid` 以 dead 结束，原因 in_doubt",
	"another call for this openid is running":                                                                              "该 openid 的另一次调用尚未结束",
	"again in 1 to 3 s": "1 到 3 秒后重试",
	"Nothing: WeChat proves that it did nothing, and the next try comes by itself.": "无需处理：该应答证明微信什么都没做，会自动重试。",
	"WeChat does not accept the access token":                                       "微信不接受该 access_token",
	"that token is dropped, another fetched, and one second call made at once; if that fails too, the app pauses and is probed every 30 s. Never a loop, never force_refresh": "丢弃该 token，重新获取并立即再调用一次；仍失败则暂停该小程序，每 30 秒探测。不会循环，也不会使用 force_refresh",
	"Nothing while it is rare: another system has fetched a token. If the app pauses for it, the token source gives tokens that WeChat refuses.":                              "偶发时无需处理：另有系统获取了 token。若因此暂停，说明 token 来源给出的 token 被微信拒绝。",
	"the minute's quota of this app and API":                                                              "该小程序该接口的分钟配额",
	"the app pauses until the minute ends":                                                                "暂停该小程序直到这一分钟结束",
	"Nothing; if it comes often, set MAX_SEND_RATE.":                                                      "无需处理；若经常出现，请设置 MAX_SEND_RATE。",
	"the day's quota of this app and API":                                                                 "该小程序该接口的当日配额",
	"the app pauses and is probed every 15 minutes until midnight in China":                               "暂停该小程序，每 15 分钟探测，直到北京时间零点",
	"Find out which producer used it up (the panel \"Sent by template\"), and spread what is not urgent.": "查明是哪个生产方用尽的（面板 “Sent by template”），把不紧急的消息分散发送。",
	"too many messages to one openid":                                                                     "对同一 openid 发送过多",
	"this openid rests for 10 minutes, doubling to 6 hours; nobody else is affected":                      "该 openid 停发 10 分钟，逐次加倍至 6 小时；不影响他人",
	"Nothing; see whether a producer sends one user the same thing again and again.":                      "无需处理；检查是否有生产方向同一用户反复发送。",
	"the app as a whole may not send or fetch a token":                                                    "整个小程序无权发送或获取 token",
	"the app pauses and is probed every minute; `/readyz`, the console and the metrics say why":           "暂停该小程序，每分钟探测；`/readyz`、控制台与指标会说明原因",
	"Somebody has to act, in WeChat's console or in the settings. Nothing is lost meanwhile, and nothing has to be resumed: the next probe that succeeds ends the pause.": "需要有人处理：在微信公众平台或在设置中。期间不丢消息，也无需手动恢复：下一次探测成功即结束暂停。",
	"WeChat does not know the template or has banned it":                                                                                                   "微信不认识该模板，或模板被封禁",
	"a dead letter; after 3 without a success between them the template is paused and its notifications wait":                                              "成为死信；连续 3 次且其间无成功，则暂停该模板，其通知进入等待",
	"Bring the template back or correct the id, then `wxnotify templates sync`, and replay what died: `wxnotify dead replay --reason template --dry-run`.": "恢复模板或改正 id，然后执行 `wxnotify templates sync`，并重放死信：`wxnotify dead replay --reason template --dry-run`。",
	"the page is not in the released version":                                                                                                              "页面不在已发布版本中",
	"a dead letter; after 3 for one template and page, that pair rests":                                                                                    "成为死信；同一模板与页面满 3 次后，该组合暂歇",
	"Release the page or have the producer correct it, then `wxnotify dead replay --reason page --dry-run`.":                                               "发布该页面或让生产方改正，然后执行 `wxnotify dead replay --reason page --dry-run`。",
	"the user has given no consent, or it is used up":                                                                                                      "用户未授权，或次数已用完",
	"the balance becomes 0; the notification waits for a consent where it may (`wait`), else it is dead of class refused":                                  "余额记为 0；允许等待（`wait`）的通知等待授权，否则为 dead，类别 refused",
	"Nothing: it is an ordinary outcome. If it is frequent, let the Mini Program ask at more taps, see the consent plan of the API.":                       "无需处理：属正常结果。若频繁出现，让小程序在更多点击处请求授权，见 API 的授权计划。",
	"the openid is not of this app, or its account is limited":                                                                                             "openid 不属于该小程序，或账号受限",
	"a dead letter; the binding counts as suspect until the next login. Over a fifth of an app's last 50 calls: the app pauses":                            "成为死信；该绑定在下次登录前视为可疑。若占最近 50 次调用的五分之一以上，则暂停该小程序",
	"The user's next login mends the binding; then replay. `wxnotify users bind` does it by hand.":                                                         "用户下次登录会修正绑定，然后重放；也可用 `wxnotify users bind` 手动绑定。",
	"WeChat refuses the content":         "微信拒绝该内容",
	"a dead letter that names the field": "成为死信，并指出字段",
	"Tell the producer which field; `wxnotify dead replay ID --set data.thing1=TEXT` mends one.": "告知生产方是哪个字段；`wxnotify dead replay ID --set data.thing1=TEXT` 可修正单条。",
	"the code of wx.login, at a login":                                             "登录时 wx.login 的 code",
	"the login is answered 422 or 403; no notification is concerned":               "登录返回 422 或 403；与通知无关",
	"Nothing: the Mini Program takes a new code.":                                  "无需处理：小程序重新获取 code。",
	"any errcode that is not below":                                                "下文没有列出的任何错误码",
	"tried again after 10 minutes and after 30, then dead, reason unknown_errcode": "10 分钟和 30 分钟后各重试一次，之后为 dead，原因 unknown_errcode",

	"accepted": "已接受", "system error on WeChat's side": "微信侧系统错误",
	"access token invalid or not the latest (on a token endpoint: wrong secret)": "access_token 无效或不是最新的（在 token 接口上：secret 错误）",
	"if it keeps coming, find what else fetches tokens for this appid":           "若持续出现，查找还有谁在为该 appid 获取 token",
	"access token malformed": "access_token 格式错误",
	"check that a shared token is stored whole (512 characters and more)": "检查共享的 token 是否完整保存（512 个字符及以上）",
	"access token expired": "access_token 已过期",
	"minute quota reached": "达到分钟配额",
	"daily quota reached":  "达到当日配额",
	"wait for the next day, or clear the quota in the console":       "等到次日，或在公众平台清零配额",
	"too many messages to this openid":                               "对该 openid 发送过于频繁",
	"grant_type refused":                                             "grant_type 被拒绝",
	"report it: the request is built wrong":                          "请报告问题：请求构造有误",
	"appid invalid":                                                  "appid 无效",
	"check WECHAT_APPID":                                             "检查 WECHAT_APPID",
	"secret wrong or reset":                                          "secret 错误或已重置",
	"check WECHAT_SECRET against the console":                        "对照公众平台检查 WECHAT_SECRET",
	"this machine's address is not on the app's IP whitelist":        "本机地址不在该小程序的 IP 白名单中",
	"add the address in the message to the whitelist in the console": "在公众平台把消息中的地址加入白名单",
	"secret frozen":                                                  "secret 已冻结",
	"unfreeze it in the console":                                     "在公众平台解冻",
	"access token missing":                                           "缺少 access_token",
	"report it: the request was sent without a token":                "请报告问题：请求未携带 token",
	"appid missing":                                                  "缺少 appid",
	"secret missing":                                                 "缺少 secret",
	"check WECHAT_SECRET":                                            "检查 WECHAT_SECRET",
	"POST required":                                                  "必须使用 POST",
	"check WECHAT_API_BASE_URL and proxies on the way":               "检查 WECHAT_API_BASE_URL 与途中的代理",
	"subscribe messages banned for this app or template":             "该小程序或模板的订阅消息被封禁",
	"see the notice in the console":                                  "查看公众平台中的通知",
	"this app may not call the API":                                  "该账号无权调用此接口",
	"check that appid and secret are those of the Mini Program, not of an official account": "确认 appid 和 secret 属于小程序而非公众号",
	"API forbidden for irregularities":     "因违规被禁止调用接口",
	"token API forbidden for this account": "该账号被禁止调用 token 接口",
	"account frozen":                       "账号已冻结",
	"this machine's address is not registered with the third-party platform": "本机地址未在第三方平台登记",
	"register the address": "登记该地址",
	"the app has not given this right to the third-party platform": "该小程序未把此权限授予第三方平台",
	"have permission set 18 granted":                               "请授予权限集 18",
	"the call waits for an administrator's confirmation":           "调用等待管理员确认",
	"confirm it in WeChat":                                         "在微信中确认",
	"an administrator refused this address for 24 hours":           "管理员拒绝该地址 24 小时",
	"an administrator refused this address for an hour":            "管理员拒绝该地址一小时",
	"ask the administrator":                                        "联系管理员",
	"template changed too often":                                   "模板修改过于频繁",
	"this appid has no permission":                                 "该 appid 无权限",
	"adding templates is punished":                                 "添加模板功能被处罚",
	"API signature required or wrong":                              "需要 API 签名或签名错误",
	"switch API signing off for this app":                          "为该小程序关闭 API 签名",
	"API signature wrong":                                          "API 签名错误",
	"API encryption wrong":                                         "API 加密错误",
	"appid and token do not match":                                 "appid 与 token 不匹配",
	"check what shares this token":                                 "检查谁在共用该 token",
	"API key not set":                                              "未设置 API 密钥",
	"API signature too old":                                        "API 签名已过时",
	"template id unknown to this app":                              "该小程序没有此模板 id",
	"compare the template id with the Mini Program's list in the console (wxnotify doctor says how many it has); correct the id, or add the template": "与公众平台中的模板列表核对（wxnotify doctor 会显示数量）；改正 id，或添加模板",
	"template banned":                                               "模板被封禁",
	"template is not a subscription template":                       "该模板不是订阅消息模板",
	"choose a subscribe-message template":                           "请选用订阅消息模板",
	"this API can only cancel the subscription":                     "此接口只能取消订阅",
	"nothing is bound to the template":                              "模板没有绑定关系",
	"check which app owns the template":                             "确认模板属于哪个小程序",
	"page not in the released version":                              "页面不在已发布版本中",
	"release the page or correct it":                                "发布该页面或改正它",
	"page path invalid":                                             "页面路径无效",
	"correct the page":                                              "改正页面",
	"the user has not subscribed, or the consent is used up":        "用户未订阅，或授权次数已用完",
	"openid invalid or of another app":                              "openid 无效或属于其他小程序",
	"if many: the token and the openids are of different apps":      "若大量出现：token 与 openid 属于不同的小程序",
	"the user's account is limited":                                 "用户账号受限",
	"a field is missing or its value breaks the rule of its type":   "缺少字段，或取值不符合其类型的规则",
	"correct the field that is named, and replay":                   "改正指出的字段并重放",
	"a blocked word in the text":                                    "文本含违禁词",
	"change the text, and replay":                                   "修改文本并重放",
	"blocked for illegal content":                                   "因违法内容被拦截",
	"content too large":                                             "内容过大",
	"empty body":                                                    "请求体为空",
	"report it: the request was built wrong, or a proxy emptied it": "请报告问题：请求构造有误，或被代理清空",
	"text empty": "文本为空",
	"body is not the JSON that WeChat expects": "请求体不是微信要求的 JSON",
	"report it: the request was built wrong":   "请报告问题：请求构造有误",
	"URL invalid":                              "URL 无效",
	"login code wrong or expired":              "登录 code 错误或已过期",
	"login code used before":                   "登录 code 已被使用",
	"login blocked for a high-risk user":       "高风险用户，登录被拦截",
}
