package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// prepared is a notification that only the store could still refuse.
type prepared struct {
	producer.Notification
	warning string // of its template; "" for none
}

// prepare checks a notification against the caller's scope and its template,
// gives data WeChat's keys, fills in what template and producer say where the
// request is silent, and lets the client check the rest. faults are those that
// were found while it was read; at is the JSON Pointer to it. The error is a
// FieldErrors with every bad field, or a Problem.
func (g *Gateway) prepare(ctx context.Context, c *call, asked Asked, at string, faults FieldErrors) (prepared, error) {
	p := prepared{Notification: asked.Notification}
	n := &p.Notification
	app, err := g.appOf(c, n.App)
	if unknown, ok := errors.AsType[FieldErrors](err); ok {
		return p, faults.and(at, unknown).byField()
	}
	if err != nil {
		return p, err
	}
	n.App = app
	if n.TemplateID == "" { // said already
		return p, faults.byField()
	}
	t, found, err := g.template(ctx, n.App, n.TemplateID)
	if err != nil {
		return p, err
	}
	faults = faults.and(at, found)
	if t != nil {
		if err := c.mayTemplate(t.ID, t.Alias); err != nil {
			return p, err
		}
		p.warning = t.Warning
		faults = faults.and(at, apply(t, n))
		defaults(n, asked.Waits, t.Policy, c.DefaultWait)
	}
	faults = faults.and(at, checked(c.client.Check(*n)))
	if len(faults) > 0 {
		return p, faults.byField()
	}
	return p, nil
}

// template finds a template of an app.
func (g *Gateway) template(ctx context.Context, app, idOrAlias string) (*template.Template, FieldErrors, error) {
	catalog, err := g.config.Catalog.Catalog(ctx)
	if err != nil {
		return nil, nil, err
	}
	t, faults := catalog.Resolve(app, idOrAlias)
	return t, ofTemplate(faults), nil
}

// apply gives a notification the template's id and WeChat's keys, and names every
// value that WeChat would refuse.
func apply(t *template.Template, n *producer.Notification) FieldErrors {
	n.TemplateID = t.ID
	page, pageFaults := t.CheckPage(n.Page)
	n.Page = page
	if len(n.Data) == 0 { // said already
		return ofTemplate(pageFaults)
	}
	data, faults := t.Check(n.Data)
	if faults == nil {
		n.Data = data
	}
	return ofTemplate(append(faults, pageFaults...))
}

// defaults fills in what the request does not say: the template's word comes
// first, then the producer's.
func defaults(n *producer.Notification, waits bool, policy template.Policy, wait time.Duration) {
	n.Priority = cmp.Or(n.Priority, policy.Priority)
	n.Duplicates = cmp.Or(n.Duplicates, policy.Duplicates)
	n.NoConsent = store.NoConsentPolicy(policy.NoConsent)
	n.ReleaseOrder = store.ReleaseOrder(policy.Release)
	switch {
	case waits:
	case policy.Wait != nil:
		n.Wait = *policy.Wait
	default:
		n.Wait = wait
	}
}

// ofTemplate are a template's faults as they are answered.
func ofTemplate(faults template.FieldErrors) FieldErrors {
	list := make(FieldErrors, len(faults))
	for i, f := range faults {
		list[i] = FieldError{Field: f.Field, Code: FieldCode(f.Code), Reason: f.Reason, Example: f.Example}
	}
	return list
}

// checked are the faults that the client found. Its fields are names with dots.
func checked(err error) FieldErrors {
	if err == nil {
		return nil
	}
	found, ok := errors.AsType[task.FieldErrors](err)
	if !ok {
		return FieldErrors{{Code: FieldInvalid, Reason: "cannot be written as a task"}}
	}
	list := make(FieldErrors, len(found))
	for i, f := range found {
		list[i] = FieldError{Code: codeOf(f.Reason), Reason: f.Reason}
		if f.Field != "" {
			list[i].Field = "/" + strings.ReplaceAll(f.Field, ".", "/")
		}
	}
	return list
}

// codes are the beginnings of the client's reasons.
var codes = []struct {
	reason string
	code   FieldCode
}{
	{"is required", FieldRequired},
	{"is empty", FieldCode(template.CodeEmpty)},
	{"has an empty key", FieldCode(template.CodeUnknownKey)},
	{"has ", FieldTooLong},
	{"makes a payload of ", FieldTooLong},
	{"must be one of ", FieldNotInList},
	{"must be allow or ", FieldNotInList},
	{"may contain ", FieldBadFormat},
	{"must be UTF-8", FieldBadFormat},
	{"is not valid UTF-8", FieldBadFormat},
	{"contains a NUL", FieldBadFormat},
	{"is not after ", FieldOutOfRange},
	{"is in the past", FieldOutOfRange},
	{"is before ", FieldOutOfRange},
	{"is more than ", FieldOutOfRange},
	{"is negative", FieldOutOfRange},
	{"give ", FieldConflict},
}

// codeOf is the code of a reason of the client's.
func codeOf(reason string) FieldCode {
	for _, c := range codes {
		if strings.HasPrefix(reason, c.reason) {
			return c.code
		}
	}
	return FieldInvalid
}

// and adds faults of what lies at a pointer, the first of a field only.
func (e FieldErrors) and(at string, more FieldErrors) FieldErrors {
	for _, f := range more {
		f.Field = at + f.Field
		if !slices.ContainsFunc(e, func(g FieldError) bool { return g.Field == f.Field }) {
			e = append(e, f)
		}
	}
	return e
}

// refused makes a Problem of what the client answered for one notification; err
// is not nil.
func refused(err error) error {
	switch {
	case errors.Is(err, store.ErrConflict):
		p := refuse(http.StatusConflict, CodeRefConflict, "this ref was used for another notification")
		p.Errors = FieldErrors{{Field: "/ref", Code: FieldConflict, Reason: "was used for another notification"}}
		return p
	case errors.As(err, new(task.FieldErrors)):
		return checked(err).byField()
	}
	return fmt.Errorf("accept: %w", err)
}
