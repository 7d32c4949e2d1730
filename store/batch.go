package store

import (
	"time"

	"github.com/google/uuid"
)

// Batch is what one committer writes in one transaction: claims, settlements,
// releases and moves of different notifications. At most one item of a batch
// concerns one notification. Each item is guarded by itself: one that does not
// apply is answered so and does not disturb the others. An error means that
// nothing was written, or, when the reply to COMMIT was lost, that it is not
// known: repeat the batch, every item of it can be repeated.
type Batch struct {
	Claims      []Claim
	Settlements []Settlement
	Releases    []Release
	Moves       []Move
}

// Len is the number of items.
func (b Batch) Len() int {
	return len(b.Claims) + len(b.Settlements) + len(b.Releases) + len(b.Moves)
}

// Results answers a Batch item by item, in the same order.
type Results struct {
	Claims      []Claimed
	Settlements []Settled
	Releases    []bool // gave the claim back (or had before)
	Moves       []bool // applied
}

// Claim asks for the right to send: state queued or retrying, this generation,
// due, not overdue, bound, template not paused, and NoConsent send or an entry of
// the ledger that is not empty. It moves the notification to sending, adds one to
// Seq, sets Owner and a lease of Lease from the database's now, clears HandoverAt,
// joins the binding and notes what the ledger says.
type Claim struct {
	ID         uuid.UUID
	Generation int
	Owner      uuid.UUID // chosen by the caller, new for every claim
	Lease      time.Duration
}

// Claimed answers a Claim. OK means that the caller holds the claim: Look has
// the new Seq and the Address. When the same Owner already holds it (a lost
// reply), OK is true again and nothing changed. Otherwise Look shows why not;
// Found is false when there is no row.
type Claimed struct {
	OK    bool
	Found bool
	Look  Look
}

// Settlement writes what came of the attempt Seq and moves the notification.
//
// It is fenced by Seq alone, not by the lease: it applies while no later claim
// exists and the notification is sending; when the attempt was in doubt (the
// stored outcome of Seq is OutcomeInDoubt) a known answer also applies from
// in_doubt, from queued or retrying, and from dead with reason in_doubt. A
// settlement with outcome OutcomeInDoubt applies only from sending. A
// settlement that was written before (the attempt exists with a known outcome)
// changes nothing and is answered Applied.
//
// Into waiting it leads only while there is something to wait for: no binding, a
// paused template, or no consent given since the claim. Otherwise it leads to
// retrying at once, with Requeue, because nobody would wake the notification.
//
// It keeps the ledger: State sent takes one message off the balance, Refused
// empties the entry of what was allowed before the claim, and an attempt in doubt
// or unsure is noted.
type Settlement struct {
	ID      uuid.UUID
	Seq     int
	Attempt Attempt // NotificationID and N are taken from ID and Seq

	State  State // sent, retrying, in_doubt, waiting, dead
	Class  Class
	Reason Reason
	Field  string
	// Delay sets DueAt to the database's now plus Delay (retrying, in_doubt).
	// Into in_doubt the store shortens it to NoPushWait when WeChat's verified
	// pushes for this app have not come for NoPushWindow: then there is no
	// receipt to wait for.
	Delay time.Duration
	// Requeue bumps Generation and sets HandoverAt = DueAt, so that Relay makes
	// a new task; otherwise the running delivery goes on and HandoverAt becomes
	// DueAt plus HandoverGrace, in case that delivery is lost. Only for retrying.
	Requeue bool
	Spend   bool // adds one to Spent
	// Refused: WeChat says that no consent is left (43101). State is waiting or
	// dead then, unless another attempt since acceptance or the last replay was in
	// doubt or unsure: what was left may have been used by that one. Then the
	// settlement leads to sent, assumed, if the ledger showed exactly one message
	// left before that attempt and nothing else touched the entry since, and to
	// dead, class fault, reason in_doubt, if not.
	Refused bool
	Unsure  bool // adds one to Unsure
	Assumed bool
	// SuspectBinding marks the binding that led to this openid as suspect.
	SuspectBinding bool
	// PauseTemplate pauses the notification's template with this settlement.
	PauseTemplate bool
}

// ConcernsLedger reports whether the settlement changes the ledger of consents, or
// asks it.
func (s Settlement) ConcernsLedger() bool {
	return s.State == Sent && !s.Assumed || s.Refused || s.Unsure ||
		s.State == InDoubt || s.Attempt.Outcome == OutcomeInDoubt ||
		s.State == Waiting && s.Reason == ReasonNoConsent
}

// HandoverGrace is how long after its due time Relay waits for a delivery that
// should be on the queue before it enqueues the same task again. A task that is
// there answers with a conflict, so the price of being wrong is one command.
const HandoverGrace = 30 * time.Second

// Where no verified push came for an app within NoPushWindow, a doubt is
// resolved after NoPushWait instead of IN_DOUBT_WAIT.
const (
	NoPushWindow = 7 * 24 * time.Hour
	NoPushWait   = 5 * time.Second
)

// Settled answers a Settlement.
type Settled struct {
	// Applied: the attempt is on record and the notification moved (or had
	// moved by an earlier delivery of the same settlement).
	Applied bool
	// State, Class, Reason and Generation are those of the row afterwards.
	State      State
	Class      Class
	Reason     Reason
	Generation int
	// Delivered is that of the receipt that came before this settlement, as in
	// Receipted; 0 when none did, or when this is a repeat.
	Delivered time.Duration
}

// Release gives a claim back unsent: nothing was written to the network. The
// notification is retrying again (queued when this was its first claim), due
// after Delay, in the same generation. It applies to sending with this Seq and
// Owner; repeated, it answers true.
type Release struct {
	ID    uuid.UUID
	Seq   int
	Owner uuid.UUID
	Delay time.Duration
	// Requeue as in Settlement.
	Requeue bool
}

// Move changes a notification without an attempt: from queued or retrying in
// this generation (a replay: from dead; to cancelled also from waiting) to
// State. To waiting it applies only while there is something to wait for: no
// binding, no consent on the ledger, a paused template. Nobody would wake the
// notification otherwise.
type Move struct {
	ID         uuid.UUID
	Generation int
	State      State // retrying, waiting, dead, expired, cancelled; queued for a replay
	Class      Class
	Reason     Reason
	// Delay and Requeue as in Settlement, for State retrying.
	Delay   time.Duration
	Requeue bool
	// Replay does what a [Replay] with Force and without a Content does, by
	// ActorAsynqmon: not when there is nothing to send, or its data is blanked.
	Replay bool
	MaxAge time.Duration
}
