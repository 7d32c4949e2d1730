package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// settled makes an attempt of a notification that has none, and what came of it.
func (d *door) settled(id uuid.UUID, edit func(*store.Settlement)) {
	d.Helper()
	if !d.row(id).State.Final() {
		if _, err := d.store.Bind(d.Context(), []store.Binding{{App: doorApp, UserID: "1042", OpenID: "openid-of-1042"}}); err != nil {
			d.Fatal(err)
		}
	}
	owner := uuid.New()
	results, err := d.store.Commit(d.Context(), store.Batch{Claims: []store.Claim{{ID: id, Generation: d.row(id).Generation, Owner: owner, Lease: time.Minute}}})
	if err != nil || !results.Claims[0].OK {
		d.Fatalf("claim: %v, %+v", err, results)
	}
	s := store.Settlement{
		ID: id, Seq: results.Claims[0].Look.Seq, State: store.Sent,
		Attempt: store.Attempt{At: time.Date(2026, 3, 2, 7, 1, 0, 123456789, time.UTC), Latency: 85 * time.Millisecond, Outcome: "ok"},
	}
	edit(&s)
	results, err = d.store.Commit(d.Context(), store.Batch{Settlements: []store.Settlement{s}})
	if err != nil || !results.Settlements[0].Applied {
		d.Fatalf("settle: %v, %+v", err, results)
	}
}

func rejected(s *store.Settlement) {
	s.State, s.Class, s.Reason, s.Field = store.Dead, store.ClassFault, store.ReasonRejected, "thing1"
	s.Attempt.Errcode, s.Attempt.Errmsg, s.Attempt.RID, s.Attempt.Outcome = 47003, "argument invalid", "rid-1", "rejected"
}

func TestGetNotification(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		id := d.post(keyBilling, report(map[string]any{"ref": "r", "page": "pages/secret?token=1"})).ID
		d.settled(id, rejected)
		a := d.do(keyBilling, "GET", "/v1/notifications/"+id.String(), nil)
		d.want("get", a, http.StatusOK, "")
		n := d.row(id)
		at := timestamp(time.Date(2026, 3, 2, 7, 1, 0, 123000000, time.UTC))
		want := notificationView{
			ID: id, Ref: "r", App: doorApp, TemplateID: tmplReport, UserID: "1042", Priority: store.Default, Duplicates: store.DuplicatesAvoid,
			State: store.Dead, Class: store.ClassFault, Reason: store.ReasonRejected, Field: "thing1", Errcode: 47003, Errmsg: "argument invalid",
			Receipt:   store.ReceiptNone,
			CreatedAt: timestamp(n.CreatedAt), UpdatedAt: timestamp(n.UpdatedAt), DueAt: timestamp(n.DueAt), ExpiresAt: timestamp(n.ExpiresAt),
			FinishedAt: timestamp(n.FinishedAt),
			Attempts:   &[]attemptView{{N: 1, At: at, LatencyMS: 85, Errcode: 47003, Errmsg: "argument invalid", RID: "rid-1", Outcome: "rejected"}},
		}
		if diff := cmp.Diff(want, parsed[notificationView](d, a)); diff != "" {
			t.Errorf("answer (-want +got):\n%s", diff)
		}
		for _, secret := range []string{"月报", "secret", "openid-of-1042"} {
			if strings.Contains(string(a.body), secret) {
				t.Errorf("%q is in the answer: %s", secret, a.body)
			}
		}

		d.want("another producer", d.do(keyReports, "GET", "/v1/notifications/"+id.String(), nil), http.StatusNotFound, CodeNotFound)
		d.want("the manager", d.do(keyManager, "GET", "/v1/notifications/"+id.String(), nil), http.StatusOK, "")
		for _, bad := range []string{uuid.NewString(), "x", "{" + id.String() + "}", strings.ReplaceAll(id.String(), "-", "")} {
			d.want("no id", d.do(keyBilling, "GET", "/v1/notifications/"+url.PathEscape(bad), nil), http.StatusNotFound, CodeNotFound)
		}
	})
}

// A msgid is above 2^53 and is answered exactly.
func TestMsgID(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	id := d.post(keyBilling, report(nil)).ID
	d.settled(id, func(s *store.Settlement) { s.Attempt.MsgID = 9007199254740993 })
	got := parsed[notificationView](d, d.do(keyBilling, "GET", "/v1/notifications/"+id.String(), nil))
	if got.State != store.Sent || got.MsgID != "9007199254740993" || (*got.Attempts)[0].MsgID != got.MsgID {
		t.Errorf("answer %+v", got)
	}
}

func TestListNotifications(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		var ids []uuid.UUID // the newest first
		for _, edits := range []map[string]any{
			{"ref": "a"},
			{"user_id": "7"},
			{"template_id": "need_confirm", "data": map[string]any{"thing1": "x", "number2": 1}},
			nil,
		} {
			ids = slices.Insert(ids, 0, d.post(keyBilling, report(edits)).ID)
		}
		d.post(keyReports, report(nil))
		d.settled(ids[0], rejected)
		list := func(query string) (got []uuid.UUID) {
			a := d.do(keyBilling, "GET", "/v1/notifications"+query, nil)
			d.want("list"+query, a, http.StatusOK, "")
			for _, n := range parsed[page[notificationView]](d, a).Items {
				got = append(got, n.ID)
			}
			return got
		}
		hour := time.Now().Add(time.Hour).Format(time.RFC3339)
		for query, want := range map[string][]uuid.UUID{
			"":                             ids,
			"?ref=a":                       ids[3:],
			"?user_id=7":                   ids[2:3],
			"?template_id=need_confirm":    ids[1:2],
			"?template_id=" + tmplApproval: ids[1:2],
			"?state=dead":                  ids[:1],
			"?state=queued":                ids[1:],
			"?class=fault&reason=rejected": ids[:1],
			"?errcode=47003":               ids[:1],
			"?class=refused":               nil,
			"?until=2020-01-01T00:00:00Z":  nil,
			"?since=2020-01-01T00:00:00Z&until=" + url.QueryEscape(hour): ids,
		} {
			if got := list(query); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}

		var paged []uuid.UUID
		cursor, pages := "", 0
		for {
			a := d.do(keyBilling, "GET", "/v1/notifications?limit=2&cursor="+url.QueryEscape(cursor), nil)
			got := parsed[page[notificationView]](d, a)
			pages++
			for _, n := range got.Items {
				paged = append(paged, n.ID)
			}
			if got.NextCursor == nil {
				break
			}
			cursor = *got.NextCursor
		}
		if !slices.Equal(paged, ids) || pages != 2 {
			t.Errorf("%d pages: %v, want %v in 2", pages, paged, ids)
		}

		a := d.do(keyManager, "GET", "/v1/notifications?limit=500", nil)
		if got := len(parsed[page[notificationView]](d, a).Items); got != 5 {
			t.Errorf("the manager sees %d, want all 5", got)
		}
		if a := d.do(keyReader, "GET", "/v1/notifications", nil); !strings.Contains(string(a.body), `"items":[]`) || !strings.Contains(string(a.body), `"next_cursor":null`) {
			t.Errorf("an empty list: %s", a.body)
		}
		for _, query := range []string{
			"?state=odd", "?class=none", "?reason=odd", "?errcode=x", "?since=yesterday", "?limit=0", "?limit=501", "?cursor=odd",
			"?unknown=1", "?ref=a&ref=b", "?ref=%zz", "?since=2020-01-01T00:00:00%2B8:0",
			"?ref=%00", "?user_id=%ff", "?template_id=a%00", // no database holds these
			"?cursor=1y2p0ij32e8e7.0192f0c4-7a1e-7cc3-98c4-dc0c0c07398f", "?cursor=-1y2p0ij32e8e8.0192f0c4-7a1e-7cc3-98c4-dc0c0c07398f",
		} {
			d.want(query, d.do(keyBilling, "GET", "/v1/notifications"+query, nil), http.StatusUnprocessableEntity, CodeInvalid)
		}
	})
}
