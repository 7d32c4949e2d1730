package store

import (
	"errors"
	"fmt"
	"time"
)

// WeChat lets an app send one message of a one-time template for each time the
// user accepted it, and any number of a long-term one; it tells nobody how many
// are left (https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/subscribe-message.html).
// So the store keeps a ledger: one entry for each openid and template of an app.
// It is fed by what users answer ([Store.RecordConsents] of the implementations),
// by messages that were sent, and by WeChat's refusals (43101). It drifts where
// events are lost, so that 0 is a reason to be careful and not a proof; what to
// do then is the notification's NoConsentPolicy.

// Consent is what an openid allowed for a template: an entry of the ledger. It
// stays with the openid, whoever is bound to it.
type Consent struct {
	App        string
	OpenID     string
	TemplateID string
	// Known tells whether Balance and LongTerm mean anything. Without an entry, and
	// when all that is on record is that the user refused once, they do not.
	Known bool
	// LongTerm: any number of messages, until the user withdraws it.
	LongTerm bool
	// Balance is how many messages of a one-time template are left; never negative.
	Balance int
	// RefusedAt is when the user last said no, in the dialog or in the settings;
	// zero when nothing is on record or an acceptance came after it.
	RefusedAt time.Time
	UpdatedAt time.Time
}

// Empty reports whether the ledger says that nothing is left. What is not known
// is not empty.
func (c Consent) Empty() bool { return c.Known && !c.LongTerm && c.Balance == 0 }

// ConsentSource says who tells of a user's answer. The database holds the same
// list as a CHECK constraint, as it does for answers.
type ConsentSource string

// The sources. Client and Popup tell of the same thing, the answer to one dialog.
const (
	ConsentClient ConsentSource = "client" // the Mini Program, through a back end
	ConsentPopup  ConsentSource = "popup"  // subscribe_msg_popup_event
	ConsentChange ConsentSource = "change" // subscribe_msg_change_event: in WeChat's settings
)

// ConsentAnswer is what the user, or WeChat for him, answered.
type ConsentAnswer string

// The answers of wx.requestSubscribeMessage and of WeChat's events. Who reads
// them turns acceptWithAudio, acceptWithAlert and acceptWithForcePush into
// ConsentAccept.
const (
	ConsentAccept ConsentAnswer = "accept"
	ConsentReject ConsentAnswer = "reject"
	ConsentBan    ConsentAnswer = "ban"    // WeChat has banned the template
	ConsentFilter ConsentAnswer = "filter" // another template of the dialog has the same title
)

// ConsentEvent is one user's answer about one template.
type ConsentEvent struct {
	App        string
	OpenID     string
	TemplateID string
	Source     ConsentSource
	// Key tells this event from others of its source about this openid and
	// template: the id of the report, or the event's key. The same Key counts once
	// within ConsentMemory. At most 128 bytes; required.
	Key    string
	Answer ConsentAnswer
	// LongTerm: the template is a long-term one.
	LongTerm bool
	// At is when the user answered, by WeChat's clock (CreateTime). Zero means now,
	// by the database's: right for a report, which carries no time of WeChat's.
	At time.Time
	// Primary: Source is the one that this app counts by. Of Client and Popup the
	// other one counts where the primary does not tell of the same answer within
	// ConsentWindow, before it or after it; it counts at once, and the primary's
	// event that comes later does not. Older than ConsentWindow it does not count.
	Primary bool
}

const (
	// ConsentWindow is how far apart the two sources may tell of one answer: a
	// report may be kept until the Mini Program is opened again, WeChat's events
	// lag, and the clocks of machines differ. Two different answers are taken for
	// one only when the first was lost by one source and the second by the other.
	ConsentWindow = time.Hour
	// ConsentMemory is how long the key of an event is kept, so that its repeats
	// do not count.
	ConsentMemory = 7 * 24 * time.Hour
	// ConsentSkew is how far WeChat's clock and the database's may differ without
	// an acceptance being taken for one from before a refusal.
	ConsentSkew = 2 * time.Minute
)

const (
	// MaxWaitingFor bounds what WaitingFor counts.
	MaxWaitingFor = 1000
	// ReleasePage is how many waiting notifications one transaction queues.
	ReleasePage = 500
)

// ConsentRecorded answers a ConsentEvent.
type ConsentRecorded struct {
	Result ConsentResult
	// Consent is the entry afterwards.
	Consent Consent
	// Released is how many waiting notifications this event queued.
	Released int
}

// ConsentResult says what an event did to the ledger.
type ConsentResult string

// The results.
const (
	ConsentCounted  ConsentResult = "counted"  // the entry changed, as the answer says
	ConsentRepeated ConsentResult = "repeated" // this event came before
	ConsentPaired   ConsentResult = "paired"   // the other source had told of this answer
	ConsentStale    ConsentResult = "stale"    // what it allowed was used, or withdrawn, since
	ConsentNoted    ConsentResult = "noted"    // the answer changes nothing: ban, filter
)

// NoConsentPolicy says what happens to a notification that is due while the
// ledger says that nothing is left.
type NoConsentPolicy string

// The policies. The ledger may be wrong, so the first is the default. When the
// ledger has no entry, every policy asks WeChat.
const (
	NoConsentSend NoConsentPolicy = "send" // ask WeChat
	NoConsentWait NoConsentPolicy = "wait" // wait for a consent without asking; without Wait it dies
	NoConsentDead NoConsentPolicy = "dead" // dead, class refused, reason not_subscribed
)

// ReleaseOrder says which one of several waiting notifications of the highest
// priority a consent queues.
type ReleaseOrder string

// The orders. When those of one template differ, the newest notification's
// order decides.
const (
	ReleaseNewest ReleaseOrder = "newest"
	ReleaseOldest ReleaseOrder = "oldest"
)

// Check reports what is wrong with the event, without quoting it.
func (e ConsentEvent) Check() error {
	if e.App == "" || e.OpenID == "" || e.TemplateID == "" || e.Key == "" {
		return errors.New("a consent event needs an app, an openid, a template and a key")
	}
	switch e.Source {
	case ConsentClient, ConsentPopup, ConsentChange:
	default:
		return fmt.Errorf("unknown source %q", string(e.Source))
	}
	switch e.Answer {
	case ConsentAccept, ConsentReject, ConsentBan, ConsentFilter:
	default:
		return fmt.Errorf("unknown answer %q", string(e.Answer))
	}
	if len(e.Key) > 128 {
		return errors.New("key is longer than 128 bytes")
	}
	return checkKey("app", e.App, "openid", e.OpenID, "template_id", e.TemplateID, "key", e.Key)
}
