package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// RequestWindow is how long a request is known by its Idempotency-Key.
const RequestWindow = 24 * time.Hour

// RequestClaim asks for the right to carry out a request that came with an
// Idempotency-Key. Repeated by the same Owner it is answered as the first time.
type RequestClaim struct {
	Producer string
	Key      string
	// Hash is of the whole request: the same key with another hash is another
	// request.
	Hash []byte
	// Seed is what the ids of its notifications are made from. The first claim's
	// counts as long as the key is known, so that whoever goes on after a crash
	// makes no second notification.
	Seed  uuid.UUID
	Owner uuid.UUID // chosen by the caller, new for every claim
	// Lease is how long the request may take. When its owner has said nothing by
	// then, the next one who comes with it goes on.
	Lease time.Duration
	// Window is how long the key is known after the first claim: RequestWindow.
	Window time.Duration
}

// RequestState says what is known about a request.
type RequestState string

// The states.
const (
	RequestYours    RequestState = "yours"    // the caller carries it out
	RequestRunning  RequestState = "running"  // somebody else does
	RequestAnswered RequestState = "answered" // it was carried out
	RequestOther    RequestState = "other"    // the key belongs to another request
)

// RequestClaimed answers a RequestClaim.
type RequestClaimed struct {
	State  RequestState
	Seed   uuid.UUID     // of RequestYours
	Answer RequestAnswer // of RequestAnswered
}

// RequestAnswer is what a request was answered.
type RequestAnswer struct {
	Status   int
	Location string // the header; "" for none
	Body     []byte
}

// RequestEnd says what became of a request that the Owner carried out. It does
// nothing when somebody else has gone on with it.
type RequestEnd struct {
	Producer, Key string
	Owner         uuid.UUID
	// Answer is kept for whoever repeats the request. nil: there is none that
	// counts, and who comes next carries the request out.
	Answer *RequestAnswer
	// Forget the key, with an Answer of nil: the request did nothing, and another
	// may come under this key.
	Forget bool
}

// maxRequestKey bounds an Idempotency-Key, in bytes.
const maxRequestKey = 255

// Check reports what is wrong with the claim.
func (c RequestClaim) Check() error {
	switch {
	case c.Key == "" || len(c.Key) > maxRequestKey:
		return fmt.Errorf("a request key must have 1 to %d bytes", maxRequestKey)
	case len(c.Hash) == 0 || c.Seed == uuid.Nil || c.Owner == uuid.Nil:
		return errors.New("a request without a hash, a seed or an owner")
	case c.Lease <= 0 || c.Window <= 0:
		return errors.New("a request without a lease or a window")
	}
	return checkText("producer", c.Producer, "key", c.Key)
}

// RequestRow is a request as it is kept.
type RequestRow struct {
	Seed, Owner uuid.UUID
	Hash        []byte
	Answer      RequestAnswer // Status 0: none yet
}

// Claimed is the answer to c when the row is r after c was tried.
func (c RequestClaim) Claimed(r RequestRow) RequestClaimed {
	switch {
	case string(r.Hash) != string(c.Hash):
		return RequestClaimed{State: RequestOther}
	case r.Answer.Status != 0:
		return RequestClaimed{State: RequestAnswered, Answer: r.Answer}
	case r.Owner == c.Owner:
		return RequestClaimed{State: RequestYours, Seed: r.Seed}
	}
	return RequestClaimed{State: RequestRunning}
}
