package gateway

import (
	"cmp"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store"
)

// Producer is who may come in, and what it may do.
type Producer struct {
	// Name is who its notifications come from; refs are unique under it.
	Name string
	// Keys are the hashes of its API keys; any of them opens the door.
	Keys []apikey.Hash
	// Rights are what it may do.
	Rights []Right
	// Apps (appids) and Templates (ids or aliases) are what it may use; empty
	// means all.
	Apps, Templates []string
	// Rate is how many requests each key may make a second, in this process; 0
	// is no limit. A batch is one request.
	Rate float64
	// Burst is how many of them may come at once. Default: twice the Rate, at
	// least 1.
	Burst int
	// DefaultWait is how long its notifications wait for a binding or a consent
	// when neither they nor their template say so.
	DefaultWait time.Duration
	// MaxPriority is the highest that its notifications may have; "" is critical.
	MaxPriority store.Priority
	// Webhook are the events of its notifications that it is told of.
	Webhook store.WebhookSet
}

// Right is something that a producer may do.
type Right string

// The rights.
const (
	RightSend   Right = "send"   // hand in, replay and cancel notifications
	RightRead   Right = "read"   // look at notifications and templates
	RightUsers  Right = "users"  // logins, bindings, consents
	RightManage Right = "manage" // look at and act on the notifications of every producer
	RightErase  Right = "erase"  // erase users
	RightToken  Right = "token"  // get an app's access token
)

// Rights lists every right.
var Rights = []Right{RightSend, RightRead, RightUsers, RightManage, RightErase, RightToken}

func (p Producer) check() error {
	var errs []error
	if p.Name == "" {
		errs = append(errs, errors.New("a producer without a name"))
	}
	for _, r := range p.Rights {
		if !slices.Contains(Rights, r) {
			errs = append(errs, fmt.Errorf("%q is not a right", string(r)))
		}
	}
	if p.Rate < 0 || p.Burst < 0 || p.DefaultWait < 0 {
		errs = append(errs, errors.New("a negative Rate, Burst or DefaultWait"))
	}
	if p.MaxPriority != "" && !slices.Contains(store.Priorities, p.MaxPriority) {
		errs = append(errs, fmt.Errorf("%q is not a priority", string(p.MaxPriority)))
	}
	return errors.Join(errs...)
}

// limited is a notification's priority within what the producer may ask for: what
// the request itself asks for beyond that is a fault, and what its template gives
// is lowered. A priority that there is not is left for the client to refuse.
func (p Producer) limited(asked, given store.Priority) (store.Priority, FieldErrors) {
	given = cmp.Or(given, store.Default)
	if p.MaxPriority == "" || !slices.Contains(store.Priorities, given) || !given.Above(p.MaxPriority) {
		return given, nil
	}
	if asked != "" {
		return given, FieldErrors{{
			Field: "/priority", Code: FieldNotAllowed, Reason: "is higher than this producer may ask for", Example: string(p.MaxPriority),
		}}
	}
	return p.MaxPriority, nil
}

// keyring finds the producer of a key.
type keyring struct {
	hashes []apikey.Hash
	owners []*caller // of the hashes
}

// find compares the key with every hash there is, all of each, so that the time
// taken tells nothing about any. nil when it is none of them.
func (k *keyring) find(key string) *caller {
	hash := apikey.Of(key)
	var found *caller
	for i := range k.hashes {
		if subtle.ConstantTimeCompare(hash[:], k.hashes[i][:]) == 1 {
			found = k.owners[i]
		}
	}
	return found
}
