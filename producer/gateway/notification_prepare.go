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
	warning string // why it may not be sent; "" for none
}

// prepare checks a notification against the caller's scope and its template, and
// lets the client check the rest. faults are those that were found while it was
// read; at is the JSON Pointer to it. The error is a FieldErrors with every bad
// field, or a Problem.
func (g *Gateway) prepare(ctx context.Context, c *call, asked Asked, at string, faults FieldErrors) (prepared, error) {
	app, err := g.appOf(c, asked.App)
	if unknown, ok := errors.AsType[FieldErrors](err); ok {
		return prepared{}, faults.and(at, unknown).byField()
	}
	if err != nil {
		return prepared{}, err
	}
	asked.App = app
	if asked.TemplateID == "" { // said already
		return prepared{}, faults.byField()
	}
	catalog, err := g.config.Catalog.Catalog(ctx)
	if err != nil {
		return prepared{}, err
	}
	n, t, found := asked.Resolve(catalog, c.DefaultWait)
	var tooHigh FieldErrors
	n.Priority, tooHigh = c.limited(asked.Priority, n.Priority)
	p := prepared{Notification: n}
	if t != nil {
		if err := c.mayTemplate(t.ID, t.Alias); err != nil {
			return p, err
		}
		p.warning = t.Warning
	}
	if begins, quiet := n.Begins(g.config.now()); quiet && !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(begins) {
		p.warning = "it expires within the quiet hours of its template, so it will not be sent"
	}
	faults = faults.and(at, found).and(at, tooHigh).and(at, checked(c.client.Check(n)))
	if len(faults) > 0 {
		return p, faults.byField()
	}
	return p, nil
}

// Resolve finds the template of a notification whose App is set, names every
// field that the template, or WeChat by its rules, would refuse, gives data
// WeChat's keys, and fills in what the request does not say: the template's word
// comes first, then the producer's, which is wait. The Template is nil when it is
// not known.
func (a Asked) Resolve(catalog *template.Catalog, wait time.Duration) (producer.Notification, *template.Template, FieldErrors) {
	n := a.Notification
	if n.Ref != "" { // else nothing is compared
		n.ContentHash = n.Hash()
	}
	t, unknown := catalog.Resolve(n.App, n.TemplateID)
	if t == nil {
		return n, nil, ofTemplate(unknown)
	}
	n.TemplateID = t.ID
	page, faults := t.CheckPage(n.Page)
	n.Page = page
	if len(n.Data) > 0 { // else it was said already
		data, dataFaults := t.Check(n.Data)
		if faults = append(faults, dataFaults...); len(dataFaults) == 0 {
			n.Data = data
		}
	}
	n.Priority = cmp.Or(n.Priority, t.Policy.Priority)
	n.Duplicates = cmp.Or(n.Duplicates, t.Policy.Duplicates)
	n.QuietHours = t.Quiet
	n.NoConsent = store.NoConsentPolicy(t.Policy.NoConsent)
	n.ReleaseOrder = store.ReleaseOrder(t.Policy.Release)
	switch {
	case a.Waits:
	case t.Policy.Wait != nil:
		n.Wait = *t.Policy.Wait
	default:
		n.Wait = wait
	}
	return n, t, ofTemplate(faults)
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
