package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// sentResult is a sample that ended as it should, with the call that WeChat saw.
func sentResult(start time.Time) (*sampleResult, []simulator.Call) {
	s := samples()[0]
	r := &sampleResult{
		sample:   s,
		accepted: producer.Accepted{ID: uuid.New()},
		row:      store.Notification{State: store.Sent, MsgID: 7},
		attempts: []store.Attempt{{N: 1, At: start.Add(time.Second), Outcome: "ok", MsgID: 7}},
	}
	return r, []simulator.Call{{
		OpenID: s.user.openID(), TemplateID: s.n.TemplateID, Page: s.n.Page, Accepted: true, MsgID: 7,
	}}
}

func TestCheckFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, tc := range []struct {
		name   string
		change func(*sampleResult, *[]simulator.Call)
		want   string // in the only fault; "" for none
	}{
		{"nothing", func(*sampleResult, *[]simulator.Call) {}, ""},
		{"calls of others", func(_ *sampleResult, c *[]simulator.Call) {
			*c = append(*c, simulator.Call{OpenID: "other", Accepted: true}, simulator.Call{OpenID: (*c)[0].OpenID, Accepted: true})
		}, ""},
		{"not accepted", func(r *sampleResult, _ *[]simulator.Call) { r.accepted.ID = uuid.Nil }, "not accepted"},
		{"not at its end", func(r *sampleResult, c *[]simulator.Call) {
			r.row.State, (*c)[0].Accepted = store.Retrying, false
		}, "state is retrying, should be sent"},
		{"another way", func(r *sampleResult, _ *[]simulator.Call) { r.attempts[0].Errcode = 45011 }, "answers is 45011, should be ok"},
		{"claimed, never called", func(_ *sampleResult, c *[]simulator.Call) { *c = nil }, "number of calls"},
		{"sent twice", func(r *sampleResult, c *[]simulator.Call) {
			r.attempts = append(r.attempts, r.attempts[0])
			r.answers = "ok, ok"
			*c = append(*c, (*c)[0])
		}, "messages that WeChat accepted is 2, should be 1"},
		{"another message", func(_ *sampleResult, c *[]simulator.Call) { (*c)[0].MsgID = 8 }, "msgid is 7, should be 8"},
		{"sent earlier, and again now", func(r *sampleResult, _ *[]simulator.Call) { r.attempts[0].At = start.Add(-time.Hour) }, "should be 0"},
		{"a doubt that was not resent although it may be", func(r *sampleResult, c *[]simulator.Call) {
			r.row.Doubts, r.row.State, (*c)[0].Accepted = 1, store.Dead, false
		}, "state is dead, should be sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, calls := sentResult(start)
			tc.change(r, &calls)
			r.check(true, start, calls)
			faults := strings.Join(r.faults, "; ")
			if (tc.want == "") != (faults == "") || !strings.Contains(faults, tc.want) {
				t.Errorf("got %q, want %q in it", faults, tc.want)
			}
		})
	}
}

func TestExpectedAfterADoubt(t *testing.T) {
	t.Parallel()
	doubt := store.Notification{Doubts: 1}
	for _, s := range samples() {
		got := s.expected(doubt)
		switch {
		case s.n.Duplicates == store.DuplicatesAvoid, s.refused:
			if got.state != store.Dead || got.reason != store.ReasonInDoubt {
				t.Errorf("%s: got %+v, want dead, in doubt", s.title, got)
			}
		case got != s.want:
			t.Errorf("%s: got %+v, want %+v: it may be sent again", s.title, got, s.want)
		}
	}
}

// The check finds a sample's calls by user and template.
func TestSamplesDoNotShareUserAndTemplate(t *testing.T) {
	t.Parallel()
	seen, refs := map[[2]string]bool{}, map[string]bool{}
	for _, s := range samples() {
		key := [2]string{s.user.id, s.n.TemplateID}
		if seen[key] || refs[s.n.Ref] {
			t.Errorf("%s: user and template, or the ref, are another sample's", s.title)
		}
		seen[key], refs[s.n.Ref] = true, true
	}
}
