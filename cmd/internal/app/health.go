package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker"
)

// healthz fails only when a loop stopped turning: a backlog or a store that is
// away is no reason to be killed, and the loops of a process that ends may rest.
func (p *Process) healthz(rw http.ResponseWriter, _ *http.Request) {
	turned := p.Relay.Health().Turned
	if turned.IsZero() {
		turned = p.started
	}
	stands := p.Worker != nil && !p.Worker.Alive() || time.Since(turned) > relaySilence
	if stands && !p.draining.Load() {
		http.Error(rw, "a loop stopped turning", http.StatusServiceUnavailable)
		return
	}
	_, _ = rw.Write([]byte("ok\n"))
}

// relaySilence is longer than the longest turn of Relay, which is bounded by
// half a minute, and its longest pause.
const relaySilence = time.Minute

// readyzTimeout bounds the question to the store.
const readyzTimeout = 3 * time.Second

// redisPingTimeout bounds the question to Redis; the store's answer counts more.
const redisPingTimeout = time.Second

// readyz is 503 only when this process cannot do its own part: the store is
// away or has an older schema, or the process is about to end. A paused app is
// degraded, not unready.
func (p *Process) readyz(rw http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyzTimeout)
	defer cancel()
	body := struct {
		Ready    bool              `json:"ready"`
		Reason   string            `json:"reason,omitempty"`
		Degraded []worker.Degraded `json:"degraded"`
	}{Reason: p.unready(ctx), Degraded: p.degraded(ctx)}
	body.Ready = body.Reason == ""
	rw.Header().Set("Content-Type", "application/json")
	if !body.Ready {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(rw).Encode(body)
}

// unready says why this process cannot do its part; "" when it can.
func (p *Process) unready(ctx context.Context) string {
	switch err := p.parts.Store.Ping(ctx); {
	case p.draining.Load():
		return "the process is about to end"
	case err != nil:
		return "the store does not answer"
	case p.Worker != nil && p.Worker.StoreAway():
		return "answers are held until the store takes them"
	}
	return lacksSchema(ctx, p.parts.Store)
}

// degraded lists what does not work as it should and is not this process's to
// mend.
func (p *Process) degraded(ctx context.Context) []worker.Degraded {
	list := []worker.Degraded{}
	if p.Worker != nil {
		list = append(list, p.Worker.Degraded()...)
	} else {
		list = append(list, p.silentRedis(ctx)...)
	}
	list = append(list, p.pausedTemplates(ctx)...)
	if p.ListenAddr != "" {
		list = append(list, p.missedPushes(ctx)...)
	}
	return list
}

// silentRedis asks Redis, which a worker does by itself. A gateway takes
// notifications in without it; what is due goes out when it is back.
func (p *Process) silentRedis(ctx context.Context) []worker.Degraded {
	ctx, cancel := context.WithTimeout(ctx, redisPingTimeout)
	defer cancel()
	if p.shared.Ping(ctx).Err() == nil {
		p.noRedis.Store(nil)
		return nil
	}
	now := time.Now()
	p.noRedis.CompareAndSwap(nil, &now)
	d := worker.Degraded{Part: "redis", Reason: "does not answer", Since: now}
	if from := p.noRedis.Load(); from != nil { // not found again meanwhile
		d.Since = *from
	}
	return []worker.Degraded{d}
}

// missedPushes are the apps whose message push is set here and does not come:
// receipts and consents are not seen then, and doubts do not wait for them.
func (p *Process) missedPushes(ctx context.Context) []worker.Degraded {
	last, err := p.parts.Store.LastPushes(ctx)
	if err != nil {
		return nil // the ping says so
	}
	var out []worker.Degraded
	for _, a := range p.settings().Apps {
		if !a.Callback.Receives() || time.Since(last[a.AppID]) < store.NoPushWindow {
			continue
		}
		d := worker.Degraded{
			Part: "callback", App: a.AppID, Since: last[a.AppID],
			Reason: "no push of WeChat was received for a week; see the message push in WeChat's console and the way here",
		}
		if d.Since.IsZero() {
			d.Since, d.Reason = p.started, "no push of WeChat was ever received; set the message push in WeChat's console"
		}
		out = append(out, d)
	}
	return out
}

// pausedTemplates wait for a person: nothing resumes them by itself.
func (p *Process) pausedTemplates(ctx context.Context) []worker.Degraded {
	pauses, err := p.parts.Store.PausedTemplates(ctx, "")
	if err != nil {
		return nil // the ping says so
	}
	var out []worker.Degraded
	for _, t := range pauses {
		out = append(out, worker.Degraded{
			Part: "template", App: t.App, Since: t.Since,
			Reason: fmt.Sprintf("template %s is paused after errcode %d; resume it with wxnotify templates resume", t.TemplateID, t.Errcode),
		})
	}
	return out
}
