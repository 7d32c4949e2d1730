package store

import (
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
)

// To erase a user is to forget who was meant and what was said, and to keep that
// something was: the row, its ref, its state and its attempts stay.
//
// It takes more than one transaction: what is being sent or in doubt ends first,
// and tasks in Redis go too. BeginErasure notes the notifications, so that
// whoever comes next can go on; EraseRows erases those that ended, or can be
// ended; EndErasures strikes them from the list. Each can be repeated.

// Address is an openid of an app.
type Address struct {
	App    string
	OpenID string
}

// Erasure says who is erased.
type Erasure struct {
	UserID string
	// Apps are the apps in which the user is erased; nil means all.
	Apps []string
	// Addresses are the user's openids, as Addresses returned them. One that has
	// another user by now is left alone.
	Addresses []Address
	// Raw are the ids that raw tasks of the user will have, which a worker has
	// taken and perhaps not yet adopted.
	Raw []uuid.UUID
}

// Check reports what is wrong with the erasure.
func (e Erasure) Check() error {
	if e.UserID == "" {
		return errors.New("an erasure without a user id")
	}
	for _, a := range e.Addresses {
		if a.App == "" || a.OpenID == "" {
			return errors.New("an erasure with an empty app or openid")
		}
		if err := checkKey("app", a.App, "openid", a.OpenID); err != nil {
			return err
		}
	}
	return checkKey("user_id", e.UserID)
}

// Marks are the texts by which a payload that could not be read gives away whom
// it was for: the ids as JSON writes them.
func (e Erasure) Marks() []string {
	marks := []string{`"` + e.UserID + `"`}
	if strings.Trim(e.UserID, "0123456789") == "" {
		for _, before := range []string{":", ": "} {
			for _, after := range []string{",", "}"} {
				marks = append(marks, before+e.UserID+after)
			}
		}
	}
	for _, a := range e.Addresses {
		marks = append(marks, `"`+a.OpenID+`"`)
	}
	return marks
}

// ErasureBegun is what BeginErasure did.
type ErasureBegun struct {
	// IDs are the notifications of the user, for EraseRows; those erased before
	// are not among them.
	IDs      []uuid.UUID
	Unbound  int // bindings removed
	Consents int // entries of the consent ledger removed, with the events behind them
	Pushes   int // receipts without an attempt, and events not yet applied, removed
}

// Erasing is a notification that BeginErasure noted and EndErasures has not
// struck.
type Erasing struct {
	ID  uuid.UUID
	Age time.Duration // since it was noted
}

// ErasedRow is what EraseRows made of one notification.
type ErasedRow struct {
	ID     uuid.UUID
	Result EraseResult
}

// EraseResult says how far the erasure of a notification is.
type EraseResult string

// The results.
const (
	EraseCancelled EraseResult = "cancelled" // it was open: cancelled, reason erased, and blanked
	EraseBlanked   EraseResult = "blanked"   // it had ended: blanked
	EraseBefore    EraseResult = "before"    // it had been erased before
	EraseInFlight  EraseResult = "in_flight" // it is being sent or in doubt: not sent again, blanked when it ended
	EraseNotFound  EraseResult = "not_found" // no such row
)

// Done reports whether nothing of the user is left in the row.
func (r EraseResult) Done() bool { return r != EraseInFlight }
