package wechat

// The names of the assumptions that a probe judges.
const (
	assumeStable       = "stable_token"
	assumeSame         = "stable_token_same"
	assumeLife         = "stable_token_life"
	assumeLength       = "token_length"
	assumeClassic      = "classic_token"
	assumeBadToken     = "bad_token"
	assumeAllowed      = "send_unsigned"
	assumeBadOpenID    = "bad_openid"
	assumeBadJSON      = "bad_json"
	assumeBadTemplate  = "bad_template"
	assumeBadData      = "bad_data"
	assumeBadKey       = "bad_data_key"
	assumeBadCode      = "bad_code"
	assumeUsedCode     = "used_code"
	assumeTemplates    = "templates"
	assumeKeyTypes     = "key_types"
	assumeEnums        = "enum_keys"
	assumeJSON         = "json"
	assumePlain        = "no_compression"
	assumeType         = "content_type"
	assume200          = "http_200"
	assumeNumber       = "errcode_number"
	assumeRID          = "rid"
	assumeDate         = "date"
	assumeReuse        = "keep_alive"
	assumeIdle         = "idle_timeout"
	assumeHTTP1        = "http_1"
	assumeCounted      = "content_length"
	assumeSendQuota    = "send_quota"
	assumeSendRate     = "send_rate"
	assumeClassicQuota = "classic_quota"
	assumeListQuota    = "templates_quota"
	assumeAccepted     = "accepted"
	assumeMsgID        = "msgid"
	assumeKept         = "refused_keeps_consent"
	assumeExtra        = "extra_keys"
	assumeEmoji        = "emoji"
	assumeDashes       = "dashed_time"
)

const (
	takesMessage = "give --openid and --template of somebody who agreed to one message"
	takesCode    = "give --code with a fresh code of wx.login"
	report       = "; please report it with the output of --json"
)

// assumptions is what the program goes by and nobody guarantees. What only time,
// a phone or a punished account can show is listed too, with the reason.
var assumptions = []Assumption{
	{Name: assumeStable, Needed: true, Says: "stable_token gives these credentials a token and how long it lives", unchecked: "no answer", Broken: "nothing can be sent"},
	{Name: assumeSame, Needed: true, Says: "asked again, stable_token gives the same token", unchecked: "needs a token", Broken: "processes would end each other's tokens: run one worker with Redis, or take a token that others keep (WECHAT_TOKEN_SOURCE)" + report},
	{Name: assumeLife, Says: "a token has 300 to 7200 seconds left", unchecked: "needs a token", Broken: "tokens are fetched more often, or kept for longer, than planned" + report},
	{Name: assumeLength, Says: "512 characters hold a token", unchecked: "needs a token", Broken: "wxnotify takes longer ones; make sure that what reads the mirror does"},
	{Name: assumeClassic, Says: "the classic token endpoint refuses an unknown appid by an errcode of the account, such as 40013", unchecked: "no answer", Broken: "with WECHAT_TOKEN_SOURCE=token a wrong appid is told in other words"},
	{Name: "classic_isolated", Says: "a classic token fetched by others does not end the stable one", unchecked: "fetching one would end the classic token that others may use"},
	{Name: assumeBadToken, Needed: true, Says: "a token that is none is refused with 40001, 40014 or 42001", unchecked: "needs a token", Broken: "a dead token would not be replaced" + report},

	{Name: assumeAllowed, Needed: true, Says: "send takes this app's token, with no signature", unchecked: "needs a token", Broken: "see what the errcode says; API signing is switched off in the console"},
	{Name: assumeBadOpenID, Needed: true, Says: "an openid that is none is refused with 40003", unchecked: "needs a token", Broken: "an openid of another app would not be recognised and relearned" + report},
	{Name: assumeBadTemplate, Needed: true, Says: "a template id that is none is refused with 40037", unchecked: takesMessage, Broken: "a wrong template would not be paused" + report},
	{Name: assumeBadData, Needed: true, Says: "data without its keys is refused as content, with 47003", unchecked: takesMessage, Broken: "wrong content would be repeated, or reach people" + report},
	{Name: assumeBadKey, Says: "47003 names the first bad key", unchecked: takesMessage, Broken: "dead letters do not say which field it was"},
	{Name: assumeBadJSON, Says: "a body that is not JSON is refused with 47001", unchecked: "needs a token", Broken: "nothing to do: wxnotify sends none"},
	{Name: assumeBadCode, Needed: true, Says: "a login code that is none is refused with 40029", unchecked: "no answer", Broken: "logins would be answered as a fault here instead of a new wx.login" + report},
	{Name: assumeUsedCode, Says: "a login code used twice is refused with 40163", unchecked: takesCode, Broken: "a login that came twice is answered as a fault here"},

	{Name: assumeTemplates, Needed: true, Says: "gettemplate lists id, type and {{key.DATA}} of every template", unchecked: "needs a token", Broken: "notifications cannot be checked before they are sent: set STRICT_TEMPLATES=false" + report},
	{Name: assumeKeyTypes, Says: "every key is of a type whose limits are documented", unchecked: "needs templates", Broken: "values of the other types are not checked here; WeChat says so with 47003"},
	{Name: assumeEnums, Says: "the values of an enum are listed by the key it has in the content", unchecked: "needs templates", Broken: "values of an enum are not checked here; WeChat says so with 47003"},

	{Name: assumeJSON, Needed: true, Says: "every answer is a JSON object in UTF-8, with an errcode or what was asked for", unchecked: "no answer", Broken: "see what stands between this machine and WeChat"},
	{Name: assumePlain, Needed: true, Says: "answers are not compressed unless asked for", unchecked: "no answer", Broken: "see what stands between this machine and WeChat"},
	{Name: assumeType, Says: "the Content-Type is application/json or text/plain, whatever comes", unchecked: "no answer", Broken: "nothing to do: wxnotify goes by the content"},
	{Name: assume200, Says: "an errcode comes with HTTP 200", unchecked: "no errcode came", Broken: "nothing to do: a known errcode counts with any status"},
	{Name: assumeNumber, Says: "errcode is a JSON number", unchecked: "no errcode came", Broken: "nothing to do: a string of digits is taken too"},
	{Name: assumeRID, Says: "a refusal carries a rid that begins with WeChat's time", unchecked: "no errcode came", Broken: "refusals cannot be looked up in WeChat's console"},
	{Name: assumeDate, Says: "answers have a Date, by which the ends of quotas are found", unchecked: "no answer", Broken: "the ends of quotas are computed by this machine's clock: keep it by NTP"},
	{Name: assumeHTTP1, Says: "the API speaks HTTP/1.1, and wxnotify nothing newer", unchecked: "no answer", Broken: "see what stands between this machine and WeChat"},
	{Name: assumeReuse, Says: "a connection stays open for the next call", unchecked: "no answer", Broken: "each call costs a TLS handshake more: expect a fraction of the throughput"},
	{Name: assumeIdle, Says: "an idle connection stays open for 45 s and more", unchecked: "no answer says so in Keep-Alive, and waiting for it would take minutes", Broken: "nothing to do: a call that meets a closed connection takes the next one"},
	{Name: assumeCounted, Says: "a POST without Content-Length is refused with HTTP 412", unchecked: "no answer", Broken: "nothing to do: wxnotify always sends it"},

	{Name: assumeSendQuota, Says: "an app may send 10,000,000 messages a day and more", unchecked: "needs a token", Broken: "ask WeChat for more, or plan for what there is: over it sends wait for the next day"},
	{Name: assumeSendRate, Says: "send has no limit beside the day's", unchecked: "needs a token", Broken: "set MAX_SEND_RATE below it"},
	{Name: assumeClassicQuota, Says: "the classic token may be fetched 2,000 times a day and more", unchecked: "needs a token", Broken: "with WECHAT_TOKEN_SOURCE=token find what else fetches tokens"},
	{Name: assumeListQuota, Says: "gettemplate may be called 20 times a day and more", unchecked: "needs a token", Broken: "sync templates by hand, and rarely"},
	{Name: "quota_reset", Says: "a day's quota begins anew at 00:00 in Asia/Shanghai", unchecked: "takes a day whose quota is used up"},

	{Name: assumeAccepted, Needed: true, Says: "a message to somebody who agreed is accepted", unchecked: takesMessage, Broken: "see what the errcode says"},
	{Name: assumeMsgID, Needed: true, Says: "errcode 0 comes with a msgid, by which its receipt is known", unchecked: takesMessage, Broken: "receipts cannot be told apart and doubts not settled by them: set duplicates to avoid" + report},
	{Name: assumeKept, Says: "a refused message uses up no consent", unchecked: takesMessage, Broken: "balances are too high after refusals; they are set right at the next 43101"},
	{Name: assumeExtra, Says: "a key that the template does not have is ignored", unchecked: takesMessage, Broken: "sync templates, so that unknown keys are refused here"},
	{Name: assumeEmoji, Says: "an emoji counts as two characters at most", unchecked: takesMessage, Broken: "texts with emoji may be refused with 47003 although they passed here"},
	{Name: assumeDashes, Says: "a time may be written as 2006-01-02 15:04:05", unchecked: takesMessage, Broken: "write times as 2006年1月2日 15:04"},

	{Name: "order", Says: "content is looked at before the consent", unchecked: "takes an openid that is known to have none"},
	{Name: "concurrency", Says: "of two calls at once for an openid the second is refused with 43108, and 3 s later is not", unchecked: "takes two calls timed to meet"},
	{Name: "openid_limit", Says: "43117 ends within hours", unchecked: "takes more messages than anybody wants"},
	{Name: "page", Says: "a page outside the released version is refused with 41030, or passes", unchecked: "might deliver a card that opens nothing"},
	{Name: "short_thing", Says: "short_thing takes five characters, const twenty", unchecked: "takes a template with such a key"},
	{Name: "limited_long_term", Says: "a long-term template with a frequency limit is refused by an errcode when it is over", unchecked: "takes such a template, which few sectors get"},
	{Name: "template_cap", Says: "an app may keep 25 or 50 templates", unchecked: "takes adding templates until one is refused"},
	{Name: "receipt_msgid", Says: "a receipt has the msgid of its message", unchecked: "comes by the message push: wxnotify doctor says whether pushes come"},
	{Name: "receipt_errors", Says: "a receipt with another status than success means not delivered", unchecked: "takes a delivery that fails at WeChat"},
	{Name: "popup_kept", Says: "no event comes for a choice that is kept without a dialog", unchecked: "takes a phone"},
	{Name: "banned", Says: "43107 means that the app or template is banned", unchecked: "takes a banned account"},
}
