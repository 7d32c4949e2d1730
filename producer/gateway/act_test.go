package gateway

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func (d *door) act(key string, id uuid.UUID, verb string, body any) answer {
	d.Helper()
	return d.do(key, "POST", "/v1/notifications/"+id.String()+"/"+verb, body)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		id := d.post(keyBilling, report(map[string]any{"ref": "r", "page": "pages/a"})).ID
		d.want("queued", d.act(keyBilling, id, "replay", nil), http.StatusConflict, CodeWrongState)
		d.settled(id, rejected)
		d.want("another producer", d.act(keyReports, id, "replay", nil), http.StatusNotFound, CodeNotFound)
		p := d.want("a bad value", d.act(keyBilling, id, "replay", map[string]any{"data": map[string]any{"thing1": "a\nb"}}),
			http.StatusUnprocessableEntity, CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Field != "/data/thing1" {
			t.Errorf("errors %+v", p.Errors)
		}
		d.want("an unknown field", d.act(keyBilling, id, "replay", `{"user_id":"7"}`), http.StatusUnprocessableEntity, CodeInvalid)

		a := d.act(keyBilling, id, "replay", map[string]any{
			"template_id": "need_confirm", "data": map[string]any{"applicant": "张三", "sum": 3}, "page": "", "force": false,
		})
		d.want("replay", a, http.StatusAccepted, "")
		if got := parsed[acted](d, a); got != (acted{ID: id, Ref: "r", State: store.Queued}) {
			t.Errorf("answer %+v", got)
		}
		n := d.row(id)
		if n.TemplateID != tmplApproval || n.Page != "" || n.UserID != "1042" || n.Generation != 2 ||
			!cmp.Equal(n.Data, map[string]string{"thing1": "张三", "number2": "3"}) {
			t.Errorf("row %+v", n)
		}
		actions, err := d.store.Actions(t.Context(), id)
		if err != nil || len(actions) != 1 || actions[0].Actor != "billing" || actions[0].Detail != "set data, page, template_id" {
			t.Errorf("actions %+v, %v", actions, err)
		}
		d.want("again", d.act(keyBilling, id, "replay", nil), http.StatusConflict, CodeWrongState)

		// As it is, with no body at all.
		d.settled(id, rejected)
		d.want("as it is", d.act(keyBilling, id, "replay", nil), http.StatusAccepted, "")
		if got := d.row(id); got.Generation != 3 || !cmp.Equal(got.Data, n.Data) {
			t.Errorf("row %+v", got)
		}
	})
}

// Only handing in can be tried: what is not understood is not done.
func TestActsHaveNoParameters(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	id := d.post(keyBilling, report(nil)).ID
	for _, verb := range []string{"cancel", "replay"} {
		a := d.do(keyBilling, "POST", "/v1/notifications/"+id.String()+"/"+verb+"?dry_run=true", nil)
		d.want(verb, a, http.StatusUnprocessableEntity, CodeInvalid)
	}
	if n := d.row(id); n.State != store.Queued {
		t.Errorf("%s, want queued", n.State)
	}
}

// What died in doubt needs force.
func TestReplayOfADoubt(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		id := d.post(keyBilling, report(nil)).ID
		d.settled(id, func(s *store.Settlement) {
			s.State, s.Class, s.Reason, s.Attempt.Outcome = store.Dead, store.ClassFault, store.ReasonInDoubt, "unsure"
		})
		d.want("without force", d.act(keyBilling, id, "replay", nil), http.StatusConflict, CodeInDoubt)
		d.want("with force", d.act(keyBilling, id, "replay", `{"force":true}`), http.StatusAccepted, "")
		actions, err := d.store.Actions(t.Context(), id)
		if err != nil || len(actions) != 1 || actions[0].Detail != "forced" {
			t.Errorf("actions %+v, %v", actions, err)
		}
	})
}

// What retention has blanked is replayed with all of it, or not.
func TestReplayOfWhatWasBlanked(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		id := d.post(keyBilling, report(map[string]any{"page": "pages/a?id=7"})).ID
		d.settled(id, func(s *store.Settlement) {
			rejected(s)
			s.Class = store.ClassRefused
		})
		blanker := d.store.(interface { //nolint:forcetypeassert // both stores are one
			BlankData(ctx context.Context, age time.Duration, limit int) (int, error)
		})
		if n, err := blanker.BlankData(t.Context(), 0, 10); err != nil || n != 1 {
			t.Fatalf("blanked %d, %v", n, err)
		}
		data := map[string]any{"thing1": "新"}
		d.want("as it is", d.act(keyBilling, id, "replay", nil), http.StatusConflict, CodeNoContent)
		d.want("without data", d.act(keyBilling, id, "replay", map[string]any{"page": "pages/a"}), http.StatusConflict, CodeNoContent)
		p := d.want("without the page", d.act(keyBilling, id, "replay", map[string]any{"data": data}), http.StatusUnprocessableEntity, CodeInvalid)
		if len(p.Errors) != 1 || p.Errors[0].Field != "/page" {
			t.Errorf("errors %+v", p.Errors)
		}
		d.want("all of it", d.act(keyBilling, id, "replay", map[string]any{"data": data, "page": "pages/a?id=8"}), http.StatusAccepted, "")
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		id := d.post(keyBilling, report(map[string]any{"ref": "r"})).ID
		d.want("another producer", d.act(keyReports, id, "cancel", nil), http.StatusNotFound, CodeNotFound)
		d.want("with a body", d.act(keyBilling, id, "cancel", `{"why":"x"}`), http.StatusUnprocessableEntity, CodeInvalid)
		for range 2 { // the second time nothing is left to do
			a := d.act(keyBilling, id, "cancel", nil)
			d.want("cancel", a, http.StatusOK, "")
			if got := parsed[acted](d, a); got != (acted{ID: id, Ref: "r", State: store.Cancelled}) {
				t.Errorf("answer %+v", got)
			}
		}
		if n := d.row(id); n.State != store.Cancelled || n.Reason != store.ReasonByAdmin {
			t.Errorf("row: %s, %s", n.State, n.Reason)
		}
		dead := d.post(keyBilling, report(nil)).ID
		d.settled(dead, rejected)
		d.want("dead", d.act(keyBilling, dead, "cancel", "{}"), http.StatusConflict, CodeWrongState)
		d.want("no such thing", d.act(keyManager, uuid.New(), "cancel", nil), http.StatusNotFound, CodeNotFound)
		d.want("by the manager", d.act(keyManager, d.post(keyBilling, report(nil)).ID, "cancel", nil), http.StatusOK, "")
	})
}
