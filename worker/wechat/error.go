package wechat

import (
	"fmt"
	"time"
)

// API names an endpoint; it is what an error and a metric say instead of a URL.
type API string

// The endpoints.
const (
	APISend         API = "subscribe_send"
	APIStableToken  API = "stable_token"
	APIToken        API = "token"
	APICode2Session API = "code2session"
	APITemplates    API = "gettemplate"
)

// Error is every failure of a call. It never carries a URL, a token, a secret,
// an openid or message text, so its text may be logged and stored.
type Error struct {
	API  API
	Kind Kind
	// Code is WeChat's errcode; 0 when no errcode was read.
	Code int
	// Msg is errmsg without hint and rid, with anything that looks like a secret
	// or an address taken out, at most 256 bytes; or our own words for a
	// transport failure.
	Msg string
	// RID is WeChat's request id, "" when there was none.
	RID string
	// Field is the data key or field WeChat named, such as "thing1" or "page".
	Field string
	// HTTPStatus is 0 when no status line came.
	HTTPStatus int
	// RetryAfter is how long the server asked to wait; 0 when it did not.
	RetryAfter time.Duration
	// Err is the cause, already redacted; nil when the answer itself is the error.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := fmt.Sprintf("wechat %s: %s", e.API, e.Kind)
	if e.Code != 0 {
		s += fmt.Sprintf(" (errcode %d)", e.Code)
	} else if e.HTTPStatus != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.HTTPStatus)
	}
	if e.Msg != "" {
		s += ": " + e.Msg
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
