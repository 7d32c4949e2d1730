package template

import (
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// Policy is how the notifications of a template are treated, unless one of them
// says otherwise.
type Policy struct {
	// Overlong says what becomes of a value of type thing that is too long.
	// Default: OverlongReject.
	Overlong Overlong
	// Duplicates is the policy for an attempt in doubt. Default: avoid for a
	// long-term template, where the user would see the message twice, else allow.
	Duplicates store.Duplicates
	// Wait is how long a notification may wait for a binding or a consent, in
	// whole seconds; nil: the template does not say.
	Wait *time.Duration
	// NoConsent says what becomes of a notification when the balance is 0.
	// Default: NoConsentSend.
	NoConsent NoConsent
	// Release says which waiting notification a consent releases. Default:
	// ReleaseNewest.
	Release Release
	// Priority chooses the queue. Default: store.Default.
	Priority store.Priority
	// QuietHours are when nothing is sent. Default: none.
	QuietHours QuietHours
}

// Overlong is a policy for values that are too long.
type Overlong string

// The policies for what is too long.
const (
	OverlongReject   Overlong = "reject"
	OverlongTruncate Overlong = "truncate" // cut a thing to 20 characters, the last one being …
)

// NoConsent is a policy for notifications without a consent.
type NoConsent string

// The policies for a balance of 0.
const (
	NoConsentSend NoConsent = "send" // ask WeChat: the balance may be wrong
	NoConsentWait NoConsent = "wait" // wait for the consent, as long as the notification may
	NoConsentDead NoConsent = "dead" // dead at once, class refused
)

// Release is the order in which consents release what waits.
type Release string

// The orders among notifications of the same priority.
const (
	ReleaseNewest Release = "newest"
	ReleaseOldest Release = "oldest"
)

// filled is p with the defaults for a template of a kind.
func (p Policy) filled(kind Kind) Policy {
	if p.Overlong == "" {
		p.Overlong = OverlongReject
	}
	if p.Duplicates == "" {
		p.Duplicates = store.DuplicatesAllow
		if kind == KindLongTerm {
			p.Duplicates = store.DuplicatesAvoid
		}
	}
	if p.NoConsent == "" {
		p.NoConsent = NoConsentSend
	}
	if p.Release == "" {
		p.Release = ReleaseNewest
	}
	if p.Priority == "" {
		p.Priority = store.Default
	}
	p.QuietHours = p.QuietHours.filled()
	return p
}
