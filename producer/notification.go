package producer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// Notification is one message for one addressee, as a producer asks for it.
// TemplateID, Data and exactly one of UserID and OpenID are required.
type Notification struct {
	// ID is the id that its row shall have, a UUIDv7; the zero value means a new
	// one. Who repeats a call with the same ID has accepted it once. Needs a store.
	ID         uuid.UUID
	TemplateID string
	// Page is what a tap opens, with its query; "" means that a tap opens nothing.
	Page string
	// UserID is the company's id of the addressee; the openid is found through
	// a binding when the message is sent.
	UserID string
	OpenID string
	// Data maps WeChat's keys ("thing1") to their texts.
	Data map[string]string
	// App is the appid; "" means Config.App.
	App string
	// Ref is the producer's own key, at most 128 bytes, unique per producer: the
	// same Ref with the same content is accepted once, with other content it is
	// refused. With it a call whose answer was lost can be repeated. "" for none.
	Ref string
	// ContentHash is what tells the same content from another; nil means Hash. Who
	// fills in what the producer left open gives the Hash of before, so that a
	// default that changes between a call and its repeat makes no conflict.
	ContentHash []byte
	// Priority chooses the queue; "" means store.Default.
	Priority store.Priority
	// SendAt or Delay say when it is due; both zero mean now. Delay is measured
	// by the database's clock, SendAt is a moment. At most MaxDelay ahead.
	SendAt time.Time
	Delay  time.Duration
	// ExpiresAt is when it is no longer worth sending; zero means Config.MaxAge
	// after it is due.
	ExpiresAt time.Time
	// Duplicates says what to do when nobody knows whether WeChat took it; ""
	// means store.DuplicatesAllow.
	Duplicates store.Duplicates
	// Wait is how long after it is due the notification may wait for the user to
	// be bound or to give consent, at most MaxDelay and never past its end; 0
	// means that it dies, class refused.
	Wait time.Duration
	// NoConsent says what to do when the ledger shows that no consent is left; ""
	// means store.NoConsentSend.
	NoConsent store.NoConsentPolicy
	// ReleaseOrder says which of several waiting ones a consent lets go; "" means
	// store.ReleaseNewest.
	ReleaseOrder store.ReleaseOrder
	// QuietHours are those of its template, as the workers know them too: what is
	// due within them is put off until their end, and is not on the queue before.
	// Without them a worker finds out.
	QuietHours store.QuietHours
	// Lang and MiniprogramState are WeChat's; "" means the app's.
	Lang             string
	MiniprogramState string
}

// Accepted is the answer to a notification that was accepted.
type Accepted struct {
	// ID is that of the notification's row.
	ID uuid.UUID
	// State is that of the row now. Of a duplicate it may be any.
	State store.State
	// Duplicate: the same Ref was accepted before; ID is the first one's.
	Duplicate bool
	// QueueErr is not nil when the notification is due and its task could not be
	// put on the queue at once: Relay does it later. It wraps ErrQueueAway.
	QueueErr error
}

// Result is the answer to one notification of a batch: Err is nil when it was
// accepted. A task.FieldErrors names every bad field, an error that is
// store.ErrConflict a Ref taken by other content; these two stay true however
// often the call is repeated.
type Result struct {
	Accepted
	Err error
}

// MaxDelay is how far ahead a notification may be due. A consent is given for
// weeks at most; a longer delay is a wrong unit.
const MaxDelay = 366 * 24 * time.Hour

// clockAllowance is how far this machine's clock may be from the database's:
// within it a moment is not called past, the database decides.
const clockAllowance = 10 * time.Minute

// appIDForm keeps what would break a queue's name on a cluster (braces) or
// read as its priority (a colon) out of an appid.
var appIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// payload is n as a task carries it.
func (n Notification) payload(id uuid.UUID) task.Payload {
	return task.Payload{
		ID: id, App: n.App, TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID,
		Data: n.Data, Lang: n.Lang, MiniprogramState: n.MiniprogramState,
	}
}

// check finds every bad field. now is this machine's clock. stored tells
// whether there is a store, which some fields need.
func (n Notification) check(now time.Time, stored bool) error {
	var faults task.FieldErrors
	if err := n.payload(uuid.Nil).Check(); err != nil {
		faults = err.(task.FieldErrors) //nolint:errorlint // Check returns nothing else
	}
	add := func(field, reason string) { faults = append(faults, task.FieldError{Field: field, Reason: reason}) }
	switch {
	case n.App == "" && stored:
		add("app", "is required: neither the notification nor the client names one")
	case n.App != "" && len(n.App) <= task.MaxKey && !appIDForm.MatchString(n.App):
		add("app", "may contain letters, digits, - and _ only")
	}
	switch {
	case len(n.Ref) > task.MaxKey:
		add("ref", fmt.Sprintf("has %d bytes; at most %d are allowed", len(n.Ref), task.MaxKey))
	case !utf8.ValidString(n.Ref) || strings.ContainsRune(n.Ref, 0):
		add("ref", "must be UTF-8 without a NUL character")
	}
	if n.Priority != "" && !slices.Contains(store.Priorities, n.Priority) {
		add("priority", "must be one of critical, default, low")
	}
	switch n.Duplicates {
	case "", store.DuplicatesAllow, store.DuplicatesAvoid:
	default:
		add("duplicates", "must be allow or avoid")
	}
	n.checkWait(add)
	n.checkTimes(now, add)
	if !stored {
		if !n.ExpiresAt.IsZero() {
			add("expires_at", "needs a store")
		}
		if n.Duplicates != "" {
			add("duplicates", "needs a store")
		}
		if n.Wait != 0 {
			add("wait", "needs a store")
		}
		if n.NoConsent != "" {
			add("no_consent", "needs a store")
		}
		if n.ReleaseOrder != "" {
			add("release", "needs a store")
		}
		if n.ID != uuid.Nil {
			add("id", "needs a store")
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

func (n Notification) checkWait(add func(field, reason string)) {
	switch {
	case n.Wait < 0:
		add("wait", "is negative")
	case n.Wait > MaxDelay:
		add("wait", "is more than a year")
	}
	switch n.NoConsent {
	case "", store.NoConsentSend, store.NoConsentWait, store.NoConsentDead:
	default:
		add("no_consent", "must be one of send, wait, dead")
	}
	switch n.ReleaseOrder {
	case "", store.ReleaseNewest, store.ReleaseOldest:
	default:
		add("release", "must be newest or oldest")
	}
}

func (n Notification) checkTimes(now time.Time, add func(field, reason string)) {
	due := n.due(now)
	switch {
	case n.Delay < 0:
		add("delay", "is negative")
	case n.Delay > MaxDelay:
		add("delay", "is more than a year")
	case n.Delay != 0 && !n.SendAt.IsZero():
		add("delay", "give send_at or delay, not both")
	}
	if n.SendAt.After(now.Add(MaxDelay)) {
		add("send_at", "is more than a year ahead")
	}
	switch {
	case n.ExpiresAt.IsZero():
	case !n.SendAt.IsZero() && !n.ExpiresAt.After(n.SendAt):
		add("expires_at", "is not after send_at")
	case !n.ExpiresAt.After(now.Add(-clockAllowance)):
		add("expires_at", "is in the past")
	case !n.ExpiresAt.After(due.Add(-clockAllowance)):
		add("expires_at", "is before the notification is due")
	case n.ExpiresAt.After(now.Add(2 * MaxDelay)):
		add("expires_at", "is more than two years ahead")
	}
}

// due is when n is due by this machine's clock.
func (n Notification) due(now time.Time) time.Time {
	if !n.SendAt.IsZero() {
		return n.SendAt
	}
	return now.Add(n.Delay)
}

// Begins is when n may be sent first, by this machine's clock: when it is due, or
// at the end of the quiet hours that it is due in.
func (n Notification) Begins(now time.Time) (at time.Time, quiet bool) {
	due := n.due(now)
	if end, quiet := n.QuietHours.Until(due, priority(n.Priority)); quiet {
		return end, true
	}
	return due, false
}

// priority is p, or the default for none.
func priority(p store.Priority) store.Priority {
	if p == "" {
		return store.Default
	}
	return p
}

// later reports whether n begins later by this machine's clock, which only
// decides who enqueues it.
func (n Notification) later(now time.Time) bool {
	at, _ := n.Begins(now)
	return n.Delay > 0 || at.After(now)
}
