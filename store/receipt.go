package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// OutcomeUnsure is the Outcome of an attempt whose answer does not prove that
// nothing happened. A receipt may show that WeChat took it.
const OutcomeUnsure = "unsure"

// ReceiptEvent is WeChat's subscribe_msg_sent_event: what became of a message
// that WeChat had accepted.
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/subscribe-message.html
type ReceiptEvent struct {
	App        string
	OpenID     string
	TemplateID string
	MsgID      int64 // the key, with App
	// OK: the message was pushed to the user. Otherwise Code and Status say why
	// not, raw: their values are not documented.
	OK     bool
	Code   int
	Status string // at most 256 bytes
	// At is the event's time by WeChat's clock, in whole seconds.
	At time.Time
	// Wait is IN_DOUBT_WAIT: the event may be about an attempt that began between
	// Wait before At and ReceiptEarly after.
	Wait time.Duration
	// Verified: the event's signature covers its content. Only such an event
	// settles a doubt.
	Verified bool
}

// ReceiptEarly is how much earlier than the start of its attempt a receipt may
// seem to be: WeChat's times are cut to seconds, and clocks differ.
const ReceiptEarly = 5 * time.Second

// KeepReceipts is how long a receipt waits for its attempt. One that found its
// attempt stays as long as the notification.
const KeepReceipts = 7 * 24 * time.Hour

// Check reports what is wrong with the event.
func (e ReceiptEvent) Check() error {
	switch {
	case e.App == "" || e.OpenID == "" || e.TemplateID == "":
		return errors.New("a receipt needs an app, an openid and a template")
	case e.MsgID <= 0:
		return errors.New("a receipt needs a msgid")
	case e.At.IsZero() || e.Wait < 0:
		return errors.New("a receipt needs a time and a wait that is not negative")
	case len(e.Status) > maxReceiptStatus:
		return fmt.Errorf("status is longer than %d bytes", maxReceiptStatus)
	}
	return checkKey("app", e.App, "openid", e.OpenID, "template_id", e.TemplateID, "status", e.Status)
}

const maxReceiptStatus = 256

// ReceiptResult is what a store made of one event.
type ReceiptResult string

// The results.
const (
	// ReceiptJoined: the msgid is that of an attempt; its notification has the
	// receipt now.
	ReceiptJoined ReceiptResult = "joined"
	// ReceiptSettled: it settled a doubt; the notification is sent.
	ReceiptSettled ReceiptResult = "settled"
	// ReceiptPending: it waits for an attempt with this msgid, or for a doubt
	// that only it fits.
	ReceiptPending ReceiptResult = "pending"
	// ReceiptBefore: it had been recorded before; nothing changed.
	ReceiptBefore ReceiptResult = "before"
)

// ReceiptResults lists every result.
var ReceiptResults = []ReceiptResult{ReceiptJoined, ReceiptSettled, ReceiptPending, ReceiptBefore}

// Receipted answers a ReceiptEvent.
type Receipted struct {
	App    string
	Result ReceiptResult
	// Delivered is how long after its acceptance the notification's good receipt
	// came, or after it was due where that was later and its first attempt was the
	// one, by the database's clock. 0 without one, and for a second one.
	Delivered time.Duration
}

// ReceiptRecord is a receipt that found its attempt, as it is stored.
type ReceiptRecord struct {
	NotificationID uuid.UUID
	N              int // of the attempt
	MsgID          int64
	OK             bool
	Code           int
	Status         string
	At             time.Time
}

// A receipt that came before its settlement, or before its doubt, is looked at
// again: after ReceiptLook, and then each time after as long again as it has
// waited, ReceiptLooks times, which is a quarter of an hour. Later only a
// settlement with its msgid, or the end of a doubt, finds it.
const (
	ReceiptLook  = time.Second
	ReceiptLooks = 11
)
