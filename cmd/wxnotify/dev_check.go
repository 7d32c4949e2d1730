package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// check fills faults: what the store says against what should be, and against
// what the simulated WeChat saw since start. fresh: no earlier process had a
// hand in it, so every call is known.
func (r *sampleResult) check(fresh bool, start time.Time, calls []simulator.Call) {
	bad := func(what string, got, want any) {
		if got != want {
			r.faults = append(r.faults, fmt.Sprintf("%s is %v, should be %v", what, got, want))
		}
	}
	if r.err != nil || !r.handedIn() {
		r.faults = append(r.faults, "it was not accepted")
		return
	}
	want := r.expected(r.row)
	bad("state", r.row.State, want.state)
	bad("class", r.row.Class, want.class)
	bad("reason", r.row.Reason, want.reason)
	bad("errcode", r.row.Errcode, want.errcode)
	bad("field", r.row.Field, want.field)
	if fresh {
		bad("answers", r.answersText(), r.answers)
	}

	calls = slices.DeleteFunc(slices.Clone(calls), func(c simulator.Call) bool {
		return c.OpenID != r.user.openID() || c.TemplateID != r.n.TemplateID || c.Page != r.n.Page
	})
	now := slices.DeleteFunc(slices.Clone(r.attempts), func(a store.Attempt) bool { return a.At.Before(start) })
	bad("number of calls that WeChat saw", len(calls), len(now))
	sentNow := r.row.State == store.Sent && len(now) > 0
	accepted := 0
	for _, c := range calls {
		if c.Accepted {
			accepted++
			bad("msgid", r.row.MsgID, c.MsgID)
		}
	}
	if sentNow {
		bad("number of messages that WeChat accepted", accepted, 1)
	} else {
		bad("number of messages that WeChat accepted", accepted, 0)
	}
}

// answersText is what WeChat answered, call by call.
func (r *sampleResult) answersText() string {
	answers := make([]string, len(r.attempts))
	for i, a := range r.attempts {
		answers[i] = a.Outcome
		if a.Errcode != 0 {
			answers[i] = strconv.Itoa(a.Errcode)
		}
	}
	return strings.Join(answers, ", ")
}
