package store

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// Errors of a store. Test with errors.Is: they come wrapped.
var (
	// ErrNotFound means that no row has this key.
	ErrNotFound = errors.New("not found")
	// ErrConflict means that a row with this key and other content exists.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable means that the database could not be reached or refused to
	// work (starting, stopping, connection lost): nothing is known of the row,
	// and the same call may be repeated later.
	ErrUnavailable = errors.New("store unavailable")
	// ErrSchema means that the schema is older or newer than this program.
	ErrSchema = errors.New("schema version")
)

// Notification is one message for one addressee: a row.
type Notification struct {
	ID       uuid.UUID // UUIDv7; of a raw task UUIDv5 of queue and TaskID
	App      string    // appid
	Producer string    // who handed it in; "" for the Go client and raw tasks without a name
	Ref      string    // the producer's own key, unique per producer; "" for none
	// ContentHash is SHA-256 of what the producer asked for. The same ref with
	// another hash is a conflict. Empty without a ref.
	ContentHash []byte

	TemplateID string
	Page       string
	UserID     string            // addressee by the company's id; resolved through a binding at the claim
	OpenID     string            // addressee by openid; exactly one of UserID and OpenID is set
	Data       map[string]string // WeChat key -> text
	Lang       string            // "" means the app's
	// MiniprogramState is developer, trial or formal; "" means the app's.
	MiniprogramState string
	Priority         Priority
	Duplicates       Duplicates
	// Wait is how long after it is due it may wait for a binding or a consent; 0:
	// not at all.
	Wait         time.Duration
	NoConsent    NoConsentPolicy // "" means NoConsentSend
	ReleaseOrder ReleaseOrder    // "" means ReleaseNewest
	// Payload is the raw task's payload, kept only when it could not be read
	// (reasons malformed, unknown_type, unknown_app).
	Payload []byte
	// Queue is the asynq queue of the task that was adopted; "" otherwise.
	Queue string

	State      State
	Class      Class
	Reason     Reason
	Errcode    int // WeChat's last errcode; 0 when there is none
	Errmsg     string
	Field      string // what WeChat or the check named, such as "thing1" or "page"
	Assumed    bool   // sent was concluded from a doubt
	Receipt    Receipt
	MsgID      int64 // WeChat's msgid; 0 when there is none
	Seq        int   // claims so far; the number of the last attempt
	Generation int   // of the delivery; part of the TaskID
	Spent      int   // attempts the budget counts since acceptance or the last replay
	Doubts     int   // attempts in doubt since acceptance or the last replay
	Unsure     int   // unsure answers since acceptance or the last replay

	Owner      uuid.UUID // token of the claim; zero when not sending
	LeaseUntil time.Time // of the claim; zero when not sending
	DueAt      time.Time // not sent before; for in_doubt: resolved then
	ExpiresAt  time.Time // not sent after
	// WaitUntil is when it stops waiting for a binding or a consent: Wait after it
	// was due first, and not after ExpiresAt. Zero: it does not wait for them.
	WaitUntil time.Time
	// HandoverAt is when Relay puts the task on the queue (again); zero means
	// that the task is there and nobody needs to look.
	HandoverAt time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt time.Time // zero until final
	// DiscardedAt is when a person took the dead letter out of view; zero: nobody
	// did since it died.
	DiscardedAt time.Time
	// DataBlankedAt is when retention removed Data, Payload and the query of
	// Page; zero means that they are there. What is blanked is not replayed without
	// a new Content.
	DataBlankedAt time.Time
}

// Attempt is one call of subscribe/send.
type Attempt struct {
	NotificationID uuid.UUID
	N              int       // Seq of the claim
	At             time.Time // start, by the worker's clock; for display
	Latency        time.Duration
	Errcode        int
	Errmsg         string // cleaned: no rid, no openid, at most 256 bytes
	RID            string // WeChat's request id, for support
	MsgID          int64
	Outcome        string // the kind of the answer: wechat.Kind's text
}

// OutcomeInDoubt is the Outcome of an attempt whose answer nobody saw. It is
// the one outcome that a late settlement may overwrite.
const OutcomeInDoubt = "in_doubt"

// Look is a notification as a worker sees it before it decides.
type Look struct {
	Notification
	// Address is the openid to send to: OpenID, or that of the user's binding
	// in this app; "" means unbound.
	Address string
	// Paused is the reason of the pause on this template; "" means none.
	Paused string
	// Consent is what the ledger says of Address and the template: only Known,
	// LongTerm and Balance.
	Consent Consent
	// Now is the database's clock at the time of the look.
	Now time.Time
}

// Due reports whether the notification may be sent now, by the database's clock.
func (l Look) Due() bool { return !l.DueAt.After(l.Now) }

// Overdue reports whether the time to send it is over, by the database's clock.
func (l Look) Overdue() bool { return !l.ExpiresAt.After(l.Now) }

// MayWait reports whether it may wait for a binding or a consent, by the
// database's clock.
func (l Look) MayWait() bool { return l.WaitUntil.After(l.Now) }

// LeaseLeft is how long the claim of a notification that is being sent still
// lasts; zero or less means that its owner fell silent.
func (l Look) LeaseLeft() time.Duration { return l.LeaseUntil.Sub(l.Now) }

// Inserted is the answer to one notification handed in for acceptance.
type Inserted struct {
	ID uuid.UUID
	// Duplicate: the ref was taken by the same content; ID is the first one's.
	Duplicate bool
	// State is that of the row now.
	State State
	// Err is ErrConflict when the ref was taken by other content.
	Err error
}

// Binding ties a user of one app to an openid.
type Binding struct {
	App       string
	UserID    string
	OpenID    string
	UnionID   string
	Suspect   bool // WeChat refused this openid; relearned at the next login
	UpdatedAt time.Time
}

// Bound counts what Bind did, each binding once; Moved goes before the others.
type Bound struct {
	Created   int // new bindings
	Changed   int // the user had another openid
	Moved     int // the openid had belonged to another user, who lost it
	Unchanged int
}

// TemplatePause stops one template of one app until a person or a sync resumes it.
type TemplatePause struct {
	App        string
	TemplateID string
	Errcode    int
	Reason     string
	Since      time.Time
}

// Filter chooses notifications for List. Zero fields do not filter.
type Filter struct {
	App, Producer, Ref, UserID, OpenID, TemplateID string
	States                                         []State
	Class                                          Class
	Reason                                         Reason
	Errcode                                        int
	Discarded                                      Discarded
	Since, Until                                   time.Time // of CreatedAt; Until is exclusive
	// Before continues a listing: only notifications whose ID is smaller. IDs
	// of adopted raw tasks do not carry time, so order is by CreatedAt, ID.
	Before Cursor
	Limit  int // 0 means 50; at most 500
}

// Discarded chooses notifications by whether a person discarded them.
type Discarded int

// The choices.
const (
	DiscardedOrNot Discarded = iota
	NotDiscarded
	OnlyDiscarded
)

// DeadLetters chooses what someone has to look at: dead, class fault, and not
// discarded.
func DeadLetters() Filter {
	return Filter{States: []State{Dead}, Class: ClassFault, Discarded: NotDiscarded}
}

// PageSize is the Limit that counts: 50 when none is given, and 500 at most.
func (f Filter) PageSize() int {
	if f.Limit <= 0 {
		return 50
	}
	return min(f.Limit, 500)
}

// Handover is what Relay needs to put a notification on the queue.
type Handover struct {
	Notification
}

// Mark is the sign that tells a healthy Redis from a wiped or rolled-back one:
// the same ID and a Counter at least as high must be found in Redis.
type Mark struct {
	ID      uuid.UUID
	Counter int64
}

// Acceptance is one notification handed in, with the times that the database's
// clock decides.
type Acceptance struct {
	Notification Notification
	// Delay sets DueAt to the database's now plus Delay when DueAt is zero.
	Delay time.Duration
	// MaxAge sets ExpiresAt to DueAt plus MaxAge when ExpiresAt is zero.
	MaxAge time.Duration
	// HandoverIn sets HandoverAt to DueAt plus HandoverIn: zero lets Relay
	// enqueue it as soon as it is due; a producer that enqueues by itself gives
	// HandoverGrace.
	HandoverIn time.Duration
	// Webhook are the events that the producer is told of.
	Webhook WebhookSet
}
