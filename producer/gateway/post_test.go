package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// A notification with everything: the alias becomes the id, names and labels
// become keys, numbers keep their digits, and what the request does not say is
// the template's.
func TestPostNotification(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		a := d.do(keyBilling, "POST", "/v1/notifications", `{
			"template_id": "need_confirm", "user_id": 9007199254740993, "page": "/pages/approval?id=7",
			"data": {"applicant": "张三", "金额": 12345678901234567890},
			"ref": "approval-7", "send_at": "2126-03-02T15:01:00+08:00", "app": null
		}`)
		if p := d.want("a moment a century ahead", a, http.StatusUnprocessableEntity, CodeInvalid); len(p.Errors) != 1 ||
			p.Errors[0].Field != "/send_at" || p.Errors[0].Code != FieldOutOfRange {
			t.Errorf("errors %+v", p.Errors)
		}
		sendAt := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		a = d.do(keyBilling, "POST", "/v1/notifications", fmt.Sprintf(`{
			"template_id": "need_confirm", "user_id": 9007199254740993, "page": "/pages/approval?id=7",
			"data": {"applicant": "张三", "金额": 123456789012.50},
			"ref": "approval-7", "send_at": %q, "app": null
		}`, sendAt.In(time.FixedZone("", 8*3600)).Format(time.RFC3339Nano)))
		d.want("post", a, http.StatusAccepted, "")
		got := parsed[accepted](d, a)
		if want := (accepted{ID: got.ID, Ref: "approval-7", State: store.Queued}); got != want || got.ID.Version() != 7 {
			t.Errorf("answer %+v, want %+v", got, want)
		}
		if location := a.header.Get("Location"); location != "/v1/notifications/"+got.ID.String() {
			t.Errorf("Location %q", location)
		}
		n := d.row(got.ID)
		want := store.Notification{
			ID: n.ID, App: doorApp, Producer: "billing", Ref: "approval-7", ContentHash: n.ContentHash,
			TemplateID: tmplApproval, Page: "pages/approval?id=7", UserID: "9007199254740993",
			Data: map[string]string{"thing1": "张三", "number2": "123456789012.50"}, Priority: store.Critical, Duplicates: store.DuplicatesAllow,
			Wait: 2 * time.Hour, NoConsent: store.NoConsentWait, ReleaseOrder: store.ReleaseNewest,
			State: store.Queued, Receipt: store.ReceiptNone, Generation: 1, DueAt: sendAt,
			ExpiresAt: n.ExpiresAt, WaitUntil: sendAt.Add(2 * time.Hour), HandoverAt: n.HandoverAt, CreatedAt: n.CreatedAt, UpdatedAt: n.UpdatedAt,
		}
		if diff := cmp.Diff(want, n); diff != "" {
			t.Errorf("row (-want +got):\n%s", diff)
		}
	})
}

// How long a notification may wait: the request's word, else the template's, else
// the producer's, else not at all.
func TestWait(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	approval := map[string]any{"template_id": "need_confirm", "data": map[string]any{"thing1": "张三", "number2": 1}}
	for _, tt := range []struct {
		key  string
		body map[string]any
		want time.Duration
	}{
		{keyBilling, report(map[string]any{"wait": 90}), 90 * time.Second},
		{keyBilling, report(map[string]any{"wait": 0}), 0},
		{keyBilling, report(nil), time.Hour},
		{keyReports, report(nil), 0},
		{keyBilling, report(approval), 2 * time.Hour},
		{keyReports, report(approval), 2 * time.Hour},
	} {
		if got := d.row(d.post(tt.key, tt.body).ID).Wait; got != tt.want {
			t.Errorf("%s, %v: wait %v, want %v", tt.key[:7], tt.body, got, tt.want)
		}
	}
}

// The long-term template's notifications avoid duplicates unless they say else.
func TestDuplicatesByTemplate(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	if got := d.row(d.post(keyBilling, report(nil)).ID).Duplicates; got != store.DuplicatesAvoid {
		t.Errorf("duplicates %s, want avoid", got)
	}
	if got := d.row(d.post(keyBilling, report(map[string]any{"duplicates": "allow"})).ID).Duplicates; got != store.DuplicatesAllow {
		t.Errorf("duplicates %s, want allow", got)
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	a := d.do(keyBilling, "POST", "/v1/notifications?dry_run=true", map[string]any{
		"template_id": "need_confirm", "openid": "o1", "data": map[string]any{"applicant": "张三", "sum": 7}, "ref": "r",
	}, "Idempotency-Key", "k")
	d.want("dry run", a, http.StatusOK, "")
	want := checkedOnly{DryRun: true, App: doorApp, TemplateID: tmplApproval, Data: map[string]string{"thing1": "张三", "number2": "7"}}
	if diff := cmp.Diff(want, parsed[checkedOnly](d, a)); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	d.want("a bad one", d.do(keyBilling, "POST", "/v1/notifications?dry_run=true", report(map[string]any{"lang": "xx"})),
		http.StatusUnprocessableEntity, CodeInvalid)
	d.want("neither", d.do(keyBilling, "POST", "/v1/notifications?dry_run=maybe", report(nil)), http.StatusUnprocessableEntity, CodeInvalid)
	list, err := d.store.List(t.Context(), store.Filter{})
	if err != nil || len(list) != 0 {
		t.Errorf("%d rows, %v: a dry run accepted something", len(list), err)
	}
	// Its key is free.
	d.post(keyBilling, report(nil), "Idempotency-Key", "k")
}

// Everything that is wrong is said at once, each field with its pointer and code.
func TestEveryBadFieldIsNamed(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	for _, tt := range []struct {
		name, body string
		want       map[string]FieldCode
	}{
		{"everything missing", `{}`, map[string]FieldCode{
			"/template_id": FieldRequired, "/user_id": FieldRequired, "/data": FieldRequired,
		}},
		{"null is absent", `{"template_id":null,"user_id":null,"openid":null,"data":null,"wait":null,"send_at":null}`, map[string]FieldCode{
			"/template_id": FieldRequired, "/user_id": FieldRequired, "/data": FieldRequired,
		}},
		{"wrong types", `{"template_id":7,"user_id":1.5,"data":"{}","page":[],"wait":"1h","send_at":1,"ref":{},"priority":true}`, map[string]FieldCode{
			"/template_id": FieldWrongType, "/user_id": FieldWrongType, "/data": FieldWrongType, "/page": FieldWrongType,
			"/wait": FieldWrongType, "/send_at": FieldWrongType, "/ref": FieldWrongType, "/priority": FieldWrongType,
		}},
		{
			"wrong values", `{"template_id":"need_confirm","user_id":"1","openid":"o","data":{"applicant":"","sum":"x","more":1},
			"priority":"urgent","duplicates":"maybe","lang":"xx","miniprogram_state":"beta","wait":-1,"expires_at":"yesterday","ref":"` + strings.Repeat("r", 200) + `"}`,
			map[string]FieldCode{
				"/openid": FieldConflict, "/data/applicant": FieldCode(template.CodeEmpty), "/data/sum": FieldBadFormat,
				"/data/more": FieldCode(template.CodeUnknownKey),
				"/priority":  FieldNotInList, "/duplicates": FieldNotInList, "/lang": FieldNotInList, "/miniprogram_state": FieldNotInList,
				"/wait": FieldOutOfRange, "/expires_at": FieldBadFormat, "/ref": FieldTooLong,
			},
		},
		{
			"unknown fields", `{"template_id":"need_confirm","user_id":"1","data":{"thing1":{"value":"x","color":"red"},"number2":1},"to":"x","a/b~c":1}`,
			map[string]FieldCode{"/to": FieldUnknown, "/a~1b~0c": FieldUnknown, "/data/thing1/color": FieldUnknown},
		},
		{
			"twice", `{"template_id":"need_confirm","template_id":"need_confirm","user_id":"1","data":{"thing1":"x","thing1":"y","number2":1}}`,
			map[string]FieldCode{"/template_id": FieldDuplicate, "/data/thing1": FieldDuplicate},
		},
		{
			"twice under two names", `{"template_id":"need_confirm","user_id":"1","data":{"thing1":"x","申请人":"y","number2":1}}`,
			map[string]FieldCode{"/data/申请人": FieldCode(template.CodeDuplicateKey)},
		},
		{
			"unknown template", `{"template_id":"nobody","user_id":"1","data":{"thing1":"x"}}`,
			map[string]FieldCode{"/template_id": FieldCode(template.CodeUnknownTemplate)},
		},
		{
			"unknown app", `{"template_id":"need_confirm","app":"wxnone","user_id":"1","data":{"thing1":"x"}}`,
			map[string]FieldCode{"/app": FieldNotInList},
		},
		{
			"past", `{"template_id":"need_confirm","user_id":"1","data":{"thing1":"x","number2":1},"expires_at":"2020-01-01T00:00:00Z"}`,
			map[string]FieldCode{"/expires_at": FieldOutOfRange},
		},
		{
			"too much data", `{"template_id":"need_confirm","user_id":"1","data":{"thing1":"x","number2":1},"page":"` + strings.Repeat("p", 2000) + `"}`,
			map[string]FieldCode{"/page": FieldTooLong},
		},
		{"no object", `[]`, map[string]FieldCode{"": FieldWrongType}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := d.in(t)
			p := d.want("post", d.do(keyBilling, "POST", "/v1/notifications", tt.body), http.StatusUnprocessableEntity, CodeInvalid)
			got := map[string]FieldCode{}
			for _, f := range p.Errors {
				got[f.Field] = f.Code
				if f.Reason == "" {
					t.Errorf("%s has no reason", f.Field)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || len(got) != len(p.Errors) {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
			if !slices.IsSortedFunc(p.Errors, func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) }) {
				t.Errorf("errors out of order: %+v", p.Errors)
			}
		})
	}
}

func TestRef(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		first := d.post(keyBilling, report(map[string]any{"ref": "r"}))
		for _, key := range []string{keyBilling, keyBilling2} {
			if again := d.post(key, report(map[string]any{"ref": "r"})); again.ID != first.ID || !again.Duplicate || again.Ref != "r" {
				t.Errorf("again: %+v, want %s as a duplicate", again, first.ID)
			}
		}
		p := d.want("other content", d.do(keyBilling, "POST", "/v1/notifications", report(map[string]any{"ref": "r", "page": "pages/x"})),
			http.StatusConflict, CodeRefConflict)
		if len(p.Errors) != 1 || p.Errors[0].Field != "/ref" {
			t.Errorf("errors %+v", p.Errors)
		}
		if other := d.post(keyReports, report(map[string]any{"ref": "r"})); other.ID == first.ID || other.Duplicate {
			t.Errorf("another producer: %+v", other)
		}
	})
}

// The repeat of a request finds what it was accepted as, also when it would be
// refused by now: its time went by, and its template's policy changed.
func TestRefOfOldRequest(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		old := report(map[string]any{"ref": "old", "expires_at": "2020-01-01T00:00:00Z"})
		b, err := json.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		parsedOld, faults := ParseNotification(b)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		parsedOld.App = doorApp
		id := uuid.Must(uuid.NewV7())
		_, err = d.store.Insert(t.Context(), []store.Acceptance{{MaxAge: time.Hour, Notification: store.Notification{
			ID: id, App: doorApp, Producer: "billing", Ref: "old", ContentHash: parsedOld.Hash(),
			TemplateID: parsedOld.TemplateID, UserID: parsedOld.UserID, OpenID: parsedOld.OpenID, Data: parsedOld.Data, Generation: 1,
			// Other policies than the catalog has now.
			Duplicates: store.DuplicatesAllow, Priority: store.Low, Wait: 3 * time.Hour,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		if again := d.post(keyBilling, old); again.ID != id || !again.Duplicate {
			t.Errorf("again: %+v, want %s as a duplicate", again, id)
		}
		batch := parsed[batchAnswer](d, d.do(keyBilling, "POST", "/v1/notifications/batch", map[string]any{"notifications": []any{old}}))
		if batch.Accepted != 1 || *batch.Results[0].ID != id {
			t.Errorf("in a batch: %+v", batch)
		}
		other := report(map[string]any{"ref": "old", "expires_at": "2020-01-02T00:00:00Z"})
		d.want("other content", d.do(keyBilling, "POST", "/v1/notifications", other), http.StatusUnprocessableEntity, CodeInvalid)
		d.want("another producer", d.do(keyReports, "POST", "/v1/notifications", old), http.StatusUnprocessableEntity, CodeInvalid)
	})
}

// parallel makes requests at a time and returns the statuses and, of those that
// were accepted, the ids.
func parallel(d *door, n int, request func() (answer, error)) (statuses map[int]int, ids map[uuid.UUID]int) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
	)
	statuses, ids = map[int]int{}, map[uuid.UUID]int{}
	for range n {
		group.Go(func() {
			a, err := request()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				d.Errorf("request: %v", err)
				return
			}
			statuses[a.status]++
			var got accepted
			if a.status == http.StatusAccepted && json.Unmarshal(a.body, &got) == nil {
				ids[got.ID]++
			}
		})
	}
	group.Wait()
	return statuses, ids
}

func TestParallelPostsWithOneRef(t *testing.T) {
	t.Parallel()
	eachDoor(t, func(t *testing.T, d *door) {
		statuses, ids := parallel(d, 100, func() (answer, error) {
			return d.try(t.Context(), keyBilling, "POST", "/v1/notifications", report(map[string]any{"ref": "r"}))
		})
		if statuses[http.StatusAccepted] != 100 || len(ids) != 1 {
			t.Errorf("statuses %v, %d notifications, want one", statuses, len(ids))
		}
		d.wantRows(1)
	})
}

// wantRows counts what was accepted.
func (d *door) wantRows(want int) {
	d.Helper()
	list, err := d.store.List(d.Context(), store.Filter{Limit: 500})
	if err != nil || len(list) != want {
		d.Errorf("%d rows, %v, want %d", len(list), err, want)
	}
}
