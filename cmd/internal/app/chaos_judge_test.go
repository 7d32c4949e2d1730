package app_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// The judge of the chaos suite finds what the suite is there to find.
func TestJudge(t *testing.T) {
	t.Parallel()
	ok, doubt, unsure := wechat.KindOK.String(), store.OutcomeInDoubt, wechat.KindUnsure.String()
	const yes, no = true, false // a call was accepted or not
	allow, avoid := store.DuplicatesAllow, store.DuplicatesAvoid
	sent := func(d store.Duplicates, doubts, unsure int) store.Notification {
		return store.Notification{State: store.Sent, Duplicates: d, Doubts: doubts, Unsure: unsure}
	}
	dead := func(d store.Duplicates, r store.Reason, doubts, unsure int) store.Notification {
		return store.Notification{State: store.Dead, Class: store.ClassFault, Reason: r, Duplicates: d, Doubts: doubts, Unsure: unsure}
	}
	cases := []struct {
		name     string
		row      store.Notification
		attempts []string
		calls    []bool
		fault    string // part of it; "" for none
		lost     int
	}{
		{"sent", sent(avoid, 0, 0), []string{ok}, []bool{yes}, "", 0},
		{"sent by the next attempt", sent(avoid, 0, 0), []string{"throttled", ok}, []bool{no, yes}, "", 0},
		{"sent by nobody", sent(allow, 0, 0), []string{ok}, []bool{no}, "did not accept", 1},
		{"assumed", store.Notification{State: store.Sent, Assumed: true}, []string{ok}, []bool{yes}, "did not accept", 1},
		{"left behind", store.Notification{State: store.Queued}, nil, nil, "not in a final state", 1},
		{"expired", store.Notification{State: store.Expired}, nil, nil, "old enough", 0},

		{"twice after a doubt", sent(allow, 1, 0), []string{doubt, ok}, []bool{yes, yes}, "", 0},
		{"twice after an unsure answer", sent(allow, 0, 1), []string{unsure, ok}, []bool{yes, yes}, "", 0},
		{"twice without a doubt", sent(allow, 0, 0), []string{ok, ok}, []bool{yes, yes}, "more often", 0},
		{"twice, the row knows no doubt", sent(allow, 0, 0), []string{doubt, ok}, []bool{yes, yes}, "more often", 0},
		{"twice, no attempt in doubt", sent(allow, 1, 0), []string{ok, ok}, []bool{yes, yes}, "more often", 0},
		{"three times after one doubt", sent(allow, 1, 0), []string{doubt, ok, ok}, []bool{yes, yes, yes}, "more often", 0},
		{"twice where it must not", sent(avoid, 1, 0), []string{doubt, ok}, []bool{yes, yes}, "asked again", 0},
		{"asked again where it must not", sent(avoid, 1, 0), []string{doubt, "throttled"}, []bool{yes, no}, "asked again", 0},

		{"dead in doubt", dead(avoid, store.ReasonInDoubt, 1, 0), []string{doubt}, []bool{yes}, "", 0},
		{"dead after two doubts", dead(allow, store.ReasonInDoubt, 2, 0), []string{doubt, doubt}, []bool{yes, no}, "", 0},
		{"dead after one where two may be", dead(allow, store.ReasonInDoubt, 1, 0), []string{doubt}, []bool{no}, "one more attempt", 0},
		{"dead without a doubt on record", dead(avoid, store.ReasonInDoubt, 1, 0), []string{ok}, []bool{no}, "no doubt on record", 0},
		{"dead for another reason", dead(allow, store.ReasonRejected, 0, 0), []string{"rejected"}, []bool{no}, "dead without a doubt", 0},
		{"a call that is not on record", sent(allow, 0, 0), []string{ok}, []bool{no, yes}, "not on record", 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.row.ID = uuid.New()
			attempts := make([]store.Attempt, len(c.attempts))
			for i, kind := range c.attempts {
				attempts[i].Outcome = kind
			}
			calls := make([]simulator.Call, len(c.calls))
			for i, accepted := range c.calls {
				calls[i].Accepted = accepted
			}
			o := &outcome{}
			o.judge(c.row, attempts, calls)
			got := strings.Join(o.faults, "\n")
			if o.missed != c.lost || (got == "") != (c.fault == "") || !strings.Contains(got, c.fault) {
				t.Errorf("lost %d, faults %q; want %d and %q", o.missed, got, c.lost, c.fault)
			}
		})
	}
}
