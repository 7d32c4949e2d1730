package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Pauses between two looks at what has not ended. A send takes some 100 ms, so
// the first look is early; a look over many ids is repeated the more rarely the
// longer it takes, so that waiting costs the database a fifth of a connection
// at most.
const (
	firstLookPause = 50 * time.Millisecond
	mostLookPause  = time.Second
	lookShare      = 4
)

// lookPage is how many ids one look asks for.
const lookPage = 1000

// ending is how a notification ended, or how it stands when the wait is over.
type ending struct {
	Class    store.Class  `json:"class,omitempty"`
	Reason   store.Reason `json:"reason,omitempty"`
	Errcode  int          `json:"errcode"`
	Errmsg   string       `json:"errmsg,omitempty"`
	Field    string       `json:"field,omitempty"`
	Meaning  string       `json:"meaning,omitempty"` // of errcode
	Do       string       `json:"do,omitempty"`
	Assumed  bool         `json:"assumed,omitempty"`
	MsgID    int64        `json:"msgid,omitempty,string"` // above 2^53, which a JSON number may not survive
	RID      string       `json:"rid,omitempty"`
	Attempts int          `json:"attempts"`
	Latency  int64        `json:"latency_ms,omitempty"` // of the last attempt
}

// waitForOne waits for the end of one notification and explains it.
func (p *program) waitForOne(ctx context.Context, s *sender, m sentMessage, f *sendFlags) error {
	waitErr := s.await(ctx, f.wait, []uuid.UUID{m.ID}, func(uuid.UUID, standing) {})
	// What happened is asked for once more, also when the wait was cut short.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLookTimeout)
	defer cancel()
	n, attempts, err := s.store.Get(ctx, m.ID)
	if err != nil {
		return errors.Join(p.printAccepted(m, f.asJSON), fmt.Errorf("accepted, but what became of it cannot be read: %w", err))
	}
	m.State, m.ending = n.State, newEnding(n, attempts)
	if f.asJSON {
		err = p.printJSON(m)
	} else {
		err = p.print(m.text())
	}
	switch {
	case err != nil:
		return err
	case n.State == store.Sent:
		return nil
	case n.State.Final():
		return fmt.Errorf("not sent: %s", n.State)
	case waitErr != nil:
		return waitErr
	}
	return fmt.Errorf("not sent within %s: %s", f.wait, n.State)
}

// lastLookTimeout bounds the question after the wait.
const lastLookTimeout = 5 * time.Second

// standing is what is remembered of a notification while waiting for many.
type standing struct {
	state   store.State
	class   store.Class
	reason  store.Reason
	errcode int
}

// await looks at ids until all have ended or wait is over. It hands see each
// one that ended, and at last how the others stand. The error is that of ctx,
// or of the store when it told nothing of some of them.
func (s *sender) await(ctx context.Context, wait time.Duration, ids []uuid.UUID, see func(uuid.UUID, standing)) error {
	waitCtx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	open, latest := ids, make(map[uuid.UUID]standing)
	var lookErr error
	for pause := firstLookPause; waitCtx.Err() == nil; pause = min(2*pause, mostLookPause) {
		start := time.Now()
		open, lookErr = s.look(waitCtx, open, latest, see)
		if len(open) == 0 {
			return nil
		}
		select {
		case <-time.After(max(pause, lookShare*time.Since(start))):
		case <-waitCtx.Done():
		}
	}
	untold := false
	for _, id := range open {
		at, told := latest[id]
		if told {
			see(id, at)
		}
		untold = untold || !told
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case untold:
		return lookErr
	}
	return nil
}

// look asks once for all of ids and returns those that have not ended. One
// whose row is gone has.
func (s *sender) look(ctx context.Context, ids []uuid.UUID, latest map[uuid.UUID]standing, see func(uuid.UUID, standing)) (open []uuid.UUID, err error) {
	for page := range slices.Chunk(ids, lookPage) {
		looks, pageErr := s.store.Look(ctx, page)
		if pageErr != nil {
			err = pageErr
			open = append(open, page...)
			continue
		}
		for _, l := range looks {
			at := standing{l.State, l.Class, l.Reason, l.Errcode}
			if l.State.Final() {
				delete(latest, l.ID)
				see(l.ID, at)
				continue
			}
			latest[l.ID] = at
			open = append(open, l.ID)
		}
	}
	return open, err
}

// newEnding says how a notification stands, and what to do about it.
func newEnding(n store.Notification, attempts []store.Attempt) *ending {
	e := &ending{
		Class: n.Class, Reason: n.Reason, Errcode: n.Errcode, Errmsg: n.Errmsg, Field: n.Field,
		Assumed: n.Assumed, MsgID: n.MsgID, Attempts: len(attempts),
	}
	if len(attempts) > 0 {
		last := attempts[len(attempts)-1]
		e.RID, e.Latency = last.RID, last.Latency.Milliseconds()
	}
	if n.State == store.Sent {
		return e
	}
	if n.Errcode != 0 {
		row, _ := wechat.LookupErrcode(n.Errcode)
		e.Meaning, e.Do = row.Meaning, row.Do
		if strings.HasSuffix(e.Do, replayAdvice) {
			e.Do += ": wxnotify dead show " + n.ID.String() + " says how"
		}
	}
	if e.Do == "" {
		e.Do = whatToDo(n.State, n.Reason)
	}
	return e
}

// whatToDo is the advice where an errcode gives none.
func whatToDo(state store.State, reason store.Reason) string {
	switch reason {
	case store.ReasonUnbound:
		return "bind the user: wxnotify users bind USER OPENID"
	case store.ReasonNotSubscribed, store.ReasonNoConsent:
		return "the user has to subscribe again, with a tap in the Mini Program"
	case store.ReasonInDoubt:
		return "nobody knows whether WeChat took it: look at the phone before sending again"
	case store.ReasonTemplatePaused:
		return "correct the template, then wxnotify templates resume TEMPLATE"
	case store.ReasonOnlyTo:
		return "the app's only_to list leaves this addressee out"
	case store.ReasonTooOld:
		return "give it a later --expires-at, and see what kept it from being sent"
	case store.ReasonBudget:
		return "WeChat was busy at every attempt: send again later"
	case store.ReasonDeadline:
		return "the task's own deadline went by on the queue: see whether workers keep up"
	case store.ReasonMalformed, store.ReasonUnknownType, store.ReasonUnknownApp, store.ReasonRowMissing:
		return "see what put the task on the queue"
	case store.ReasonTemplate, store.ReasonPage, store.ReasonBadAddress, store.ReasonRejected, store.ReasonUnknownCode:
		return "correct what errmsg names, and send again"
	case store.ReasonQuietHours:
		return "these are its template's quiet hours: it is sent after them"
	case store.ReasonNone, store.ReasonErased, store.ReasonByAdmin:
	}
	switch state {
	case store.Queued:
		return "no worker took it: is wxnotify worker running, with the same REDIS_URL and apps? wxnotify doctor tells more"
	case store.Retrying, store.Sending, store.InDoubt, store.Waiting:
		return "it is not over: a worker goes on with it"
	case store.Sent, store.Dead, store.Expired, store.Cancelled:
	}
	return ""
}

// text is m for people.
func (m sentMessage) text() string {
	e := m.ending
	duplicate, assumed, attempts := "", "", ""
	if m.Duplicate {
		duplicate = "accepted before, with this ref"
	}
	if e.Assumed {
		assumed = "concluded from a doubt: no answer of WeChat says so"
	}
	if e.Attempts > 0 {
		attempts = fmt.Sprintf("%d, the last took %d ms", e.Attempts, e.Latency)
	}
	return facts(fmt.Sprintf("%s  %s", m.State, m.ID), [][2]string{
		{"duplicate", duplicate},
		{"class", string(e.Class)},
		{"reason", string(e.Reason)},
		{"errcode", number(int64(e.Errcode))},
		{"errmsg", e.Errmsg},
		{"field", e.Field},
		{"meaning", e.Meaning},
		{"do", e.Do},
		{"assumed", assumed},
		{"msgid", number(e.MsgID)},
		{"rid", e.RID},
		{"attempts", attempts},
	})
}
