package store

import "time"

// Ledger is an entry of the ledger with what it takes to keep it. The stores load
// it, apply events with [Ledger.Record], which is where the rules are, and write
// it back, all under a lock of the entry.
type Ledger struct {
	Consent
	// Grants counts acceptances, Touches whatever may have changed what WeChat
	// knows: grants, refusals, messages sent, and attempts whose outcome is not
	// known. Both only grow.
	Grants, Touches int64
	// EmptiedAt is when nothing was left for certain, by the clock that told of it,
	// and EmptiedTouch what Touches was then.
	EmptiedAt    time.Time
	EmptiedTouch int64
	// Owed counts messages that were sent although Balance was 0, the last of them
	// at OwedAt: acceptances that are told of late have been used up by them.
	Owed   int
	OwedAt time.Time
	// Events are those of the last ConsentMemory, in no order.
	Events []LedgerEvent
}

// LedgerEvent is an event as the ledger remembers it.
type LedgerEvent struct {
	Source   ConsentSource
	Key      string
	Answer   ConsentAnswer
	LongTerm bool
	At       time.Time
	Touch    int64 // what Touches was when this acceptance was counted; 0: it was not
	Paired   bool  // the other source has told of it too
}

// Recorded is what Ledger.Record did.
type Recorded struct {
	Result ConsentResult
	// Release is how many waiting notifications may go now: none, one, or
	// ReleaseAll.
	Release int
}

// ReleaseAll stands for every notification that waits.
const ReleaseAll = -1

// Record applies the event at now, the database's time. It appends to Events
// unless the event is a repeat, and may change one that is there, its partner.
//
// What is counted is an answer, not an event: the first event to tell of it
// counts, whichever the source, so that nothing waits for a primary that is late
// or lost, and the other source's event finds it. Where the order of things
// cannot be known the balance is rather too high: that costs one refusal by
// WeChat, which sets it right, and the other way a notification would wait beside
// the consent it waits for.
func (l *Ledger) Record(e ConsentEvent, now time.Time) Recorded {
	for _, had := range l.Events {
		if had.Source == e.Source && had.Key == e.Key {
			return Recorded{Result: ConsentRepeated}
		}
	}
	mine := LedgerEvent{Source: e.Source, Key: e.Key, Answer: e.Answer, LongTerm: e.LongTerm, At: e.At}
	if limit := now.Add(ConsentSkew); mine.At.IsZero() {
		mine.At = now
	} else if mine.At.After(limit) {
		mine.At = limit // or it would pass for the newest until then
	}
	var r Recorded
	switch {
	case e.Answer == ConsentBan || e.Answer == ConsentFilter,
		e.Source == ConsentChange && e.Answer != ConsentReject: // WeChat pushes no other
		r.Result = ConsentNoted
	case now.Sub(mine.At) > ConsentMemory, !e.Primary && e.Source != ConsentChange && now.Sub(mine.At) > ConsentWindow:
		r.Result = ConsentStale // its twin, or itself, may be forgotten
	case e.Source == ConsentChange:
		r.Result = l.withdraw(&mine)
	case l.pair(&mine):
		r.Result = ConsentPaired
	case e.Answer == ConsentReject:
		r.Result = l.refuse(&mine)
	default:
		r = l.grant(&mine)
	}
	l.UpdatedAt = now
	l.Events = append(l.Events, mine)
	return r
}

// pair finds the event by which the other source told of the same answer: the
// nearest one that has no partner.
func (l *Ledger) pair(mine *LedgerEvent) bool {
	best := -1
	var least time.Duration
	for i, had := range l.Events {
		if had.Paired || had.Answer != mine.Answer || had.LongTerm != mine.LongTerm ||
			had.Source == mine.Source || had.Source == ConsentChange {
			continue
		}
		popup, client := mine, &had
		if mine.Source == ConsentClient {
			popup, client = &had, mine
		}
		// A report is never before the answer, but for the clocks.
		late := client.At.Sub(popup.At)
		if late > ConsentWindow || late < -ConsentSkew {
			continue
		}
		// Nor does it go with what was taken away before it, as far as the times tell.
		gone := client.At.Before(l.EmptiedAt) || client.Touch > 0 && client.Touch <= l.EmptiedTouch
		if gone && !popup.At.Before(l.EmptiedAt) {
			continue
		}
		if best < 0 || late.Abs() < least {
			best, least = i, late.Abs()
		}
	}
	if best < 0 {
		return false
	}
	had := &l.Events[best]
	had.Paired, mine.Paired = true, true
	if mine.Source == ConsentPopup {
		had.At = mine.At // when the user answered, and not when the report came
		l.correct(had)
	}
	return true
}

// correct takes back an acceptance that was counted when its report came, if it
// was given before what it allowed was used or withdrawn, as WeChat's event shows.
func (l *Ledger) correct(had *LedgerEvent) {
	if had.Touch <= l.EmptiedTouch {
		return // not counted, or taken away since
	}
	switch {
	case had.At.Before(l.EmptiedAt):
	case l.Owed > 0 && had.At.Before(l.OwedAt) && !had.LongTerm:
		l.Owed--
	default:
		return
	}
	had.Touch = 0
	if had.LongTerm {
		_, l.LongTerm = l.acceptedAfter(l.EmptiedAt)
	} else {
		l.Balance = max(l.Balance-1, 0)
	}
	l.Touches++
}

// grant counts an acceptance.
func (l *Ledger) grant(mine *LedgerEvent) Recorded {
	if mine.At.Before(l.EmptiedAt) {
		return Recorded{Result: ConsentStale}
	}
	if !mine.At.Before(l.RefusedAt) {
		l.RefusedAt = time.Time{}
	}
	l.Touches++
	if !mine.LongTerm && l.Owed > 0 && mine.At.Before(l.OwedAt) {
		l.Owed--
		return Recorded{Result: ConsentStale}
	}
	l.Grants++
	l.Known, mine.Touch = true, l.Touches
	if mine.LongTerm {
		l.LongTerm = true
		return Recorded{Result: ConsentCounted, Release: ReleaseAll}
	}
	l.Balance++
	return Recorded{Result: ConsentCounted, Release: 1}
}

// refuse notes a refusal in the dialog: it adds nothing and takes nothing.
func (l *Ledger) refuse(mine *LedgerEvent) ConsentResult {
	if n, longTerm := l.acceptedAfter(mine.At); n > 0 || longTerm || !mine.At.After(l.RefusedAt) {
		return ConsentStale
	}
	l.RefusedAt = mine.At
	return ConsentCounted
}

// withdraw empties the entry of what was allowed before.
func (l *Ledger) withdraw(mine *LedgerEvent) ConsentResult {
	if mine.At.Before(l.EmptiedAt) {
		return ConsentStale
	}
	kept, longTerm := l.acceptedAfter(mine.At)
	if kept == 0 && !longTerm && mine.At.After(l.RefusedAt) {
		l.RefusedAt = mine.At
	}
	l.Known = true
	l.LongTerm = l.LongTerm && longTerm
	l.Balance = min(l.Balance, kept)
	l.Touches++
	l.EmptiedAt, l.EmptiedTouch = mine.At, l.Touches
	l.Owed = 0                // what would pay for it was withdrawn too
	for i := range l.Events { // what is left was counted after what is gone
		if had := &l.Events[i]; had.Touch > 0 && had.At.After(mine.At) {
			l.Touches++
			had.Touch = l.Touches
		}
	}
	return ConsentCounted
}

// acceptedAfter is how many acceptances of a one-time template that still count
// were given after a time, and whether there was a long-term one.
func (l *Ledger) acceptedAfter(at time.Time) (n int, longTerm bool) {
	for _, had := range l.Events {
		switch {
		case had.Touch <= l.EmptiedTouch || !had.At.After(at):
		case had.LongTerm:
			longTerm = true
		default:
			n++
		}
	}
	return n, longTerm
}
