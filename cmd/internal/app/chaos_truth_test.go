package app_test

import (
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// outcome is what became of a scenario's notifications.
type outcome struct {
	scenario                              string
	accepted, sent, dead, expired         int
	sends, second, doubts, unsure, missed int // missed are the lost
	spent                                 int // attempts that the budget counts
	hitAllow, hitAvoid                    int // had a fault of their own
	acted                                 int // times that something was broken
	faults                                []string
	failed                                bool
	took                                  time.Duration
}

// maxFaults is how many faults of a scenario are told.
const maxFaults = 10

func (o *outcome) bad(format string, args ...any) {
	if len(o.faults) < maxFaults {
		o.faults = append(o.faults, fmt.Sprintf(format, args...))
	} else if len(o.faults) == maxFaults {
		o.faults = append(o.faults, "and more")
	}
}

func (o *outcome) verdict() string {
	if o.failed || o.missed > 0 {
		return "FAILED"
	}
	return "ok"
}

// compare holds the store against WeChat's own record of what it was asked and
// what it took.
func (c *chaos) compare(o *outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o.accepted = len(c.accepted)
	calls := map[string][]simulator.Call{}
	for _, call := range c.sim.Calls(0) {
		o.sends++
		calls[call.OpenID] = append(calls[call.OpenID], call)
	}
	for openID := range calls {
		if _, ok := c.accepted[openID]; !ok {
			o.bad("WeChat was asked for an openid that nobody handed in")
		}
	}
	for openID, id := range c.accepted {
		n, attempts, err := c.store.Get(c.t.Context(), id)
		if err != nil {
			o.missed++
			o.bad("%s: accepted, and now: %v", id, err)
			continue
		}
		if c.hits[openID] {
			if n.Duplicates == store.DuplicatesAllow {
				o.hitAllow++
			} else {
				o.hitAvoid++
			}
		}
		o.judge(n, attempts, calls[openID])
	}
	rows, err := c.store.CountByState(c.t.Context(), "")
	total := 0
	for _, k := range rows {
		total += k
	}
	if err != nil || total != o.accepted {
		o.bad("%d rows for %d accepted notifications, %v", total, o.accepted, err)
	}
}

// judge holds one row with its attempts against the calls that WeChat received.
func (o *outcome) judge(n store.Notification, attempts []store.Attempt, calls []simulator.Call) {
	taken, after := 0, 0 // calls that WeChat accepted, and those that came later than the first of them
	for _, call := range calls {
		if taken > 0 {
			after++
		}
		if call.Accepted {
			taken++
		}
	}
	doubtful := 0 // attempts that prove nothing
	for _, a := range attempts {
		if a.Outcome == store.OutcomeInDoubt || a.Outcome == wechat.KindUnsure.String() {
			doubtful++
		}
	}
	o.doubts += n.Doubts
	o.unsure += n.Unsure
	o.spent += n.Spent
	o.second += max(0, taken-1)
	told := func(what string) {
		o.bad("%s, duplicates %s: %s: state %s %s, seq %d, doubts %d, unsure %d, attempts %s; WeChat received %d, accepted %d",
			n.ID, n.Duplicates, what, n.State, n.Reason, n.Seq, n.Doubts, n.Unsure, outcomes(attempts), len(calls), taken)
	}

	switch n.State {
	case store.Sent:
		o.sent++
		if taken == 0 || n.Assumed {
			o.missed++
			told("sent, but WeChat did not accept it")
		}
	case store.Dead:
		o.dead++
		unknown := n.Reason == store.ReasonInDoubt || n.Reason == store.ReasonBudget && n.Unsure > 0
		switch {
		case !unknown || n.Class != store.ClassFault:
			told("dead without a doubt")
		case doubtful == 0 || n.Doubts+n.Unsure == 0:
			told("dead, with no doubt on record")
		case n.Duplicates == store.DuplicatesAllow && n.Doubts+n.Unsure < 2:
			told("dead without the one more attempt that its policy allows")
		}
	case store.Expired:
		o.expired++
		told("nothing here is old enough")
	case store.Queued, store.Sending, store.Retrying, store.InDoubt, store.Waiting, store.Cancelled:
		o.missed++
		told("not in a final state that this load can have")
	}
	switch {
	case n.Duplicates == store.DuplicatesAvoid && after > 0:
		told("asked again after WeChat had accepted it")
	case taken > 1+min(doubtful, n.Doubts+n.Unsure):
		told("accepted more often than doubts are on record")
	}
	if len(calls) > len(attempts) {
		told("a call is not on record")
	}
}

func outcomes(attempts []store.Attempt) []string {
	list := make([]string, len(attempts))
	for i, a := range attempts {
		list[i] = a.Outcome
	}
	return list
}
