package store

import (
	"errors"
	"fmt"
	"time"
)

// PushKey is what makes a push one and the same when WeChat sends it again: a
// hash of what its sender does not change.
type PushKey [32]byte

// Push is an event that WeChat pushed, in the inbox: durable before WeChat gets
// its answer, and applied afterwards.
type Push struct {
	Key  PushKey
	App  string
	Kind PushKind
	// Body is the event as producer/callback keeps it; at most MaxPushBody. The
	// store does not look into it.
	Body []byte
	// Tries counts how often TakePushes has handed it out, this time included.
	Tries int
}

// PushKind tells apart what is done with a push, so that one kind does not wait
// for the other.
type PushKind string

// The kinds.
const (
	PushEvent   PushKind = "event"   // a receipt or a consent
	PushForward PushKind = "forward" // somebody else's; passed on
)

// MaxPushBody bounds the body of a push, in bytes.
const MaxPushBody = 256 << 10

// KeepPushes is how long the key of a push is remembered. It must be longer than
// producer/callback takes an old signature for good: after that a repeat is
// refused for its age.
const KeepPushes = 72 * time.Hour

// Check reports what is wrong with the push.
func (p Push) Check() error {
	switch {
	case p.Key == PushKey{} || p.App == "":
		return errors.New("a push needs a key and an app")
	case p.Kind != PushEvent && p.Kind != PushForward:
		return fmt.Errorf("a push cannot be of kind %q", string(p.Kind))
	case len(p.Body) == 0 || len(p.Body) > MaxPushBody:
		return fmt.Errorf("the body of a push has 1 to %d bytes, this one %d", MaxPushBody, len(p.Body))
	}
	return checkKey("app", p.App)
}
