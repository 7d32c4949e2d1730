package store

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// What people did to single notifications is on record beside those, as Actions.
// The audit holds the rest: who came in, who was kept out, and what was done to
// a queue, a template or to many notifications at once.

// The verbs of the audit. The database holds the same list as a CHECK
// constraint.
const (
	VerbLogin          Verb = "login"
	VerbLogout         Verb = "logout"
	VerbLockout        Verb = "lockout" // too many wrong passwords
	VerbPause          Verb = "pause"
	VerbResume         Verb = "resume"
	VerbResumeTemplate Verb = "resume_template"
	VerbReplayMany     Verb = "replay_many"
	VerbDiscardMany    Verb = "discard_many"
)

// AuditVerbs lists the verbs that an AuditEntry of RecordAudit may have.
var AuditVerbs = []Verb{
	VerbLogin, VerbLogout, VerbLockout, VerbPause, VerbResume, VerbResumeTemplate, VerbReplayMany, VerbDiscardMany,
}

// KeepAudit is how long the audit remembers: a year and a little, so that a
// yearly review finds everything.
const KeepAudit = 400 * 24 * time.Hour

// AuditEntry is one line of the audit: of its own, or the Action on a
// notification, which names it.
type AuditEntry struct {
	At      time.Time
	Actor   string
	Verb    Verb
	Subject string // a queue, "appid/template id", an address; "" for none
	Detail  string
	// Of an Action; zero for all others.
	NotificationID uuid.UUID
	Reason         Reason
	Errcode        int

	// Key orders entries of one instant. A store gives it.
	Key string
}

// Check reports what is wrong with an entry that is to be recorded, without
// quoting it.
func (e AuditEntry) Check() error {
	known := false
	for _, v := range AuditVerbs {
		known = known || v == e.Verb
	}
	switch {
	case !known:
		return fmt.Errorf("%q is no verb of the audit", string(e.Verb))
	case e.Actor == "":
		return errors.New("an entry of the audit without an actor")
	case len(e.Actor) > maxActor || len(e.Subject) > maxActor || len(e.Detail) > maxActor:
		return fmt.Errorf("a text of the audit is longer than %d bytes", maxActor)
	}
	return checkText("actor", e.Actor, "subject", e.Subject, "detail", e.Detail)
}

// AuditFilter chooses entries. Zero fields do not filter.
type AuditFilter struct {
	Actor   string
	Verb    Verb
	Subject string
	Before  AuditCursor
	Limit   int // 0 means 50; at most 500
}

// PageSize is the Limit that counts.
func (f AuditFilter) PageSize() int { return Filter{Limit: f.Limit}.PageSize() }

// AuditCursor marks a place in the audit. The zero value is its start.
type AuditCursor struct {
	At  time.Time
	Key string
}

// AfterEntry is the cursor behind an entry.
func AfterEntry(e AuditEntry) AuditCursor { return AuditCursor{At: e.At, Key: e.Key} }

// String is the cursor as a page links to it; ParseAuditCursor reads it.
func (c AuditCursor) String() string {
	if c == (AuditCursor{}) {
		return ""
	}
	return c.At.UTC().Format(time.RFC3339Nano) + "~" + c.Key
}

// ParseAuditCursor reads what String wrote; "" is the start.
func ParseAuditCursor(text string) (AuditCursor, error) {
	if text == "" {
		return AuditCursor{}, nil
	}
	at, key, _ := strings.Cut(text, "~")
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil || key == "" || len(key) > maxActor || checkText("key", key) != nil {
		return AuditCursor{}, errors.New("not a cursor that the audit has given")
	}
	return AuditCursor{At: t, Key: key}, nil
}

// ConsoleSession is that somebody has logged in to the console. It is in the
// store so that every process behind one address knows it, and so that a logout
// ends it everywhere.
type ConsoleSession struct {
	// Key is the SHA-256 of what the cookie holds: who reads the table cannot use
	// it.
	Key [32]byte
	// User is the name that logged in.
	User string
	// Credential tells whether the user's password is still the one that was given
	// then.
	Credential [32]byte
	CreatedAt  time.Time
	SeenAt     time.Time
}

// SessionRule says how long a session lasts.
type SessionRule struct {
	Idle time.Duration // since it was last seen
	Life time.Duration // since the login
	// Touch: this use counts as seen.
	Touch bool
}

// Check reports what is wrong with a session that is to begin.
func (s ConsoleSession) Check() error {
	if s.User == "" || len(s.User) > maxActor {
		return errors.New("a session needs the name of a user")
	}
	return checkText("user", s.User)
}
