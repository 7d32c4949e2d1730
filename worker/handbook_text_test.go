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

// inChinese is every text of the handbook that is not the table's, by the English
// one: a change of that fails the test until somebody has looked at the other.
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
}
