package wechat

// Kind is what an answer of WeChat means for us. Errcodes map to kinds in one
// table (errcode.go), transport failures in one function (Client); what to do
// about each kind is one switch in package worker.
type Kind int

// The kinds, in the order of the reactions table.
const (
	// KindOK: errcode 0, WeChat accepted the message.
	KindOK Kind = iota
	// KindUnreachable: nothing was written: DNS, connect, TLS or proxy failed.
	KindUnreachable
	// KindBusy: refused before processing: HTTP 412, or 503 with Retry-After.
	KindBusy
	// KindUnsure: an answer came that does not prove that nothing happened:
	// errcode -1, another 5xx, an answer that is not JSON.
	KindUnsure
	// KindInDoubt: the request left and no answer came.
	KindInDoubt
	// KindConcurrent: another call for this openid is running (43108).
	KindConcurrent
	// KindBadToken: WeChat does not accept the access token.
	KindBadToken
	// KindThrottled: the minute's quota of this app and API is used up (45011).
	KindThrottled
	// KindThrottledDay: the day's quota of this app and API is used up (45009).
	KindThrottledDay
	// KindOpenIDThrottled: too many messages to this openid (43117).
	KindOpenIDThrottled
	// KindAccount: the app as a whole may not send or fetch a token.
	KindAccount
	// KindTemplate: WeChat does not know this template or has banned it.
	KindTemplate
	// KindPage: the page is not in the released version.
	KindPage
	// KindRefused: the user has given no consent, or it is used up (43101).
	KindRefused
	// KindBadAddress: the openid is not of this app, or its account is closed.
	KindBadAddress
	// KindRejected: WeChat refuses the content.
	KindRejected
	// KindBadCode: jscode2session does not accept the login code.
	KindBadCode
	// KindUnknown: an errcode that nobody documented.
	KindUnknown
)

// Kinds lists every kind; metrics start each at zero.
var Kinds = []Kind{
	KindOK, KindUnreachable, KindBusy, KindUnsure, KindInDoubt, KindConcurrent, KindBadToken,
	KindThrottled, KindThrottledDay, KindOpenIDThrottled, KindAccount, KindTemplate, KindPage,
	KindRefused, KindBadAddress, KindRejected, KindBadCode, KindUnknown,
}

// String is the kind's public name: it is stored as an attempt's outcome and is
// a metric label.
func (k Kind) String() string {
	switch k {
	case KindOK:
		return "ok"
	case KindUnreachable:
		return "unreachable"
	case KindBusy:
		return "busy"
	case KindUnsure:
		return "unsure"
	case KindInDoubt:
		return "in_doubt"
	case KindConcurrent:
		return "concurrent"
	case KindBadToken:
		return "bad_token"
	case KindThrottled:
		return "throttled"
	case KindThrottledDay:
		return "throttled_day"
	case KindOpenIDThrottled:
		return "openid_throttled"
	case KindAccount:
		return "account"
	case KindTemplate:
		return "template"
	case KindPage:
		return "page"
	case KindRefused:
		return "refused"
	case KindBadAddress:
		return "bad_address"
	case KindRejected:
		return "rejected"
	case KindBadCode:
		return "bad_code"
	case KindUnknown:
		return "unknown"
	}
	return "unknown"
}
