package gateway

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// call is one request by a known caller.
type call struct {
	*caller        // nil on a route that needs no key
	body    []byte // as it came; nil when the route takes none
	// seed is what the ids of the request's notifications are drawn from; zero
	// without an Idempotency-Key.
	seed uuid.UUID
	// unfinished: the answer is not the last word about the request.
	unfinished bool
}

// object is the request's body.
func (c *call) object() (*object, error) {
	v, err := parse(c.body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, CodeNotJSON, "the body "+err.Error())
	}
	o := newObject("", v, new(FieldErrors))
	if v.kind != kindObject {
		return nil, o.done()
	}
	return o, nil
}

// optionalObject is the request's body, an empty one when there is none.
func (c *call) optionalObject() (*object, error) {
	if len(c.body) == 0 {
		c.body = []byte("{}")
	}
	return c.object()
}

// frame is what is the same around every operation: key, right and rate, the
// body, the time it may take, and what becomes of an error or a panic.
func (g *Gateway) frame(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w, span: noSpan}
		defer endRequest(rec)
		h := w.Header()
		h.Set("Cache-Control", "no-store") // answers are about people
		h.Set("X-Content-Type-Options", "nosniff")
		defer func() {
			if cause := recover(); cause != nil {
				g.panicked(rec, rt, cause)
			}
			g.metrics.observe(rt.pattern, rec.status, time.Since(began))
		}()
		ctx, cancel := context.WithTimeout(r.Context(), g.config.Limits.Request)
		defer cancel()
		if err := g.serve(rec, r.WithContext(ctx), rt); err != nil {
			g.problemOf(rt.pattern, err, traceID(rec.span)).write(rec)
		}
	})
}

// serve lets one request in and handles it.
func (g *Gateway) serve(w *recorder, r *http.Request, rt route) error {
	c := new(call)
	if rt.right != "" {
		var err error
		if c.caller, err = g.authenticate(r, rt.right); err != nil {
			return err
		}
		r, w.span = g.startRequest(r, rt)
	}
	if rt.body != noBody {
		release, err := g.readBody(w, r, rt.body, c)
		if err != nil {
			return err
		}
		defer release()
	}
	return rt.handle(w, r, c)
}

// panicked answers a request whose handler panicked. The value is not logged: it
// could quote what the handler was working on.
func (g *Gateway) panicked(rec *recorder, rt route, cause any) {
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause) // net/http closes the connection
	}
	g.config.Logger.Error("request handler panicked", zap.String("route", rt.pattern), traceID(rec.span), zap.ByteString("stack", withoutValue(debug.Stack())))
	if rec.status == 0 {
		refuse(http.StatusInternalServerError, CodeInternal, "an error of this server; it is in its log").write(rec)
	}
}

// withoutValue is a stack without the line "panic(…)", which can hold the value.
func withoutValue(stack []byte) []byte {
	lines := strings.Split(string(stack), "\n")
	kept := lines[:0]
	for _, line := range lines {
		if !strings.HasPrefix(line, "panic(") {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, "\n"))
}

// readBody reads the body of a request whose caller is known. release gives its
// memory back.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request, kind body, c *call) (release func(), err error) {
	limit := g.config.Limits.Body
	if kind == batchBody {
		limit = g.config.Limits.BatchBody
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	if kind != optionalBody {
		if err := checkMediaType(r.Header); err != nil {
			return nil, err
		}
	}
	weight := limit
	if r.ContentLength >= 0 {
		weight = r.ContentLength
	}
	if err := g.memory.Acquire(r.Context(), weight); err != nil {
		p := refuse(http.StatusServiceUnavailable, CodeUnavailable, "too many requests are under way; repeat the request")
		p.RetryAfter = retryAfter
		return nil, p
	}
	release = func() { g.memory.Release(weight) }
	c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		release()
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge(limit)
		}
		return nil, refuse(http.StatusBadRequest, CodeNotJSON, "the body ended early")
	}
	// A chunked body shows only now that there is none.
	if kind == optionalBody && len(c.body) > 0 {
		if err := checkMediaType(r.Header); err != nil {
			release()
			return nil, err
		}
	}
	return release, nil
}

func tooLarge(limit int64) *Problem {
	return refuse(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body may have at most "+bytesText(limit))
}

// checkMediaType refuses what is not JSON, or is packed.
func checkMediaType(h http.Header) error {
	mediaType, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset := params["charset"]
	if err != nil || mediaType != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return refuse(http.StatusUnsupportedMediaType, CodeMediaType, "the body must be application/json in UTF-8")
	}
	if h.Get("Content-Encoding") != "" {
		return refuse(http.StatusUnsupportedMediaType, CodeMediaType, "the body must not be compressed")
	}
	return nil
}

// recorder knows whether and with what status was answered.
type recorder struct {
	http.ResponseWriter
	status int
	span   trace.Span
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
