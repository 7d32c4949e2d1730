package wechat

import (
	"context"
	"fmt"
	"slices"
)

// Verdict says what became of checking an Assumption.
type Verdict string

// The verdicts.
const (
	VerdictHeld      Verdict = "held"
	VerdictBroken    Verdict = "did not hold"
	VerdictUnchecked Verdict = "not checked"
)

// Assumption is something that WeChat's documentation leaves open, or that only
// others have observed, and that this package or those who use it go by.
type Assumption struct {
	// Name identifies it for programs.
	Name string `json:"name"`
	// Says is what is taken for granted.
	Says string `json:"says"`
	// Needed: wxnotify reacts wrongly when it does not hold. The others cost
	// speed, precision or convenience at most.
	Needed bool `json:"needed"`
	// Broken is what it means when it does not hold, and what to do.
	Broken string `json:"-"`
	// unchecked is why it was not checked, unless a probe says something better.
	unchecked string
}

// Observation is what one run saw of an Assumption. Its texts hold no token, no
// secret and no openid.
type Observation struct {
	Assumption
	Verdict  Verdict `json:"result"`
	Observed string  `json:"observed"`
	// Err is the answer that the verdict rests on, nil when there is none.
	Err *Error `json:"-"`
}

// Probe says with what CheckAssumptions may ask.
type Probe struct {
	// App is asked for; its secret goes to the token endpoints and to
	// jscode2session, as always.
	App App
	// Code is a fresh code of wx.login, which is used up; "" leaves out what needs
	// one.
	Code string
	// Message is whom and with what template to send to, page, state and language
	// included; its Data is not used. The addressee must have agreed: one message
	// at most is delivered, and the consent for it is used up. A zero Message
	// leaves out what needs one.
	Message Message
}

// CheckAssumptions asks WeChat what can be asked without harm and returns an
// observation for every assumption, in a fixed order. It changes nothing at
// WeChat but what Probe allows: no token is rotated, no quota cleared, and
// nothing is sent but to Probe.Message's addressee. It makes some ten calls, of
// which one to gettemplate, whose daily quota is small.
func (c *Client) CheckAssumptions(ctx context.Context, with Probe) []Observation {
	p := &prober{client: c, with: with, seen: map[string]Observation{}}
	p.checkWire(ctx)
	if p.checkTokens(ctx) {
		p.checkQuotas(ctx)
		p.checkTemplates(ctx)
		p.checkRefusals(ctx)
		p.checkMessage(ctx)
	}
	p.checkLogin(ctx)
	p.judgeAnswers()

	list := make([]Observation, 0, len(assumptions))
	for _, a := range assumptions {
		o, ok := p.seen[a.Name]
		if !ok {
			o = Observation{Verdict: VerdictUnchecked, Observed: a.unchecked}
		}
		o.Assumption = a
		list = append(list, o)
	}
	return list
}

// prober is one run. Its calls come one after the other.
type prober struct {
	client    *Client
	with      Probe
	token     string
	templates []Template
	answers   []probed // every answer, for what can be learned from any
	seen      map[string]Observation
}

// probed is an answer and what it was to.
type probed struct {
	api API
	answer
}

// ask makes one call as the client does, and keeps the answer.
func (p *prober) ask(ctx context.Context, r request) (answer, *Error) {
	ctx, cancel := context.WithTimeout(ctx, p.client.timeout)
	defer cancel()
	a, callErr := p.client.exchange(ctx, r)
	if callErr != nil {
		return a, callErr
	}
	callErr = a.judge(&r)
	p.answers = append(p.answers, probed{r.api, a})
	return a, callErr
}

func (p *prober) held(name, format string, args ...any) {
	p.seen[name] = Observation{Verdict: VerdictHeld, Observed: fmt.Sprintf(format, args...)}
}

func (p *prober) broken(name, format string, args ...any) {
	p.seen[name] = Observation{Verdict: VerdictBroken, Observed: fmt.Sprintf(format, args...)}
}

func (p *prober) unchecked(name, format string, args ...any) {
	p.seen[name] = Observation{Verdict: VerdictUnchecked, Observed: fmt.Sprintf(format, args...)}
}

// verdict is held for true.
func (p *prober) verdict(name string, held bool, format string, args ...any) {
	if held {
		p.held(name, format, args...)
		return
	}
	p.broken(name, format, args...)
}

// either is verdict with the words for both.
func (p *prober) either(name string, held bool, yes, no string) {
	if held {
		p.held(name, "%s", yes)
		return
	}
	p.broken(name, "%s", no)
}

// refusal judges an answer that should be a refusal of one of the kinds. What
// only says that now is not the time, or that the app may not call at all,
// proves nothing about it.
func (p *prober) refusal(name string, e *Error, kinds ...Kind) {
	switch {
	case e == nil:
		p.broken(name, "errcode 0")
		return
	case slices.Contains(kinds, e.Kind):
		p.held(name, "%s", e.observed())
	case e.says():
		p.broken(name, "%s", e.observed())
	default:
		p.unchecked(name, "%s", e.observed())
	}
	o := p.seen[name]
	o.Err = e
	p.seen[name] = o
}

// says reports whether the answer is about what was asked, and not about when or
// by whom.
func (e *Error) says() bool {
	switch e.Kind {
	case KindOK, KindTemplate, KindPage, KindRefused, KindBadAddress, KindRejected, KindBadCode, KindUnknown:
		return true
	case KindUnreachable, KindBusy, KindUnsure, KindInDoubt, KindConcurrent, KindBadToken, KindThrottled,
		KindThrottledDay, KindOpenIDThrottled, KindAccount:
	}
	return false
}

// observed is the error in a few words. WeChat's own text is left out where the
// table has better words, except where it tells what the table cannot.
func (e *Error) observed() string {
	row, known := LookupErrcode(e.Code)
	switch {
	case e.Code == 0 && e.HTTPStatus != 0 && e.HTTPStatus != 200:
		return fmt.Sprintf("HTTP %d: %s", e.HTTPStatus, e.Msg)
	case e.Code == 0:
		return e.Kind.String() + ": " + e.Msg
	case !known || e.Code == 40164:
		return fmt.Sprintf("errcode %d: %s", e.Code, e.Msg)
	}
	return fmt.Sprintf("errcode %d, %s", e.Code, row.Meaning)
}
