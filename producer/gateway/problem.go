package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// Code says in one word why a request was refused. The list is closed: it is
// public in answers.
type Code string

// The codes.
const (
	CodeNotJSON           Code = "not_json"               // 400: the body is not JSON
	CodeUnauthorized      Code = "unauthorized"           // 401: no key, or an unknown one
	CodeForbiddenRight    Code = "forbidden_right"        // 403: the key lacks the right
	CodeForbiddenApp      Code = "forbidden_app"          // 403: outside the key's scope
	CodeForbiddenTemplate Code = "forbidden_template"     // 403: outside the key's scope
	CodeNotFound          Code = "not_found"              // 404: no such thing, or not the caller's
	CodeMethod            Code = "method_not_allowed"     // 405
	CodeRefConflict       Code = "ref_conflict"           // 409: the ref was used for another content
	CodeWrongState        Code = "wrong_state"            // 409: the notification's state does not allow it
	CodeInDoubt           Code = "in_doubt"               // 409: a replay that needs force
	CodeNoContent         Code = "no_content"             // 409: a replay that needs all of the content
	CodeRunning           Code = "request_running"        // 409: the request with this Idempotency-Key still runs
	CodeUnbound           Code = "unbound"                // 409: no openid is known of the user in this app; a login changes that
	CodeTooLarge          Code = "too_large"              // 413
	CodeMediaType         Code = "unsupported_media_type" // 415
	CodeInvalid           Code = "invalid"                // 422: errors names every bad field
	CodeKeyReused         Code = "idempotency_key_reused" // 422: the Idempotency-Key was used with another request
	CodeCodeInvalid       Code = "code_invalid"           // 422: the login code is wrong or too old
	CodeCodeUsed          Code = "code_used"              // 422: the login code was used before
	CodeCodeBlocked       Code = "code_blocked"           // 403: WeChat blocks the user's logins
	CodeRateLimited       Code = "rate_limited"           // 429
	CodeWeChatThrottled   Code = "wechat_throttled"       // 429: WeChat's quota of this app is used up
	CodeInternal          Code = "internal"               // 500: a fault of ours
	CodeUnavailable       Code = "unavailable"            // 503: the store is away, or too much is under way
	CodeLoginUnavailable  Code = "login_unavailable"      // 503: WeChat does not answer, or not for this app
	CodeTokenUnavailable  Code = "token_unavailable"      //nolint:gosec // a word. 503: there is no access token now
	CodeDraining          Code = "draining"               // 503: this process is about to end
)

// Codes lists every code.
var Codes = []Code{
	CodeNotJSON, CodeUnauthorized, CodeForbiddenRight, CodeForbiddenApp, CodeForbiddenTemplate, CodeNotFound, CodeMethod,
	CodeRefConflict, CodeWrongState, CodeInDoubt, CodeNoContent, CodeRunning, CodeUnbound, CodeTooLarge, CodeMediaType,
	CodeInvalid, CodeKeyReused, CodeCodeInvalid, CodeCodeUsed, CodeCodeBlocked, CodeRateLimited,
	CodeWeChatThrottled, CodeInternal, CodeUnavailable, CodeLoginUnavailable, CodeTokenUnavailable, CodeDraining,
}

// Problem is an answer that refuses a request, as application/problem+json. Its
// texts never repeat a value of the request.
//
// https://www.rfc-editor.org/rfc/rfc9457
type Problem struct { //nolint:errname // RFC 9457 calls it so
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Code   Code         `json:"code"`
	Detail string       `json:"detail,omitempty"`
	Errors []FieldError `json:"errors,omitempty"`

	// RetryAfter is the header of 429 and 503, rounded up to seconds.
	RetryAfter time.Duration `json:"-"`
}

// Error implements error.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// refuse makes a Problem.
func refuse(status int, code Code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// invalid makes the Problem of bad fields.
func invalid(faults FieldErrors) *Problem {
	p := refuse(http.StatusUnprocessableEntity, CodeInvalid, "errors names every bad field")
	p.Errors = faults
	return p
}

// problemOf makes a Problem of a handler's error. What nobody expected is a fault
// of ours: its text goes to the log, with the trace's field, and not into the
// answer.
func (g *Gateway) problemOf(pattern string, err error, traced zap.Field) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if faults, ok := errors.AsType[FieldErrors](err); ok {
		return invalid(faults)
	}
	switch {
	case errors.Is(err, store.ErrUnavailable):
		g.config.Logger.Warn("request failed: the store is away", zap.String("route", pattern), traced, zap.Error(err))
		p := refuse(http.StatusServiceUnavailable, CodeUnavailable, "the database does not answer; repeat the request")
		p.RetryAfter = retryAfter
		return p
	case errors.Is(err, store.ErrNotFound):
		return errNotFound
	}
	g.config.Logger.Error("request failed", zap.String("route", pattern), traced, zap.Error(err))
	return refuse(http.StatusInternalServerError, CodeInternal, "an error of this server; it is in its log")
}

// retryAfter is what a client is asked to wait when nobody knows how long.
const retryAfter = time.Second

// errNotFound is the answer to an id that does not exist or is not the caller's.
var errNotFound = refuse(http.StatusNotFound, CodeNotFound, "there is nothing here that this key may see")

// errNoPath is the answer to a path that nothing is at, for no key.
var errNoPath = refuse(http.StatusNotFound, CodeNotFound, "there is no such path; /openapi.json lists those there are, and /docs explains them")

// write writes the Problem.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	if p.RetryAfter > 0 {
		seconds := int64((p.RetryAfter + time.Second - 1) / time.Second)
		h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="wxnotify"`)
	}
	writeBody(w, p.Status, "application/problem+json", p)
}

// writeJSON writes an answer.
func writeJSON(w http.ResponseWriter, status int, v any) {
	writeBody(w, status, "application/json", v)
}

func writeBody(w http.ResponseWriter, status int, mediaType string, v any) {
	b, err := json.Marshal(v)
	if err != nil { // no answer has a type that could fail
		status, b = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is no failure of ours
}
