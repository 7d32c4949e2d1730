package gateway

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/store"
)

func TestBatch(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		first := d.post(keyBilling, report(map[string]any{"ref": "known"}))
		a := d.do(keyBilling, "POST", "/v1/notifications/batch", map[string]any{"notifications": []any{
			report(map[string]any{"ref": "a"}),
			report(map[string]any{"data": map[string]any{"thing9": "x"}, "lang": "xx"}),
			"not an object",
			report(map[string]any{"ref": "a"}), // the same again
			report(map[string]any{"ref": "a", "page": "pages/other"}),
			report(map[string]any{"ref": "known"}),
			report(map[string]any{"app": "wxnone"}),
			report(nil),
		}})
		d.want("batch", a, http.StatusOK, "")
		got := parsed[batchAnswer](d, a)
		if got.Accepted != 4 || got.Rejected != 4 || len(got.Results) != 8 {
			t.Errorf("%d accepted, %d rejected, %d results, want 4, 4, 8", got.Accepted, got.Rejected, len(got.Results))
		}
		for i, r := range got.Results {
			if good := slices.Contains([]int{0, 3, 5, 7}, i); r.Index != i || good != (r.ID != nil) || good == (r.Error != nil) {
				t.Errorf("result %d: %+v", i, r)
			}
		}
		if *got.Results[3].ID != *got.Results[0].ID || !*got.Results[3].Duplicate || *got.Results[0].Duplicate {
			t.Errorf("the same ref twice: %+v and %+v", got.Results[0], got.Results[3])
		}
		if *got.Results[5].ID != first.ID || got.Results[5].State != store.Queued {
			t.Errorf("a ref of before: %+v", got.Results[5])
		}
		fields := map[int]map[string]FieldCode{}
		for i, r := range got.Results {
			if r.Error != nil {
				fields[i] = map[string]FieldCode{}
				for _, f := range r.Error.Errors {
					fields[i][f.Field] = f.Code
				}
			}
		}
		want := map[int]map[string]FieldCode{
			1: {"/notifications/1/data/thing9": "unknown_key", "/notifications/1/data/thing1": FieldRequired, "/notifications/1/lang": FieldNotInList},
			2: {"/notifications/2": FieldWrongType},
			4: {"/notifications/4/ref": FieldConflict},
			6: {"/notifications/6/app": FieldNotInList},
		}
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Errorf("errors (-want +got):\n%s", diff)
		}
		if code := got.Results[4].Error.Code; code != CodeRefConflict {
			t.Errorf("code of a taken ref: %s", code)
		}
		d.wantRows(3)
	})
}

// A key's scope holds for each notification.
func TestBatchScope(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	approval := report(map[string]any{"template_id": tmplApproval, "data": map[string]any{"thing1": "x", "number2": 1}})
	got := parsed[batchAnswer](d, d.do(keyApproval, "POST", "/v1/notifications/batch", map[string]any{"notifications": []any{approval, report(nil)}}))
	if got.Accepted != 1 || got.Results[1].Error == nil || got.Results[1].Error.Status != http.StatusForbidden || got.Results[1].Error.Code != CodeForbiddenTemplate {
		t.Errorf("answer %+v", got)
	}
}

func TestBatchBounds(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	full := slices.Repeat([]any{report(nil)}, maxBatch)
	a := d.do(keyBilling, "POST", "/v1/notifications/batch", map[string]any{"notifications": full})
	d.want("a thousand", a, http.StatusOK, "")
	got := parsed[batchAnswer](d, a)
	ids := map[string]bool{}
	for _, r := range got.Results {
		ids[r.ID.String()] = true
	}
	if got.Accepted != maxBatch || len(ids) != maxBatch {
		t.Errorf("%d accepted with %d ids, want %d", got.Accepted, len(ids), maxBatch)
	}
	for name, tt := range map[string]struct {
		body any
		want FieldError
	}{
		"one more":  {map[string]any{"notifications": append(full, report(nil))}, FieldError{Field: "/notifications", Code: FieldOutOfRange}},
		"none":      {`{"notifications":[]}`, FieldError{Field: "/notifications", Code: FieldOutOfRange}},
		"missing":   {`{}`, FieldError{Field: "/notifications", Code: FieldRequired}},
		"no array":  {`{"notifications":{}}`, FieldError{Field: "/notifications", Code: FieldWrongType}},
		"more else": {map[string]any{"notifications": full[:1], "atomic": true}, FieldError{Field: "/atomic", Code: FieldUnknown}},
	} {
		p := d.want(name, d.do(keyBilling, "POST", "/v1/notifications/batch", tt.body), http.StatusUnprocessableEntity, CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Field != tt.want.Field || p.Errors[0].Code != tt.want.Code {
			t.Errorf("%s: %+v, want %+v", name, p.Errors, tt.want)
		}
	}
}
