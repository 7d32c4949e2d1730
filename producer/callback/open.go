package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/wxnotify/wxnotify/store"
)

// Why a push is not WeChat's.
var (
	errForged = errors.New("the signature is wrong; is it the Token of WeChat's console?")
	errStale  = errors.New("the signature is too old")
	errPlain  = errors.New("not encrypted; set the console to the secure mode, or allow plaintext")
)

// open checks that a body is WeChat's and decrypts it. message is what it says,
// root the same parsed; verified tells whether the signature covers it. Where a
// body comes both ways, as in the compatible mode, only what is encrypted counts.
// why is for the error.
func (a *app) open(q url.Values, body []byte) (root *node, message []byte, verified bool, why arrival, err error) {
	root, err = parseBody(body)
	if err != nil {
		return nil, nil, false, arrivedMalformed, err
	}
	sealed, err := root.field("Encrypt")
	if err != nil {
		return nil, nil, false, arrivedMalformed, err
	}
	timestamp, nonce := q.Get("timestamp"), q.Get("nonce")
	if sealed == "" || a.key == nil {
		switch {
		case !a.Plaintext:
			return nil, nil, false, arrivedPlain, errPlain
		case !signed(q.Get("signature"), a.Token, timestamp, nonce):
			return nil, nil, false, arrivedForged, errForged
		}
		return root, body, false, "", nil
	}
	if !signed(q.Get("msg_signature"), a.Token, timestamp, nonce, sealed) {
		return nil, nil, false, arrivedForged, errForged
	}
	message, err = decrypt(a.key, sealed, a.id)
	if err != nil {
		return nil, nil, false, arrivedUndecrypted, err
	}
	root, err = parseBody(message)
	if err != nil {
		return nil, nil, false, arrivedMalformed, err
	}
	return root, message, true, "", nil
}

// sorted is what a push comes to.
type sorted struct {
	kind    eventKind
	pushes  []store.Push // for the inbox, each once
	ignored int          // items that nothing is done with
}

// sort makes entries of the inbox of a message.
func (h *Handler) sort(ctx context.Context, a *app, root *node, message []byte, verified bool) (sorted, error) {
	kind, events, unknown, err := parseEvents(root)
	if err != nil {
		return sorted{}, err
	}
	s := sorted{kind: kind, ignored: unknown}
	if kind == eventForeign {
		if a.ForwardURL == "" {
			s.ignored++
			return s, nil
		}
		body := keepForeign(message, verified)
		s.pushes = []store.Push{{Key: keyOf(a.id, string(kind), string(body)), App: a.id, Kind: store.PushForward, Body: body}}
		return s, nil
	}
	seen := map[store.PushKey]bool{}
	for _, e := range events {
		e.Verified = verified
		if e.Kind != eventSent {
			e.Primary = a.ConsentPrimary == ConsentEvent
			if e.LongTerm, err = h.config.LongTerm(ctx, a.id, e.TemplateID); err != nil {
				return sorted{kind: kind}, fmt.Errorf("%w: kind of a template: %w", errNotNow, err)
			}
		}
		key := e.key(a.id)
		if seen[key] {
			s.ignored++
			continue
		}
		seen[key] = true
		body, err := json.Marshal(e)
		if err != nil {
			return sorted{}, fmt.Errorf("%w: %w", errMalformed, err)
		}
		s.pushes = append(s.pushes, store.Push{Key: key, App: a.id, Kind: store.PushEvent, Body: body})
	}
	return s, nil
}
