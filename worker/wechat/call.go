package wechat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"
)

const (
	// maxAnswer caps the answer of every call but gettemplate; WeChat's are
	// below 1 KiB.
	maxAnswer = 64 << 10
	// maxTemplates caps gettemplate's answer: some 50 templates of a few KiB.
	maxTemplates = 8 << 20
)

// request is one call, before it is on the wire.
type request struct {
	api   API
	path  string
	query string // encoded
	// body is what is posted; nil makes it a GET.
	body []byte
	// read takes the payload out of a success and returns what is wrong with it,
	// "" for nothing. The endpoints that have one leave errcode out when all is
	// well, so the payload is the proof; nil when the errcode is.
	read  func(fields) string
	limit int64
	// private are values of this very call that no error may repeat.
	private []string
}

// do makes one call and returns what WeChat answered, or an *Error.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > c.timeout {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	ctx, span := c.tracer.Start(ctx, string(r.api), callSpan...)
	defer span.End()
	start := time.Now()
	a, callErr := c.exchange(ctx, r)
	if callErr == nil {
		callErr = a.judge(&r)
	}
	c.observe(r.api, callErr, a.rid, time.Since(start))
	c.describe(span, r, a, callErr)
	if callErr != nil {
		return answer{}, callErr
	}
	return a, nil
}

// exchange writes the request and reads the answer. A request that met a dead
// kept connection before its first byte was written goes to the next one: WeChat
// closes idle connections, and this is the one replay that is proven harmless.
// net/http would do the same for a request with GetBody; without it the proof is
// ours (written), and no body is ever rewound after a byte of it left.
func (c *Client) exchange(ctx context.Context, r request) (answer, *Error) {
	for {
		ctx, cancel := context.WithCancelCause(ctx)
		w := &written{cancel: cancel}
		req, err := c.newRequest(w.trace(ctx), r)
		if err != nil {
			cancel(nil)
			return answer{}, &Error{API: r.api, Kind: KindUnreachable, Msg: "the request cannot be built"}
		}
		resp, err := c.transport.RoundTrip(req) //nolint:bodyclose // readAnswer closes it
		if err == nil {
			a := c.readAnswer(resp, r)
			cancel(nil)
			return a, nil
		}
		wrote := w.judge()
		over := ctx.Err() != nil
		cancel(nil)
		if !wrote && w.reused && !over {
			continue
		}
		return answer{}, r.transportError(err, wrote)
	}
}

// newRequest builds the request. The bytes.Reader gives it a Content-Length:
// WeChat answers a chunked POST with 412. GetBody is taken off so that net/http
// cannot rewind the body, and there is no Idempotency-Key header, which would
// make it replay the POST.
func (c *Client) newRequest(ctx context.Context, r request) (*http.Request, error) {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if r.body != nil {
		method, body = http.MethodPost, bytes.NewReader(r.body)
	}
	// The URL comes after: the base is parsed once and for all.
	req, err := http.NewRequestWithContext(ctx, method, "", body)
	if err != nil {
		return nil, err
	}
	address := *c.base
	address.Path += r.path
	if address.RawPath != "" {
		address.RawPath += r.path
	}
	address.RawQuery = r.query
	req.URL, req.Host, req.GetBody, req.Header = &address, address.Host, nil, getHeader
	if r.body != nil {
		req.Header = postHeader
	}
	return req, nil
}

// The headers of all calls. A transport must not change a request, so they are
// shared.
var (
	getHeader  = http.Header{"User-Agent": {"wxnotify"}, "Accept": {"application/json"}}
	postHeader = http.Header{
		"User-Agent": {"wxnotify"}, "Accept": {"application/json"}, "Content-Type": {"application/json; charset=utf-8"},
	}
)

// readAnswer reads the answer up to the request's limit. RoundTrip is used
// without an http.Client, so a redirect is an answer like any other.
func (c *Client) readAnswer(resp *http.Response, r request) answer {
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.limit+1))
	a := answer{status: resp.StatusCode, header: resp.Header, body: body, broken: err, at: c.now()}
	if int64(len(body)) > r.limit {
		a.body, a.tooLong = nil, true
	}
	return a
}

// transportError classifies a round trip that brought no answer. Before the
// first byte the message is safe whatever failed, an ended context too; after
// it nobody knows.
func (r request) transportError(err error, wrote bool) *Error {
	kind, where := KindUnreachable, "nothing was written: "
	if wrote {
		kind, where = KindInDoubt, "no answer: "
	}
	cause := redact(err, r.private)
	return &Error{API: r.api, Kind: kind, Msg: clip(where + cause.Error()), Err: cause}
}

// observe counts and logs a call.
func (c *Client) observe(api API, callErr *Error, rid string, took time.Duration) {
	kind, code := KindOK, 0
	if callErr != nil {
		kind, code, rid = callErr.Kind, callErr.Code, callErr.RID
	}
	c.metrics.observe(api, kind, took)
	if line := c.log.Check(zap.DebugLevel, "wechat call"); line != nil {
		line.Write(zap.String("api", string(api)), zap.Stringer("kind", kind), zap.Int("errcode", code),
			zap.String("rid", rid), zap.Duration("took", took))
	}
}

// redact keeps what errors.Is can ask of err and nothing that As could fetch: a
// *url.Error prints the URL, and with it the token.
func redact(err error, private []string) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &redacted{text: clean(err.Error(), private), cause: err}
}

// redacted is an error whose text was cleaned.
type redacted struct {
	text  string
	cause error
}

// Error implements error.
func (e *redacted) Error() string { return e.text }

// Is reports what the original error is, without handing it out.
func (e *redacted) Is(target error) bool { return errors.Is(e.cause, target) }
