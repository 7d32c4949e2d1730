package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The checks below are the rules about arguments that both stores apply before
// they build a statement, so that a value one database would take and the other
// refuse is refused by both. Their errors name the field, never its value.

// Filled returns the acceptance with its defaults filled in, or what is wrong
// with it: state queued, receipt none, priority default, duplicates avoid, no consent send, release newest.
func (a Acceptance) Filled() (Acceptance, error) {
	n := &a.Notification
	if n.State == "" {
		n.State = Queued
	}
	if n.Receipt == "" {
		n.Receipt = ReceiptNone
	}
	if n.Priority == "" {
		n.Priority = Default
	}
	if n.Duplicates == "" {
		n.Duplicates = DuplicatesAvoid
	}
	if n.NoConsent == "" {
		n.NoConsent = NoConsentSend
	}
	if n.ReleaseOrder == "" {
		n.ReleaseOrder = ReleaseNewest
	}
	switch n.State {
	case Queued, Waiting, Dead, Expired, Cancelled:
	case Sending, Retrying, InDoubt, Sent:
		return a, fmt.Errorf("a notification cannot be accepted as %s", n.State)
	}
	switch {
	case n.ID == uuid.Nil:
		return a, errors.New("a notification without an id")
	case n.UserID != "" && n.OpenID != "":
		return a, errors.New("a notification with both a user id and an openid")
	case !n.State.Final() && n.UserID == "" && n.OpenID == "":
		return a, errors.New("a notification without an addressee")
	case n.Wait < 0:
		return a, errors.New("a notification with a negative wait")
	case !n.State.Final() && n.ExpiresAt.IsZero() && a.MaxAge <= 0:
		return a, errors.New("a notification without an end: neither ExpiresAt nor MaxAge")
	}
	err := checkKey("app", n.App, "producer", n.Producer, "ref", n.Ref, "template_id", n.TemplateID,
		"user_id", n.UserID, "openid", n.OpenID)
	if err != nil {
		return a, err
	}
	err = checkText("page", n.Page, "lang", n.Lang, "queue", n.Queue, "errmsg", n.Errmsg, "field", n.Field)
	if err != nil {
		return a, err
	}
	for k, v := range n.Data {
		if err := checkText("data", k, "data", v); err != nil {
			return a, err
		}
	}
	return a, nil
}

// Check reports what is wrong with the batch as a whole: two items for one
// notification, or an item that no state of the row could take.
func (b Batch) Check() error {
	seen := make(map[uuid.UUID]bool, b.Len())
	for _, id := range b.IDs() {
		if seen[id] {
			return fmt.Errorf("two items for notification %s in one batch", id)
		}
		seen[id] = true
	}
	for _, c := range b.Claims {
		if c.Owner == uuid.Nil || c.Lease <= 0 {
			return fmt.Errorf("claim of notification %s without an owner or a lease", c.ID)
		}
	}
	for _, s := range b.Settlements {
		if err := s.check(); err != nil {
			return fmt.Errorf("settlement of notification %s: %w", s.ID, err)
		}
	}
	for _, m := range b.Moves {
		if err := m.check(); err != nil {
			return fmt.Errorf("move of notification %s: %w", m.ID, err)
		}
	}
	return nil
}

// IDs lists the notification of every item.
func (b Batch) IDs() []uuid.UUID {
	ids := make([]uuid.UUID, 0, b.Len())
	for _, c := range b.Claims {
		ids = append(ids, c.ID)
	}
	for _, s := range b.Settlements {
		ids = append(ids, s.ID)
	}
	for _, r := range b.Releases {
		ids = append(ids, r.ID)
	}
	for _, m := range b.Moves {
		ids = append(ids, m.ID)
	}
	return ids
}

func (s Settlement) check() error {
	if !slices.Contains([]State{Sent, Retrying, InDoubt, Waiting, Dead}, s.State) {
		return fmt.Errorf("an attempt cannot end in %q", string(s.State))
	}
	if s.Seq <= 0 || s.Attempt.Outcome == "" {
		return errors.New("no seq or no outcome")
	}
	if s.Refused && s.State != Waiting && s.State != Dead {
		return fmt.Errorf("a refused attempt cannot end in %q", string(s.State))
	}
	return checkText("field", s.Field, "errmsg", s.Attempt.Errmsg, "rid", s.Attempt.RID, "outcome", s.Attempt.Outcome)
}

func (m Move) check() error {
	if m.Replay {
		if m.State != Queued || m.MaxAge <= 0 {
			return errors.New("a replay goes to queued and needs a MaxAge")
		}
		return nil
	}
	if !slices.Contains([]State{Retrying, Waiting, Dead, Expired, Cancelled}, m.State) {
		return fmt.Errorf("a move cannot lead to %q", string(m.State))
	}
	return nil
}

// Check reports what is wrong with the binding.
func (b Binding) Check() error {
	if b.App == "" || b.UserID == "" || b.OpenID == "" {
		return errors.New("a binding needs an app, a user id and an openid")
	}
	return checkKey("app", b.App, "user_id", b.UserID, "openid", b.OpenID, "unionid", b.UnionID)
}

// maxKey is the longest text, in bytes, that is part of an index: two of them
// still fit the 2,704 bytes that PostgreSQL can index.
const maxKey = 1024

// checkKey is checkText for what is part of an index.
func checkKey(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if len(pairs[i+1]) > maxKey {
			return fmt.Errorf("%s is longer than %d bytes", pairs[i], maxKey)
		}
	}
	return checkText(pairs...)
}

// checkText refuses text that PostgreSQL cannot hold. It takes pairs of a name
// and a value.
func checkText(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if !utf8.ValidString(pairs[i+1]) || strings.IndexByte(pairs[i+1], 0) >= 0 {
			return fmt.Errorf("%s is not valid text", pairs[i])
		}
	}
	return nil
}
