package simulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestFaultAnswers(t *testing.T) {
	t.Parallel()
	type fault = simulator.Fault
	for name, tc := range map[string]struct {
		fault fault
		// errmsg is wanted with the fault's errcode, if there is one; ok is asked
		// otherwise.
		errmsg string
		ok     func(result) bool
	}{
		"errcode":                           {fault{Action: simulator.ActErrcode, Errcode: -1}, "system error", nil},
		"errcode with its own wording":      {fault{Action: simulator.ActErrcode, Errcode: 47003, Errmsg: "argument invalid! data.thing2.value i"}, "argument invalid! data.thing2.value i", nil},
		"47003 names a key of the template": {fault{Action: simulator.ActErrcode, Errcode: 47003}, "argument invalid! data.thing1.value invalid", nil},
		"undocumented errcode":              {fault{Action: simulator.ActErrcode, Errcode: 1700}, "unknown error", nil},
		"errcode as string": {fault{Action: simulator.ActErrcode, Errcode: 40001, AsString: true}, "", func(r result) bool {
			return strings.HasPrefix(string(r.body), `{"errcode":"40001",`)
		}},
		"502": {fault{Action: simulator.ActStatus, Status: 502}, "", func(r result) bool {
			return r.status == 502 && r.header.Get("Content-Type") == "text/html" && strings.Contains(string(r.body), "502 Bad Gateway")
		}},
		"503": {fault{Action: simulator.ActStatus, Status: 503, RetryAfter: 7 * time.Second, Header: map[string]string{"X-A": "b"}}, "", func(r result) bool {
			return r.status == 503 && r.header.Get("Retry-After") == "7" && r.header.Get("X-A") == "b"
		}},
		"412": {fault{Action: simulator.ActStatus, Status: 412}, "", func(r result) bool {
			return r.status == 412 && len(r.body) == 0
		}},
		"own body": {fault{Action: simulator.ActStatus, Status: 500, Body: "x"}, "", func(r result) bool {
			return r.status == 500 && string(r.body) == "x"
		}},
		"200 with HTML": {fault{Action: simulator.ActStatus, Status: 200}, "", func(r result) bool {
			return r.status == 200 && strings.HasPrefix(string(r.body), "<html>")
		}},
		"empty": {fault{Action: simulator.ActEmpty}, "", func(r result) bool {
			return r.status == 200 && len(r.body) == 0 && r.err == nil
		}},
		"complete answer with half a JSON text": {fault{Action: simulator.ActTruncated}, "", func(r result) bool {
			return r.err == nil && strings.HasPrefix(string(r.body), "{") && !json.Valid(r.body)
		}},
		"half an answer": {fault{Action: simulator.ActCut}, "", func(r result) bool {
			return r.status == 200 && (errors.Is(r.err, io.ErrUnexpectedEOF) || errors.Is(r.err, syscall.ECONNRESET))
		}},
		"long valid JSON": {fault{Action: simulator.ActLong, Size: 1 << 20}, "", func(r result) bool {
			return len(r.body) > 1<<20 && json.Valid(r.body) && r.err == nil
		}},
		"drop": {fault{Action: simulator.ActDrop}, "", func(r result) bool {
			return errors.Is(r.err, syscall.ECONNRESET)
		}},
	} {
		for _, after := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " after accepting"}[after], func(t *testing.T) {
				t.Parallel()
				c := start(t, simulator.Config{})
				c.accept(alice, simulator.SeedReview, 2)
				token := c.token()
				f := tc.fault
				f.API, f.After, f.Count = simulator.APISend, after, 1
				c.fault(f)
				r := c.send(token, review(alice))
				if tc.ok == nil {
					r.want(t, tc.fault.Errcode)
					if got := trimRID(t, r, " "); got != tc.errmsg {
						t.Errorf("got errmsg %q, want %q", got, tc.errmsg)
					}
				} else if !tc.ok(r) {
					t.Errorf("got status %d, headers %v, body %.200q, err %v", r.status, r.header, r.body, r.err)
				}
				c.send(token, review(alice)).want(t, 0)

				calls := c.sim.Calls(0)
				if len(calls) != 2 || calls[0].Accepted != after || calls[0].Fault != f.Action || !calls[1].Accepted || calls[1].Fault != "" {
					t.Errorf("got truth %+v, want two calls, the first with the fault and accepted %t", calls, after)
				}
				left, _ := c.sim.Balance("", alice, simulator.SeedReview)
				if want := map[bool]int{false: 1, true: 0}[after]; left != want {
					t.Errorf("got balance %d, want %d", left, want)
				}
			})
		}
	}
}

func TestFaultsChoose(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{Seed: 3})
	c.accept(alice, simulator.SeedReport, 1)
	c.accept(alice, simulator.SeedReview, 1000)
	c.accept(bob, simulator.SeedReport, 1)
	token := c.token()
	errcode := func(f simulator.Fault, code int) int {
		f.Action, f.Errcode = simulator.ActErrcode, code
		return c.fault(f)
	}
	want := func(m message, code int) {
		t.Helper()
		c.send(token, m).want(t, code)
	}

	errcode(simulator.Fault{OpenID: bob}, 1)
	errcode(simulator.Fault{TemplateID: simulator.SeedReview}, 2)
	want(report(bob), 1)
	want(review(alice), 2)
	want(report(alice), 0)
	c.stable(false).want(t, 0)
	c.sim.ClearFaults()

	errcode(simulator.Fault{API: simulator.APIStableToken, AppID: app.AppID}, 3)
	errcode(simulator.Fault{AppID: "wx0"}, 4)
	want(report(alice), 0)
	c.stable(false).want(t, 3)
	c.sim.ClearFaults()

	errcode(simulator.Fault{Skip: 1, Count: 2}, 5)
	later := errcode(simulator.Fault{}, 6)
	for _, code := range []int{6, 5, 5, 6, 6} {
		want(report(alice), code)
	}
	if got := c.sim.Faults(); len(got) != 1 || got[0].ID != later || got[0].Applied != 3 {
		t.Errorf("got faults %+v, want the one that has not run out, applied three times", got)
	}
	if !c.sim.RemoveFault(later) || c.sim.RemoveFault(later) {
		t.Error("a fault can be removed once")
	}
	want(report(alice), 0)

	errcode(simulator.Fault{Rate: 0.25}, 7)
	hits := 0
	for range 400 {
		if c.send(token, review(alice)).Errcode == 7 {
			hits++
		}
	}
	if hits < 70 || hits > 130 {
		t.Errorf("a rate of 0.25 hit %d of 400 calls", hits)
	}
}

func TestHangUntilTheClientGivesUp(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		c := start(t, simulator.Config{})
		c.accept(alice, simulator.SeedReport, 1)
		token := c.token()
		c.fault(simulator.Fault{API: simulator.APISend, Count: 1, Action: simulator.ActHang, After: after})
		ctx, cancel := context.WithCancel(t.Context())
		call := c.goSend(ctx, token, report(alice))
		c.await("the hanging call", func(s simulator.State) bool { return s.Hanging == 1 })
		if got := c.sim.Tally("", alice, simulator.SeedReport).Accepted == 1; got != after {
			t.Errorf("after %t: accepted while hanging %t", after, got)
		}
		cancel()
		if r := <-call; !errors.Is(r.err, context.Canceled) {
			t.Errorf("after %t: got %v, want the client's own cancellation", after, r.err)
		}
		c.await("the end of the call", func(s simulator.State) bool { return s.InFlight == 0 })
		calls := c.sim.Calls(0)
		if len(calls) != 1 || calls[0].Accepted != after || calls[0].Fault != simulator.ActHang {
			t.Errorf("after %t: got truth %+v", after, calls)
		}
	}
}

func TestHangUntilReleased(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		c := start(t, simulator.Config{})
		c.accept(alice, simulator.SeedReport, 1)
		token := c.token()
		c.fault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, After: after})
		call := c.goSend(t.Context(), token, report(alice))
		c.await("the hanging call", func(s simulator.State) bool { return s.Hanging == 1 })
		c.sim.Release()
		(<-call).want(t, 0)
		if got := c.sim.State(); got.Accepted != 1 || got.Sends != 1 || got.Hanging != 0 {
			t.Errorf("after %t: got %+v", after, got)
		}
		// Close must not wait for a call that hangs.
		last := c.goSend(t.Context(), token, report(alice))
		c.await("the second hanging call", func(s simulator.State) bool { return s.Hanging == 1 })
		c.sim.Close()
		(<-last).want(t, 0)
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	const step = 30 * time.Millisecond
	c := start(t, simulator.Config{Latency: step})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()
	c.fault(simulator.Fault{API: simulator.APISend, Count: 1, Action: simulator.ActLatency, Latency: step})
	c.fault(simulator.Fault{API: simulator.APISend, Count: 1, Action: simulator.ActErrcode, Errcode: -1})
	took := func(errcode int) time.Duration {
		begin := time.Now()
		c.send(token, report(alice)).want(t, errcode)
		return time.Since(begin)
	}
	if got := took(-1); got < 2*step {
		t.Errorf("a latency fault on top of another took %s, want at least %s", got, 2*step)
	}
	if got := took(0); got < step {
		t.Errorf("took %s, want at least %s", got, step)
	}

	// Who gives up during the latency has sent all the same.
	c.sim.SetLatency(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	call := c.goSend(ctx, token, report(alice))
	c.await("the slow call", func(s simulator.State) bool { return s.InFlight == 1 })
	cancel()
	<-call
	c.await("the end of the call", func(s simulator.State) bool { return s.InFlight == 0 && s.Accepted == 2 })
}

func TestFaultIsChecked(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	for name, f := range map[string]simulator.Fault{
		"no action":            {},
		"unknown action":       {Action: "explode"},
		"unknown API":          {API: "x", Action: simulator.ActDrop},
		"rate above one":       {Action: simulator.ActDrop, Rate: 1.5},
		"negative count":       {Action: simulator.ActDrop, Count: -1},
		"status missing":       {Action: simulator.ActStatus},
		"latency missing":      {Action: simulator.ActLatency},
		"an event cannot hang": {API: simulator.APIEvent, Action: simulator.ActHang},
	} {
		if _, err := c.sim.AddFault(f); err == nil {
			t.Errorf("%s: the fault was taken", name)
		}
	}
	if diff := cmp.Diff([]simulator.FaultState{}, c.sim.Faults()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}
