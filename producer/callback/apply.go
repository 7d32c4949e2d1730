package callback

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// How events are applied. What takes longer than the lease is done twice, which
// does no harm.
const (
	applyPage     = 200
	applyLease    = time.Minute
	applyTimeout  = 30 * time.Second // of one call of the store
	applyTries    = 10               // of an event that the store does not take
	applyInterval = time.Second      // between two looks without being woken
	pushedPause   = 30 * time.Second // between two notes of one app's pushes
)

// applier carries events from the inbox to where they have their effect.
type applier struct {
	config  Config
	metrics metrics
	tracer  trace.Tracer
	wake    chan struct{}
	away    outage

	mu     sync.Mutex
	pushed map[string]bool // apps whose pushes are to be noted

	noted    map[string]time.Time // when an app's pushes were noted last; of the loop alone
	reviewed time.Time            // of the loop alone
}

func newApplier(config Config, m metrics) *applier {
	return &applier{
		config: config, metrics: m, tracer: config.TracerProvider.Tracer(tracerName), wake: make(chan struct{}, 1), away: outage{logger: config.Logger, what: "events wait in the inbox"},
		pushed: map[string]bool{}, noted: map[string]time.Time{},
	}
}

// notePushed lets the loop note that a verified push came. What is lost when the
// process ends comes with the next push.
func (a *applier) notePushed(appID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pushed[appID] = true
}

func (a *applier) run(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := a.turn(ctx)
		if ctx.Err() == nil {
			a.away.note(err)
		}
		if more && err == nil {
			continue
		}
		wait(ctx, a.wake, applyInterval)
	}
}

// turn does what is due; more tells that there may be more.
func (a *applier) turn(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if err := a.notePushes(ctx); err != nil {
		return false, err
	}
	pushes, err := a.config.Store.TakePushes(ctx, store.PushEvent, applyLease, applyPage)
	if err != nil {
		return false, err
	}
	if err := a.apply(ctx, pushes); err != nil {
		return false, err
	}
	if len(pushes) == applyPage {
		return true, nil
	}
	if time.Since(a.reviewed) < applyInterval {
		return false, nil
	}
	n, found, err := a.config.Store.ReviewReceipts(ctx, applyPage)
	a.metrics.effects(eventSent, effectFoundLater, len(found))
	a.delivered(found)
	if err != nil || n == applyPage {
		return err == nil, err
	}
	a.reviewed = time.Now()
	return false, nil
}

// notePushes writes down which apps' pushes come, so that doubts wait for them.
func (a *applier) notePushes(ctx context.Context) error {
	a.mu.Lock()
	apps := a.pushed
	a.pushed = map[string]bool{}
	a.mu.Unlock()
	var failed error
	for app := range apps {
		if last, ok := a.noted[app]; ok && time.Since(last) < pushedPause {
			continue
		}
		if err := a.config.Store.Pushed(ctx, app); err != nil {
			failed = err
			a.notePushed(app)
			continue
		}
		a.noted[app] = time.Now()
	}
	return failed
}

// applied is an event on its way.
type applied struct {
	push  store.Push
	event event
}

// apply carries the events out and finishes them. An error means that the store
// is away: they come again when their lease is over.
func (a *applier) apply(ctx context.Context, pushes []store.Push) (err error) {
	if len(pushes) == 0 {
		return nil
	}
	ctx, span := a.tracer.Start(ctx, spanApply, applySpan...)
	defer func() { endApply(span, len(pushes), err) }()
	var receipts, consents []applied
	for _, p := range pushes {
		e := applied{push: p}
		switch err := json.Unmarshal(p.Body, &e.event); {
		case err != nil || ours[wireName(e.event.Kind)] == "":
			// Of another version of the program, which may be running beside this one.
			if err := a.failed(ctx, e, errors.New("the entry cannot be read")); err != nil {
				return err
			}
		case e.event.Kind == eventSent:
			receipts = append(receipts, e)
		default:
			consents = append(consents, e)
		}
	}
	if err := a.each(ctx, receipts, a.recordReceipts); err != nil {
		return err
	}
	return a.each(ctx, consents, a.recordConsents)
}

// each records the events together, or one by one when the store does not take
// one of them.
func (a *applier) each(ctx context.Context, events []applied, record func(context.Context, []applied) error) error {
	if len(events) == 0 {
		return nil
	}
	err := record(ctx, events)
	switch {
	case err == nil:
		return a.finish(ctx, events)
	case errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil:
		return err
	case len(events) == 1:
		return a.failed(ctx, events[0], err)
	}
	for i := range events {
		if err := a.each(ctx, events[i:i+1], record); err != nil {
			return err
		}
	}
	return nil
}

// failed gives an event up that cannot be recorded, after many tries: another
// process, of another version, may be able to.
func (a *applier) failed(ctx context.Context, e applied, err error) error {
	if e.push.Tries < applyTries {
		return nil
	}
	a.config.Logger.Error("event given up", zap.String("app", e.push.App), zap.String("event", string(e.event.Kind)), zap.Error(err))
	if ours[wireName(e.event.Kind)] != "" {
		a.metrics.effects(e.event.Kind, effectFailed, 1)
	}
	return a.finish(ctx, []applied{e})
}

func (a *applier) finish(ctx context.Context, events []applied) error {
	keys := make([]store.PushKey, len(events))
	for i, e := range events {
		keys[i] = e.push.Key
	}
	return a.config.Store.FinishPushes(ctx, keys)
}

func (a *applier) recordReceipts(ctx context.Context, events []applied) error {
	list := make([]store.ReceiptEvent, len(events))
	for i, e := range events {
		list[i] = e.event.receipt(e.push.App, a.config.InDoubtWait)
	}
	answers, err := a.config.Store.RecordReceipts(ctx, list)
	for _, r := range answers {
		a.metrics.effects(eventSent, effect(r.Result), 1)
	}
	a.delivered(answers)
	return err
}

// delivered tells of what users have.
func (a *applier) delivered(answers []store.Receipted) {
	for _, r := range answers {
		if r.Delivered > 0 {
			a.config.Delivered(r.App, r.Delivered)
		}
	}
}

func (a *applier) recordConsents(ctx context.Context, events []applied) error {
	list := make([]store.ConsentEvent, len(events))
	for i, e := range events {
		list[i] = e.event.consent(e.push.App, e.push.Key)
	}
	if _, err := a.config.Store.RecordConsents(ctx, list); err != nil {
		return err
	}
	for _, e := range events {
		a.metrics.effects(e.event.Kind, effectRecorded, 1)
	}
	return nil
}

// wireName is WeChat's name of an event of ours.
func wireName(k eventKind) string { return "subscribe_msg_" + string(k) + "_event" }
