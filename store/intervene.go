package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// A person may do three things to a notification: replay a dead one, discard a
// dead one, and settle a doubt. Each names the Generation that the person saw,
// so that what happened since is not overridden; each leaves an Action; and each
// can be repeated and done by two people at once: it happens once.

// Replay starts a dead notification anew: queued in the next generation, due and
// handed over at once, Spent, Doubts and Unsure zero, ExpiresAt now plus MaxAge,
// no longer discarded.
type Replay struct {
	ID         uuid.UUID
	Generation int
	MaxAge     time.Duration
	// Force is needed for reason in_doubt: the user may get the message twice.
	Force bool
	// Content replaces what was to be sent; nil leaves it. A notification that
	// has nothing to send, or whose data retention has blanked, needs one.
	Content *Content
	// Priority is the one that it has from now on; "" leaves it.
	Priority Priority
	Actor    string
	Detail   string // for the record; "" for none
}

// Content is what a message says and to whom.
type Content struct {
	TemplateID string
	Page       string
	UserID     string // exactly one of UserID and OpenID
	OpenID     string
	Data       map[string]string
}

// Discard takes a dead notification out of the view of those that someone has to
// look at. It stays dead and is kept as long as the others.
type Discard struct {
	ID         uuid.UUID
	Generation int
	Actor      string
}

// DoubtSettlement ends a doubt, or a death for reason in_doubt, as a person says:
// Sent, which is assumed then and has reason by_admin, or Dead with reason
// in_doubt. A late answer of WeChat overrides Dead, and does not override Sent.
type DoubtSettlement struct {
	ID         uuid.UUID
	Generation int
	As         State // Sent or Dead
	Actor      string
}

// Acted answers a Replay, Discard or DoubtSettlement.
type Acted struct {
	ID     uuid.UUID
	Result ActResult
	// Of the row afterwards; zero when it was not found.
	State      State
	Generation int
	// Of the row before.
	Reason  Reason
	Errcode int
}

// ActResult says what became of an intervention.
type ActResult string

// The results.
const (
	ActDone       ActResult = "done"
	ActBefore     ActResult = "before"      // it had been done before; nothing changed
	ActNotFound   ActResult = "not_found"   // no such row
	ActWrongState ActResult = "wrong_state" // the state does not allow it, or another generation is under way
	ActInDoubt    ActResult = "in_doubt"    // a replay that needs Force
	ActNoContent  ActResult = "no_content"  // a replay that needs a Content
)

// ActResults lists every result.
var ActResults = []ActResult{ActDone, ActBefore, ActNotFound, ActWrongState, ActInDoubt, ActNoContent}

// Verb is what a person did.
type Verb string

// The verbs.
const (
	VerbReplay     Verb = "replay"
	VerbDiscard    Verb = "discard"
	VerbSettleSent Verb = "settle_sent"
	VerbSettleDead Verb = "settle_dead"
	VerbCancel     Verb = "cancel"
)

// ActorAsynqmon is the actor of a replay that "run" on an archived task began:
// asynqmon does not say who pressed it.
const ActorAsynqmon = "asynqmon"

// Action is the record of one intervention.
type Action struct {
	At         time.Time
	Actor      string
	Verb       Verb
	Generation int    // of the notification before
	Reason     Reason // of the notification before
	Errcode    int    // of the notification before
	Detail     string
}

// maxActor bounds an actor and a detail, in bytes.
const maxActor = 256

// Check reports what is wrong with the replay.
func (r Replay) Check() error {
	if r.MaxAge <= 0 {
		return fmt.Errorf("replay of notification %s without a MaxAge", r.ID)
	}
	if c := r.Content; c != nil {
		if c.TemplateID == "" || len(c.Data) == 0 || (c.UserID == "") == (c.OpenID == "") {
			return fmt.Errorf("replay of notification %s with a content that cannot be sent", r.ID)
		}
		err := checkKey("template_id", c.TemplateID, "user_id", c.UserID, "openid", c.OpenID)
		err = errors.Join(err, checkText("page", c.Page))
		for k, v := range c.Data {
			err = errors.Join(err, checkText("data", k, "data", v))
		}
		if err != nil {
			return fmt.Errorf("replay of notification %s: %w", r.ID, err)
		}
	}
	return checkActor(r.ID, r.Actor, r.Detail)
}

// Check reports what is wrong with the discard.
func (d Discard) Check() error { return checkActor(d.ID, d.Actor, "") }

// Check reports what is wrong with the settlement.
func (s DoubtSettlement) Check() error {
	if !slices.Contains([]State{Sent, Dead}, s.As) {
		return fmt.Errorf("the doubt of notification %s cannot be settled as %q", s.ID, string(s.As))
	}
	return checkActor(s.ID, s.Actor, "")
}

// Verb is the verb of the settlement.
func (s DoubtSettlement) Verb() Verb {
	if s.As == Sent {
		return VerbSettleSent
	}
	return VerbSettleDead
}

// Ending is the class and the reason that the settlement leads to.
func (s DoubtSettlement) Ending() (Class, Reason) {
	if s.As == Sent {
		return ClassNone, ReasonByAdmin
	}
	return ClassFault, ReasonInDoubt
}

func checkActor(id uuid.UUID, actor, detail string) error {
	if actor == "" {
		return fmt.Errorf("nobody is named as acting on notification %s", id)
	}
	if len(actor) > maxActor || len(detail) > maxActor {
		return fmt.Errorf("actor or detail for notification %s is longer than %d bytes", id, maxActor)
	}
	return checkText("actor", actor, "detail", detail)
}

// CheckInterventions checks each of them, and that no two concern one
// notification.
func CheckInterventions[T interface{ Check() error }](items []T, id func(T) uuid.UUID) error {
	seen := make(map[uuid.UUID]bool, len(items))
	for _, item := range items {
		if err := item.Check(); err != nil {
			return err
		}
		if seen[id(item)] {
			return fmt.Errorf("two items for notification %s", id(item))
		}
		seen[id(item)] = true
	}
	return nil
}

// Group is what Count counts by.
type Group string

// The groups. GroupNone counts all in one.
const (
	GroupNone     Group = ""
	GroupReason   Group = "reason"
	GroupErrcode  Group = "errcode"
	GroupTemplate Group = "template"
	GroupApp      Group = "app"
)

// Groups lists every group but GroupNone.
var Groups = []Group{GroupReason, GroupErrcode, GroupTemplate, GroupApp}

// Column is the column that a group is about; "" for GroupNone and for what is
// not a group.
func (g Group) Column() string {
	switch g {
	case GroupReason, GroupErrcode, GroupApp:
		return string(g)
	case GroupTemplate:
		return "template_id"
	case GroupNone:
	}
	return ""
}

// Counted is one line of a count.
type Counted struct {
	Value string // of the group's column, as text; "" for GroupNone
	Count int
}
