package gateway

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// withMax is a door whose billing producer may ask for no more than a priority.
func withMax(most store.Priority) func(*Config) {
	return func(c *Config) {
		c.Producers = doorProducers()
		c.Producers[0].MaxPriority = most
	}
}

// What a producer may not ask for is refused, and what its template would give
// it is lowered.
func TestMaxPriority(t *testing.T) {
	t.Parallel()
	approval := map[string]any{"template_id": "need_confirm", "data": map[string]any{"thing1": "张三", "number2": 1}}
	none := map[string]any{}
	asking := func(base map[string]any, p any) map[string]any {
		body := maps.Clone(base)
		body["priority"] = p
		return report(body)
	}
	doors := map[store.Priority]*door{}
	for _, most := range append([]store.Priority{""}, store.Priorities...) {
		doors[most] = sqliteDoor(t, withMax(most))
	}
	for _, tt := range []struct {
		most store.Priority
		body map[string]any
		want store.Priority // "": refused
	}{
		{"", asking(none, "critical"), store.Critical},
		{"", report(approval), store.Critical},
		{store.Critical, report(approval), store.Critical},
		{store.Default, asking(none, "critical"), ""},
		{store.Default, asking(approval, "critical"), ""},
		{store.Default, report(approval), store.Default},
		{store.Default, asking(approval, "default"), store.Default},
		{store.Default, asking(approval, "low"), store.Low},
		{store.Low, asking(none, "default"), ""},
		{store.Low, report(nil), store.Low},
		{store.Low, asking(none, nil), store.Low},
	} {
		d := doors[tt.most]
		one := d.do(keyBilling, "POST", "/v1/notifications", tt.body)
		batch := parsed[batchAnswer](d, d.do(keyBilling, "POST", "/v1/notifications/batch", map[string]any{"notifications": []any{report(map[string]any{"priority": "low"}), tt.body}}))
		got := batch.Results[1]
		if tt.want == "" {
			p := d.want("refused", one, http.StatusUnprocessableEntity, CodeInvalid)
			wantFault(t, p.Errors, FieldError{"/priority", FieldNotAllowed, "is higher than this producer may ask for", string(tt.most)})
			if got.Error == nil || batch.Accepted != 1 {
				t.Errorf("batch: %+v", batch)
				continue
			}
			wantFault(t, got.Error.Errors, FieldError{"/notifications/1/priority", FieldNotAllowed, "is higher than this producer may ask for", string(tt.most)})
			d.want("another producer", d.do(keyReports, "POST", "/v1/notifications", tt.body), http.StatusAccepted, "")
			continue
		}
		d.want("accepted", one, http.StatusAccepted, "")
		for _, id := range []uuid.UUID{parsed[accepted](d, one).ID, *got.ID} {
			if n := d.row(id); n.Priority != tt.want {
				t.Errorf("most %q, %v: priority %s, want %s", tt.most, tt.body, n.Priority, tt.want)
			}
		}
	}
}

func wantFault(t *testing.T, got FieldErrors, want FieldError) {
	t.Helper()
	if !slices.Equal(got, FieldErrors{want}) {
		t.Errorf("faults %+v, want %+v", got, want)
	}
}

// A priority that there is not is told so, whatever the producer may ask for.
func TestMaxPriorityOfNone(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, withMax(store.Low))
	p := d.want("unknown", d.do(keyBilling, "POST", "/v1/notifications", report(map[string]any{"priority": "urgent"})),
		http.StatusUnprocessableEntity, CodeInvalid)
	if len(p.Errors) != 1 || p.Errors[0].Field != "/priority" || p.Errors[0].Code != FieldNotInList {
		t.Errorf("errors %+v", p.Errors)
	}
}

// What was accepted when the producer might ask for more is answered as before,
// and a replay brings it down to what it may have now. Who acts for all producers
// leaves it as it is.
func TestMaxPriorityLowered(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	body := report(map[string]any{"ref": "before", "priority": "critical"})
	id := d.post(keyBilling, body).ID
	other := d.post(keyBilling, report(map[string]any{"priority": "critical"})).ID

	apply, err := d.gateway.Reload(func() []Producer {
		var c Config
		withMax(store.Low)(&c)
		return c.Producers
	}(), []App{{ID: doorApp}})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	if again := d.post(keyBilling, body); again.ID != id || !again.Duplicate {
		t.Errorf("repeated: %+v", again)
	}
	for _, tt := range []struct {
		id   uuid.UUID
		key  string
		want store.Priority
	}{{id, keyBilling, store.Low}, {other, keyManager, store.Critical}} {
		d.settled(tt.id, rejected)
		// Another template's priority is not taken over either.
		edit := map[string]any{"template_id": "need_confirm", "data": map[string]any{"applicant": "张三", "sum": 3}}
		d.want("replay", d.act(tt.key, tt.id, "replay", edit), http.StatusAccepted, "")
		if n := d.row(tt.id); n.Priority != tt.want || n.State != store.Queued || n.TemplateID != tmplApproval {
			t.Errorf("replayed: %s, priority %s of %s, want %s", n.State, n.Priority, n.TemplateID, tt.want)
		}
	}
}

func TestMaxPriorityIsChecked(t *testing.T) {
	t.Parallel()
	if err := (Producer{Name: "p", MaxPriority: "urgent"}).check(); err == nil {
		t.Error("a priority that there is not was taken")
	}
}
