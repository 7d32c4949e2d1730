package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// timing is every delay of the reactions; tests shorten it.
type timing struct {
	// backoff is the wait after the n-th attempt that the budget counts: eight
	// attempts span about two hours.
	backoff []time.Duration
	// unknown is the wait after the n-th unknown errcode; after the last: dead.
	unknown []time.Duration
	// unreachable is the wait of one message that reached nobody.
	unreachable time.Duration
	// again is the wait of a message whose app was paused by its answer: no
	// longer than needed, since the pause itself holds it back.
	again time.Duration
	// concurrent is the least wait after 43108; up to three times as much.
	concurrent time.Duration

	// Probe intervals of the app's pauses.
	probeUnreachable time.Duration
	probeAccount     time.Duration
	probeToken       time.Duration // no usable token, or the token endpoint is sick
	probeDay         time.Duration
}

func defaultTiming() timing {
	return timing{
		backoff: []time.Duration{
			10 * time.Second, 30 * time.Second, 90 * time.Second, 5 * time.Minute,
			15 * time.Minute, 30 * time.Minute, time.Hour,
		},
		unknown:          []time.Duration{10 * time.Minute, 30 * time.Minute},
		unreachable:      5 * time.Second,
		again:            time.Second,
		concurrent:       time.Second,
		probeUnreachable: 10 * time.Second,
		probeAccount:     time.Minute,
		probeToken:       30 * time.Second,
		probeDay:         15 * time.Minute,
	}
}

const (
	// unreachableLimit calls in a row that reached nobody pause the app.
	unreachableLimit = 20
	// scopeFaults without a success between pause a template or rest a page.
	scopeFaults = 3
)

// jitter spreads d by a fifth either way, so that what failed together does not
// come back together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // spreads load, guards nothing
}

// plan is what one answer leads to.
type plan struct {
	settlement store.Settlement
	app        outcome
	again      bool // one second call at once
	do         string
}

// react is the one switch from the kind of an answer to the reaction. Pauses of
// the app take effect before it returns, so before the slot of the call is free,
// and whether or not ctx is over.
func (w *Worker) react(ctx context.Context, app *app, n *store.Look, a *answered, permit *permit) (p plan) {
	e := a.err
	if e == nil {
		e = &wechat.Error{API: wechat.APISend, Kind: wechat.KindOK}
	}
	row, _ := wechat.LookupErrcode(e.Code)
	p.app, p.do = appWorks, row.Do
	p.settlement.Field = e.Field
	at := &p.settlement.Attempt
	at.At, at.Latency, at.Errcode, at.Errmsg, at.RID = a.at, a.latency, e.Code, e.Msg, e.RID
	at.MsgID, at.Outcome = a.receipt.MsgID, e.Kind.String()
	if a.err == nil {
		at.RID = a.receipt.RID
	}
	if e.Kind != wechat.KindUnreachable {
		app.unreachable.Store(0)
	}
	app.addresses.add(e.Code == 40003)
	tells := a.err != nil || app.gate.remembers() // or there is nothing to tell the fleet
	if tells {
		var cancel context.CancelFunc
		ctx, cancel = afterwards(ctx)
		defer cancel()
	}

	switch e.Kind {
	case wechat.KindOK:
		p.sent()
		if tells {
			app.gate.success(ctx, openIDScope(n.Address), templateScope(n.TemplateID), pageScope(n.TemplateID, n.Page))
		}
	case wechat.KindUnreachable:
		p.retry(jitter(w.timing.unreachable))
		p.app = w.unreached(app, permit, e)
	case wechat.KindBusy:
		w.spend(&p, n, e.RetryAfter)
		p.app = app.gate.answered()
	case wechat.KindUnsure:
		p.app = app.gate.answered()
		if n.Duplicates == store.DuplicatesAvoid {
			p.doubt(w.cfg.InDoubtWait)
			break
		}
		p.settlement.Unsure = true
		w.spend(&p, n, e.RetryAfter)
	case wechat.KindInDoubt:
		p.doubt(w.cfg.InDoubtWait)
		p.app = appUnknown
	case wechat.KindConcurrent:
		p.retry(w.timing.concurrent + rand.N(2*w.timing.concurrent+1)) //nolint:gosec // spreads load, guards nothing
	case wechat.KindBadToken:
		p.app = w.badToken(ctx, app, a, &p)
	case wechat.KindThrottled, wechat.KindThrottledDay, wechat.KindAccount:
		p.retry(w.timing.again)
		p.app = w.closeFor(ctx, app, e)
	case wechat.KindOpenIDThrottled:
		p.retry(app.gate.restScope(ctx, openIDScope(n.Address), e.RetryAfter))
	case wechat.KindTemplate:
		p.dead(store.ClassFault, store.ReasonTemplate)
		p.settlement.Field = "template_id"
		p.settlement.PauseTemplate = app.gate.fault(ctx, templateScope(n.TemplateID)) >= scopeFaults
	case wechat.KindPage:
		p.dead(store.ClassFault, store.ReasonPage)
		p.settlement.Field = "page"
		if scope := pageScope(n.TemplateID, n.Page); app.gate.fault(ctx, scope) >= scopeFaults {
			app.gate.restScope(ctx, scope, 0)
		}
	case wechat.KindRefused:
		// Whether the consent was used by an attempt nobody saw the answer of, the
		// store finds out: it knows what the ledger said before that.
		p.settlement.Refused = true
		if n.MayWait() {
			p.settlement.State, p.settlement.Reason = store.Waiting, store.ReasonNoConsent
			break
		}
		p.dead(store.ClassRefused, store.ReasonNotSubscribed)
	case wechat.KindBadAddress:
		p.dead(store.ClassFault, store.ReasonBadAddress)
		p.settlement.SuspectBinding = true
		if e.Code == 40003 && app.addresses.tooMany() {
			p.app = w.closeFor(ctx, app, e)
		}
	case wechat.KindRejected:
		p.dead(store.ClassFault, store.ReasonRejected)
	case wechat.KindBadCode, wechat.KindUnknown:
		w.unknown(&p, n)
	}
	return p
}

func (p *plan) sent() { p.settlement.State = store.Sent }

func (p *plan) retry(d time.Duration) { p.settlement.State, p.settlement.Delay = store.Retrying, d }

func (p *plan) doubt(wait time.Duration) {
	p.settlement.State, p.settlement.Reason, p.settlement.Delay = store.InDoubt, store.ReasonInDoubt, wait
}

func (p *plan) dead(c store.Class, r store.Reason) {
	p.settlement.State, p.settlement.Class, p.settlement.Reason = store.Dead, c, r
}

// spend takes one attempt from the budget.
func (w *Worker) spend(p *plan, n *store.Look, atLeast time.Duration) {
	p.settlement.Spend = true
	spent := n.Spent + 1
	if spent >= w.cfg.MaxAttempts {
		p.dead(store.ClassFault, store.ReasonBudget)
		return
	}
	p.retry(max(jitter(w.timing.backoff[min(spent, len(w.timing.backoff))-1]), atLeast))
}

// unknown tries an undocumented errcode slowly before it gives up.
func (w *Worker) unknown(p *plan, n *store.Look) {
	p.settlement.Spend = true
	if n.Spent >= len(w.timing.unknown) {
		p.dead(store.ClassFault, store.ReasonUnknownCode)
		return
	}
	p.retry(jitter(w.timing.unknown[n.Spent]))
}

// badToken drops the token that failed and allows one second call; when that
// fails too, the app waits: there is no loop.
func (w *Worker) badToken(ctx context.Context, app *app, a *answered, p *plan) outcome {
	p.again = !a.second
	p.retry(w.timing.again)
	if err := app.Tokens.Drop(ctx, a.token); err != nil {
		w.cfg.Logger.Warn("token not dropped from the shared cache", zap.String("app", app.ID), zap.Error(err))
	}
	if p.again {
		p.settlement.Delay = 0
		return appUnknown
	}
	if w.outdated(app) {
		return appUnknown
	}
	app.gate.close(ctx, wechat.KindBadToken.String(), a.err.Code, "WeChat refuses a fresh access token", w.timing.probeToken)
	return appFails
}

// unreached counts calls that reached nobody. The pause is this process's alone:
// its network may be what is broken, and one machine without a way out must not
// stop the others.
func (w *Worker) unreached(app *app, permit *permit, e *wechat.Error) outcome {
	if app.unreachable.Add(1) < unreachableLimit && permit.probe == "" {
		return appUnknown
	}
	app.gate.closeHere(e.Kind.String(), "WeChat cannot be reached: "+e.Msg, w.timing.probeUnreachable)
	return appFails
}

// closeFor pauses the app because of an answer that concerns it as a whole.
func (w *Worker) closeFor(ctx context.Context, app *app, e *wechat.Error) outcome {
	row, _ := wechat.LookupErrcode(e.Code)
	d := w.timing.probeAccount
	switch e.Kind { //nolint:exhaustive // the other kinds are probed like an account's
	case wechat.KindThrottled:
		d = max(e.RetryAfter, time.Second)
	case wechat.KindThrottledDay:
		d = w.timing.probeDay
		if e.RetryAfter > 0 {
			d = min(d, e.RetryAfter)
		}
	}
	app.gate.close(ctx, e.Kind.String(), e.Code, "errcode "+strconv.Itoa(e.Code)+": "+row.Meaning, d)
	return appFails
}

// tokenFault reacts to a token that could not be had: nothing was claimed.
func (w *Worker) tokenFault(ctx context.Context, app *app, permit *permit, err error) (time.Duration, outcome) {
	if stopped(ctx) || w.outdated(app) {
		return w.timing.again, appUnknown
	}
	ctx = context.WithoutCancel(ctx)
	var e *wechat.Error
	if !errors.As(err, &e) {
		w.cfg.Logger.Error("no access token", zap.String("app", app.ID), zap.Error(err))
		return w.timing.unreachable, appUnknown
	}
	w.metrics.noToken(app.ID, e.Kind)
	switch e.Kind { //nolint:exhaustive // whatever else the token endpoint says is transient
	case wechat.KindUnreachable:
		return jitter(w.timing.unreachable), w.unreached(app, permit, e)
	case wechat.KindAccount, wechat.KindThrottled, wechat.KindThrottledDay:
		w.cfg.Logger.Error("no access token", zap.String("app", app.ID), zap.Error(err))
		return w.timing.again, w.closeFor(ctx, app, e)
	default:
		app.gate.close(ctx, e.Kind.String(), e.Code, "no access token: "+e.Msg, w.timing.probeToken)
		return w.timing.again, appFails
	}
}

// answered is what an answer that says nothing about the account means for a
// half-open gate: it ends a pause for unreachability, no other.
func (g *gate) answered() outcome {
	if p := g.state(); p == nil || p.Kind == wechat.KindUnreachable.String() {
		return appWorks
	}
	return appUnknown
}

// logLevel is that of the one line per answer: ordinary outcomes are Info, ours to
// fix Error.
func logLevel(s *store.Settlement) zapcore.Level {
	switch s.State {
	case store.Sent:
		return zapcore.DebugLevel
	case store.Dead:
		if s.Class == store.ClassFault {
			return zapcore.ErrorLevel
		}
	case store.InDoubt:
		return zapcore.WarnLevel
	case store.Queued, store.Sending, store.Retrying, store.Waiting, store.Expired, store.Cancelled:
	}
	return zapcore.InfoLevel
}

// log writes one line per answer.
func (p *plan) log(l *zap.Logger) {
	s := &p.settlement
	fields := []zap.Field{
		zap.String("state", string(s.State)), zap.String("reason", string(s.Reason)),
		zap.String("rid", s.Attempt.RID), zap.String("errmsg", s.Attempt.Errmsg), zap.Duration("latency", s.Attempt.Latency),
	}
	if p.do != "" {
		fields = append(fields, zap.String("do", p.do))
	}
	if s.State == store.Retrying {
		fields = append(fields, zap.Duration("again_in", s.Delay))
	}
	l.Log(logLevel(s), "answer settled", fields...)
}

// faultRing remembers whether each of the last calls of an app failed for its
// address: many at once mean that the token and the openids are of different
// apps.
type faultRing struct {
	mu   sync.Mutex
	last [50]bool
	next int
	seen int
}

func newFaultRing() *faultRing { return &faultRing{} }

func (r *faultRing) add(fault bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[r.next] = fault
	r.next = (r.next + 1) % len(r.last)
	r.seen = min(r.seen+1, len(r.last))
}

// tooMany reports whether over a fifth of the last 50 failed; fewer than 50
// calls do not tell.
func (r *faultRing) tooMany() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, f := range r.last {
		if f {
			n++
		}
	}
	return r.seen == len(r.last) && n*5 > len(r.last)
}
