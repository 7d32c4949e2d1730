package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// RequestStore is what the Gateway needs of a store to answer a repeated request
// as the first time; store/postgres and store/sqlite have it.
type RequestStore interface {
	// ClaimRequest asks for the right to carry out a request.
	ClaimRequest(ctx context.Context, c store.RequestClaim) (store.RequestClaimed, error)
	// EndRequest says what became of it.
	EndRequest(ctx context.Context, e store.RequestEnd) error
}

// idempotencyKeyForm is what an Idempotency-Key can be.
var idempotencyKeyForm = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

// endTimeout bounds the statement that keeps an answer. It does not end with the
// request: the client may be gone, and is the one that will repeat it.
const endTimeout = 5 * time.Second

// idempotent lets a request with an Idempotency-Key be carried out once, and
// answers it again for a day. What answers is kept: a request that accepted
// something. One that was refused did nothing and leaves its key to another. One
// that was cut off, here or by the end of the process, is carried out again by
// whoever repeats it, with the ids of the first time, so that what was accepted
// is found and not accepted twice.
func (g *Gateway) idempotent(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request, c *call) error {
		if len(r.Header.Values("Idempotency-Key")) == 0 || r.URL.Query().Get("dry_run") == "true" {
			return next(w, r, c)
		}
		key := r.Header.Get("Idempotency-Key")
		if !idempotencyKeyForm.MatchString(key) || len(r.Header.Values("Idempotency-Key")) > 1 {
			return invalid(FieldErrors{{Field: "Idempotency-Key", Code: FieldBadFormat, Reason: "must be one header of 1 to 255 printable ASCII characters"}})
		}
		claim := store.RequestClaim{
			Producer: c.Name, Key: key, Hash: requestHash(r, c.body), Owner: uuid.New(),
			// A request ends before its lease does, so that nobody goes on with it meanwhile.
			Lease: g.config.Limits.Request + 2*endTimeout, Window: store.RequestWindow,
		}
		var err error
		if claim.Seed, err = uuid.NewV7(); err != nil {
			return err
		}
		claimed, err := g.config.Requests.ClaimRequest(r.Context(), claim)
		if err != nil {
			return err
		}
		switch claimed.State {
		case store.RequestYours:
			c.seed = claimed.Seed
			return g.carryOut(w, r, c, claim, next)
		case store.RequestAnswered:
			writeAnswer(w, claimed.Answer)
			return nil
		case store.RequestOther:
			return refuse(http.StatusUnprocessableEntity, CodeKeyReused, "this Idempotency-Key was used with another request")
		case store.RequestRunning:
		}
		p := refuse(http.StatusConflict, CodeRunning, "the request with this Idempotency-Key still runs; repeat it")
		p.RetryAfter = retryAfter
		return p
	}
}

// carryOut handles a claimed request and says what became of it before it is
// answered.
func (g *Gateway) carryOut(w http.ResponseWriter, r *http.Request, c *call, claim store.RequestClaim, next handler) error {
	end := store.RequestEnd{Producer: claim.Producer, Key: claim.Key, Owner: claim.Owner}
	kept := &keptAnswer{header: w.Header()}
	defer func() { g.endRequest(r, end) }() // after a panic, too
	err := next(kept, r, c)
	switch {
	case err == nil && !c.unfinished:
		end.Answer = &store.RequestAnswer{Status: kept.status, Location: kept.header.Get("Location"), Body: kept.body.Bytes()}
	case err != nil:
		p, isProblem := errors.AsType[*Problem](err)
		_, isFaults := errors.AsType[FieldErrors](err)
		end.Forget = isFaults || isProblem && p.Status < http.StatusInternalServerError
	}
	if err != nil {
		return err
	}
	g.endRequest(r, end)
	end = store.RequestEnd{}
	w.WriteHeader(kept.status)
	_, _ = w.Write(kept.body.Bytes())
	return nil
}

// endRequest writes down what became of a request. When that fails, whoever
// repeats the request when its lease is over carries it out with the same ids.
func (g *Gateway) endRequest(r *http.Request, end store.RequestEnd) {
	if end.Key == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endTimeout)
	defer cancel()
	if err := g.config.Requests.EndRequest(ctx, end); err != nil {
		g.config.Logger.Warn("the end of a request could not be kept", zap.Error(err))
	}
}

// requestHash tells a request from another with the same key.
func requestHash(r *http.Request, body []byte) []byte {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.Path, r.URL.RawQuery} {
		_, _ = io.WriteString(h, part+"\n")
	}
	h.Write(body)
	return h.Sum(nil)
}

// id is the id of the i-th notification of a request: drawn from the seed, or
// none. It keeps the seed's time, which makes it a UUIDv7.
func (c *call) id(i int) uuid.UUID {
	if c.seed == uuid.Nil {
		return uuid.Nil
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(c.seed[:], uint64(i))) //nolint:gosec // i is a place in a slice
	id := c.seed
	copy(id[6:], sum[:])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

// keptAnswer is an answer that is not yet sent.
type keptAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header         { return k.header }
func (k *keptAnswer) Write(b []byte) (int, error) { return k.body.Write(b) }
func (k *keptAnswer) WriteHeader(status int)      { k.status = status }

// writeAnswer answers as the first time.
func writeAnswer(w http.ResponseWriter, a store.RequestAnswer) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if a.Location != "" {
		h.Set("Location", a.Location)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}
