package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
)

// accepted is the answer to a notification that was accepted.
type accepted struct {
	ID        uuid.UUID   `json:"id"`
	Ref       string      `json:"ref,omitempty"`
	State     store.State `json:"state"`
	Duplicate bool        `json:"duplicate"`
	// Warning says why WeChat may refuse it; absent when nothing speaks for that.
	Warning string `json:"warning,omitempty"`
}

// checkedOnly is the answer to a dry run: what would be accepted.
type checkedOnly struct {
	DryRun     bool              `json:"dry_run"` // true
	App        string            `json:"app"`
	TemplateID string            `json:"template_id"`
	Data       map[string]string `json:"data"` // with WeChat's keys, cut where the template says so
	Page       string            `json:"page,omitempty"`
	Warning    string            `json:"warning,omitempty"`
}

// postNotification accepts one notification, or only checks it.
func (g *Gateway) postNotification(w http.ResponseWriter, r *http.Request, c *call) error {
	q := newQuery(r)
	dryRun := q.flag("dry_run")
	if err := q.done(); err != nil {
		return err
	}
	o, err := c.object()
	if err != nil {
		return err
	}
	asked := o.notification()
	o.end()
	n, err := g.prepare(r.Context(), c, asked, "", *o.faults)
	if before, ok := g.acceptedBefore(r.Context(), c, asked, err); ok && !dryRun {
		writeAccepted(w, accepted{before.ID, before.Ref, before.State, true, ""})
		return nil
	}
	if err != nil {
		return err
	}
	if dryRun {
		writeJSON(w, http.StatusOK, checkedOnly{true, n.App, n.TemplateID, n.Data, n.Page, n.warning})
		return nil
	}
	n.ID = c.id(0)
	got, err := c.client.Send(r.Context(), n.Notification)
	if err != nil {
		return refused(err)
	}
	writeAccepted(w, accepted{got.ID, n.Ref, got.State, got.Duplicate, n.warning})
	return nil
}

func writeAccepted(w http.ResponseWriter, a accepted) {
	w.Header().Set("Location", "/v1/notifications/"+a.ID.String())
	writeJSON(w, http.StatusAccepted, a)
}

// acceptedBefore finds what a request that is refused now was accepted as before:
// since then its time may have gone by, or its template have changed, and the
// repeat of a request whose answer was lost gets that answer. err is the refusal.
func (g *Gateway) acceptedBefore(ctx context.Context, c *call, asked Asked, err error) (store.Notification, bool) {
	if _, refused := errors.AsType[FieldErrors](err); !refused || asked.Ref == "" {
		return store.Notification{}, false
	}
	asked.App = cmp.Or(asked.App, g.config.DefaultApp)
	list, err := g.config.Notifications.List(ctx, store.Filter{Producer: c.Name, Ref: asked.Ref, Limit: 1})
	if err != nil || len(list) == 0 || !bytes.Equal(list[0].ContentHash, asked.Hash()) {
		return store.Notification{}, false
	}
	return list[0], true
}

// maxBatch is how many notifications a batch may have.
const maxBatch = 1000

// batchAnswer is the answer to a batch, item by item.
type batchAnswer struct {
	Accepted int           `json:"accepted"`
	Rejected int           `json:"rejected"`
	Results  []batchResult `json:"results"`
}

// batchResult is what became of one notification of a batch: it has an ID and a
// State, or an Error.
type batchResult struct {
	Index     int         `json:"index"`
	ID        *uuid.UUID  `json:"id,omitempty"`
	State     store.State `json:"state,omitempty"`
	Duplicate *bool       `json:"duplicate,omitempty"`
	Error     *Problem    `json:"error,omitempty"`
}

// postBatch accepts notifications, each by itself.
func (g *Gateway) postBatch(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := newQuery(r).done(); err != nil {
		return err
	}
	o, err := c.object()
	if err != nil {
		return err
	}
	items, ok := o.get("notifications")
	switch n := len(items.items); {
	case !ok:
		o.fault("notifications", FieldRequired, "is required", "")
	case items.kind != kindArray:
		o.fault("notifications", FieldWrongType, "must be an array", "")
	case n == 0 || n > maxBatch:
		o.fault("notifications", FieldOutOfRange, "must have 1 to "+strconv.Itoa(maxBatch)+" items", "")
	}
	if err := o.done(); err != nil {
		return err
	}
	answer, err := g.acceptBatch(r, c, items.items)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// acceptBatch checks every item and hands in those that are good. The error is
// one that concerns them all, with nothing accepted.
func (g *Gateway) acceptBatch(r *http.Request, c *call, items []value) (batchAnswer, error) {
	answer := batchAnswer{Results: make([]batchResult, len(items))}
	ns := make([]producer.Notification, 0, len(items))
	places := make([]int, 0, len(items))
	for i, item := range items {
		answer.Results[i].Index = i
		n, asked, err := g.readItem(r, c, i, item)
		if before, ok := g.acceptedBefore(r.Context(), c, asked, err); ok {
			duplicate := true
			answer.Results[i].ID, answer.Results[i].State, answer.Results[i].Duplicate = &before.ID, before.State, &duplicate
			answer.Accepted++
			continue
		}
		if err != nil {
			p, ok := g.itemProblem(err)
			if !ok {
				return answer, err
			}
			answer.Results[i].Error = p
			continue
		}
		ns, places = append(ns, n), append(places, i)
	}
	results, err := c.client.SendBatch(r.Context(), ns)
	if err != nil && len(results) == 0 && len(ns) > 0 {
		return answer, err
	}
	for k, res := range results {
		to := &answer.Results[places[k]]
		if res.Err == nil {
			to.ID, to.State, to.Duplicate = &res.ID, res.State, &res.Duplicate
			answer.Accepted++
			continue
		}
		to.Error = g.resultProblem(refused(res.Err), places[k], c)
	}
	answer.Rejected = len(items) - answer.Accepted
	if err != nil && answer.Accepted == 0 {
		return answer, err
	}
	return answer, nil
}

// readItem reads and checks one notification of a batch.
func (g *Gateway) readItem(r *http.Request, c *call, i int, item value) (producer.Notification, Asked, error) {
	at := "/notifications/" + strconv.Itoa(i)
	var faults FieldErrors
	o := newObject(at, item, &faults)
	if item.kind != kindObject {
		return producer.Notification{}, Asked{}, faults
	}
	asked := o.notification()
	o.end()
	n, err := g.prepare(r.Context(), c, asked, at, faults)
	n.ID = c.id(i)
	return n.Notification, asked, err
}

// itemProblem is what is wrong with one item; ok is false when it concerns them
// all.
func (g *Gateway) itemProblem(err error) (p *Problem, ok bool) {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p, true
	}
	if faults, ok := errors.AsType[FieldErrors](err); ok {
		return invalid(faults), true
	}
	return nil, false
}

// resultProblem is what the store, or the client, had against one item. When
// nobody knows whether it is accepted, the answer to this request is not the
// last word: repeated with the same Idempotency-Key it goes on.
func (g *Gateway) resultProblem(err error, i int, c *call) *Problem {
	p, ok := g.itemProblem(err)
	if !ok {
		c.unfinished = true
		return g.problemOf("item of a batch", err, zap.Skip())
	}
	at := "/notifications/" + strconv.Itoa(i)
	p.Errors = FieldErrors(nil).and(at, p.Errors)
	return p
}
