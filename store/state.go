package store

import "slices"

// State is where a notification is in its life. The database holds the same
// list as a CHECK constraint.
type State string

// The states and who moves a notification out of each:
//
//	queued, retrying  a worker's claim when due; Relay hands it to the queue
//	sending           its owner's settlement; Relay when the lease is over
//	in_doubt          a receipt or a late settlement; Relay when due
//	waiting           a binding, a consent or a resume; Relay at its deadline
//	sent, expired, cancelled  nothing
//	dead              a replay; a late true answer when the reason is in_doubt
const (
	Queued    State = "queued"
	Sending   State = "sending"
	Retrying  State = "retrying"
	InDoubt   State = "in_doubt"
	Waiting   State = "waiting"
	Sent      State = "sent"
	Dead      State = "dead"
	Expired   State = "expired"
	Cancelled State = "cancelled"
)

// States lists every state, in the order of a notification's life.
var States = []State{Queued, Sending, Retrying, InDoubt, Waiting, Sent, Dead, Expired, Cancelled}

// Final reports whether nothing but a replay or a late true answer moves a
// notification out of s.
func (s State) Final() bool {
	switch s {
	case Sent, Dead, Expired, Cancelled:
		return true
	case Queued, Sending, Retrying, InDoubt, Waiting:
		return false
	}
	return false
}

// Class tells an ordinary refusal from a fault among the dead.
type Class string

// The classes of a dead notification. ClassNone is that of every other state.
const (
	ClassNone    Class = ""
	ClassFault   Class = "fault"   // someone has to look: a dead letter
	ClassRefused Class = "refused" // no consent, or no binding: an ordinary outcome
)

// Reason says why a notification waits, died, expired, was cancelled or put off. The
// list is closed: it is public in answers and metrics.
type Reason string

// The reasons. ReasonNone belongs to states that need none.
const (
	ReasonNone           Reason = ""
	ReasonInDoubt        Reason = "in_doubt"        // nobody knows whether WeChat took it
	ReasonBudget         Reason = "attempts_spent"  // busy or unsure until MAX_ATTEMPTS
	ReasonNotSubscribed  Reason = "not_subscribed"  // 43101: no consent left
	ReasonUnbound        Reason = "unbound"         // no openid for the user in this app
	ReasonNoConsent      Reason = "no_consent"      // waits for the user's consent
	ReasonTemplate       Reason = "template"        // WeChat does not know or has banned the template
	ReasonTemplatePaused Reason = "template_paused" // waits until the template is resumed
	ReasonPage           Reason = "page"            // the page is not in the released version
	ReasonBadAddress     Reason = "bad_address"     // openid of another app, or account closed
	ReasonRejected       Reason = "rejected"        // WeChat refuses the content
	ReasonUnknownCode    Reason = "unknown_errcode" // an errcode nobody documented
	ReasonMalformed      Reason = "malformed"       // the task's payload cannot be read
	ReasonUnknownType    Reason = "unknown_type"    // the task's type is not ours
	ReasonUnknownApp     Reason = "unknown_app"     // names an app this deployment does not serve
	ReasonRowMissing     Reason = "row_missing"     // the task's row was purged or erased
	ReasonTooOld         Reason = "too_old"         // expires_at, or MAX_AGE, went by
	ReasonDeadline       Reason = "task_deadline"   // a raw task's own asynq deadline went by in the queue
	ReasonOnlyTo         Reason = "only_to"         // the app's only_to list leaves this addressee out
	ReasonErased         Reason = "erased"          // the user was erased
	ReasonByAdmin        Reason = "by_admin"        // cancelled or settled by a person
	ReasonQuietHours     Reason = "quiet_hours"     // due at the end of its template's quiet hours
)

// Reasons lists every reason but ReasonNone.
var Reasons = []Reason{
	ReasonInDoubt, ReasonBudget, ReasonNotSubscribed, ReasonUnbound, ReasonNoConsent,
	ReasonTemplate, ReasonTemplatePaused, ReasonPage, ReasonBadAddress, ReasonRejected,
	ReasonUnknownCode, ReasonMalformed, ReasonUnknownType, ReasonUnknownApp, ReasonRowMissing, ReasonTooOld,
	ReasonDeadline, ReasonOnlyTo, ReasonErased, ReasonByAdmin, ReasonQuietHours,
}

// Receipt is what WeChat's later subscribe_msg_sent_event said.
type Receipt string

// The receipts. ReceiptNone means that no event came.
const (
	ReceiptNone   Receipt = "none"
	ReceiptOK     Receipt = "ok"
	ReceiptFailed Receipt = "failed"
)

// Duplicates is the policy for an attempt in doubt or unsure.
type Duplicates string

// The policies.
const (
	DuplicatesAllow Duplicates = "allow" // send again, at most once after a doubt
	DuplicatesAvoid Duplicates = "avoid" // never send again; end as dead, reason in_doubt
)

// Priority chooses the queue.
type Priority string

// The priorities, highest first.
const (
	Critical Priority = "critical"
	Default  Priority = "default"
	Low      Priority = "low"
)

// Priorities lists the priorities, highest first.
var Priorities = []Priority{Critical, Default, Low}

// Above reports whether p is a higher priority than another.
func (p Priority) Above(other Priority) bool {
	return slices.Index(Priorities, p) < slices.Index(Priorities, other)
}
