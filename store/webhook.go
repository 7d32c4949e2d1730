package store

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// WebhookEvent is what a producer can be told of its notifications.
type WebhookEvent string

// The events. The list is closed and its order is that of the bits of a
// WebhookSet, which are stored: new ones come at the end.
const (
	WebhookSent          WebhookEvent = "notification.sent"           // WeChat accepted it
	WebhookFailed        WebhookEvent = "notification.failed"         // dead, class fault
	WebhookRefused       WebhookEvent = "notification.refused"        // dead, class refused
	WebhookExpired       WebhookEvent = "notification.expired"        // its time went by
	WebhookReceiptFailed WebhookEvent = "notification.receipt_failed" // accepted, and not delivered after all
)

// WebhookEvents lists every event.
var WebhookEvents = []WebhookEvent{WebhookSent, WebhookFailed, WebhookRefused, WebhookExpired, WebhookReceiptFailed}

// WebhookSet is a set of events. The zero value is the empty one.
type WebhookSet int16

// NewWebhookSet is the set of events; what is not in WebhookEvents is left out.
func NewWebhookSet(events ...WebhookEvent) WebhookSet {
	var s WebhookSet
	for _, e := range events {
		if i := slices.Index(WebhookEvents, e); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}

// Has reports whether e is in the set.
func (s WebhookSet) Has(e WebhookEvent) bool { return NewWebhookSet(e)&s != 0 }

// WebhookDelivery is one event that a producer is still to be told, as it was
// when it happened. The store writes it in the transaction of the change itself,
// for notifications that were accepted with this event in their WebhookSet.
type WebhookDelivery struct {
	// ID is the same in every try, so that the receiver can drop repeats.
	ID             uuid.UUID
	Producer       string
	Event          WebhookEvent
	At             time.Time // when it happened
	NotificationID uuid.UUID
	Ref            string
	TemplateID     string
	State          State
	Reason         Reason
	Errcode        int
	// Try is the number of this try, from 1. It fences the WebhookResult.
	Try int
}

// WebhookResult is what came of a try.
type WebhookResult struct {
	ID  uuid.UUID
	Try int
	// Again is how long until the next try; zero ends the delivery: it is done, or
	// given up.
	Again time.Duration
}
