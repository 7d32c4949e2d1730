package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store"
)

// A key's scope: its apps and its templates, which may be named by their alias.
func TestScopes(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	approval := map[string]any{"template_id": tmplApproval, "data": map[string]any{"thing1": "张三", "number2": 1}}
	id := d.post(keyApproval, report(approval)).ID
	d.want("another template", d.do(keyApproval, "POST", "/v1/notifications", report(nil)), http.StatusForbidden, CodeForbiddenTemplate)
	d.want("another template, dry", d.do(keyApproval, "POST", "/v1/notifications?dry_run=true", report(nil)), http.StatusForbidden, CodeForbiddenTemplate)
	d.settled(id, rejected)
	d.want("replay as another", d.act(keyApproval, id, "replay", map[string]any{"template_id": tmplReport, "data": map[string]any{"thing1": "x"}}),
		http.StatusForbidden, CodeForbiddenTemplate)

	d.post(keyAppOnly, report(map[string]any{"app": doorOtherApp}))
	d.want("another app", d.do(keyAppOnly, "POST", "/v1/notifications", report(nil)), http.StatusForbidden, CodeForbiddenApp)
	d.want("another app by name", d.do(keyAppOnly, "POST", "/v1/notifications", report(map[string]any{"app": doorApp})), http.StatusForbidden, CodeForbiddenApp)
}

// Each key has its own rate.
func TestRate(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, func(c *Config) { c.Producers[0].Rate, c.Producers[0].Burst = 0.001, 2 })
	for range 2 {
		d.post(keyBilling, report(nil))
	}
	a := d.do(keyBilling, "POST", "/v1/notifications", report(nil))
	d.want("one too many", a, http.StatusTooManyRequests, CodeRateLimited)
	if after := a.header.Get("Retry-After"); after == "" || after == "0" || after == "1" {
		t.Errorf("Retry-After %q, want the time until the next one", after)
	}
	d.post(keyBilling2, report(nil))
	d.post(keyReports, report(nil))
}

// What is no operation, or not JSON, is answered as a problem, too.
func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, func(c *Config) { c.Limits.Body, c.Limits.BatchBody = 2000, 4000 })
	post := func(body string, headers ...string) answer {
		return d.do(keyBilling, "POST", "/v1/notifications", body, headers...)
	}
	d.want("no such path", d.do(keyBilling, "GET", "/v2", nil), http.StatusNotFound, CodeNotFound)
	if a := d.do(keyBilling, "GET", "/v2", nil); !strings.Contains(string(a.body), "there is no such path") {
		t.Errorf("no such path: %s", a.body)
	}
	d.want("a path that is not clean", d.do(keyBilling, "POST", "/v1//notifications", report(nil)), http.StatusNotFound, CodeNotFound)
	a := d.do(keyBilling, "DELETE", "/v1/notifications", nil)
	d.want("another method", a, http.StatusMethodNotAllowed, CodeMethod)
	if allow := a.header.Get("Allow"); !strings.Contains(allow, "POST") {
		t.Errorf("Allow %q", allow)
	}
	for _, body := range []string{"", "{", "null x", `{"a":1}{}`, "\xff\xfe", `{"template_id":"` + "\xff" + `"}`, strings.Repeat(`{"data":`, 20) + "1" + strings.Repeat("}", 20)} {
		d.want("not JSON", post(body), http.StatusBadRequest, CodeNotJSON)
	}
	for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/json; charset=gbk", ""} {
		d.want("of type "+mediaType, post("{}", "Content-Type", mediaType), http.StatusUnsupportedMediaType, CodeMediaType)
	}
	d.want("compressed", post("{}", "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, CodeMediaType)
	d.want("with its charset", post("{}", "Content-Type", "application/json; charset=UTF-8"), http.StatusUnprocessableEntity, CodeInvalid)
	d.want("too large", post(`{"page":"`+strings.Repeat("x", 2000)+`"}`), http.StatusRequestEntityTooLarge, CodeTooLarge)
	d.want("a batch may be larger", d.do(keyBilling, "POST", "/v1/notifications/batch", `{"x":"`+strings.Repeat("x", 2000)+`"}`),
		http.StatusUnprocessableEntity, CodeInvalid)
	for _, authorization := range []string{"Basic " + keyBilling, keyBilling, "Bearer", "Bearer " + keyBilling + "x", "Bearer " + keyBilling + " x"} {
		d.want("authorization", d.do("", "POST", "/v1/notifications", report(nil), "Authorization", authorization), http.StatusUnauthorized, CodeUnauthorized)
	}
}

// The API is for back ends: a browser's page elsewhere may read nothing of it,
// and nothing of it is kept on the way.
func TestHeaders(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	for _, a := range []answer{
		d.do(keyBilling, "POST", "/v1/notifications", report(nil), "Origin", "https://example.com"),
		d.do(keyBilling, "OPTIONS", "/v1/notifications", nil, "Origin", "https://example.com", "Access-Control-Request-Method", "POST"),
		d.do("", "GET", "/v1/notifications", nil, "Origin", "https://example.com"),
	} {
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%d with %s", a.status, name)
			}
		}
	}
	a := d.do(keyBilling, "GET", "/v1/notifications", nil)
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q", got)
	}
}

// A handler that panics is a problem of one request.
func TestPanic(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, func(c *Config) { c.Notifications = panicking{c.Notifications} })
	for range 2 {
		d.want("panic", d.do(keyBilling, "GET", "/v1/notifications/"+uuid.NewString(), nil), http.StatusInternalServerError, CodeInternal)
	}
	if logs := d.logs.String(); !strings.Contains(logs, "panicked") || strings.Contains(logs, "somebody's secret") {
		t.Errorf("log: %s", logs)
	}
	d.post(keyBilling, report(nil))
	if n := testutil.ToFloat64(d.gateway.metrics.requests.WithLabelValues("GET /v1/notifications/{id}", "500")); n != 2 {
		t.Errorf("%v requests with status 500 counted, want 2", n)
	}
}

// panicking is a store that panics.
type panicking struct{ NotificationStore }

func (panicking) Get(context.Context, uuid.UUID) (store.Notification, []store.Attempt, error) {
	panic("somebody's secret")
}

// awayStore is a store that does not answer.
type awayStore struct{ doorStore }

func (awayStore) Get(context.Context, uuid.UUID) (store.Notification, []store.Attempt, error) {
	return store.Notification{}, nil, store.ErrUnavailable
}

func (awayStore) Insert(context.Context, []store.Acceptance) ([]store.Inserted, error) {
	return nil, store.ErrUnavailable
}

// Without the store nothing is accepted, and the client is told to come again.
func TestTheStoreIsAway(t *testing.T) {
	t.Parallel()
	st, _ := openSQLite(t)
	d := newDoor(t, awayStore{st.(doorStore)}) //nolint:forcetypeassert // it is one
	for name, a := range map[string]answer{
		"get":   d.do(keyBilling, "GET", "/v1/notifications/"+uuid.NewString(), nil),
		"post":  d.do(keyBilling, "POST", "/v1/notifications", report(nil)),
		"batch": d.do(keyBilling, "POST", "/v1/notifications/batch", map[string]any{"notifications": []any{report(nil)}}),
	} {
		d.want(name, a, http.StatusServiceUnavailable, CodeUnavailable)
	}
}

// Draining lets what is under way end, and nothing in.
func TestDrain(t *testing.T) {
	t.Parallel()
	held := &heldStore{came: make(chan struct{}), let: make(chan struct{})}
	d := sqliteDoor(t, func(c *Config) {
		held.NotificationStore = c.Notifications
		c.Notifications = held
	})
	id := d.post(keyBilling, report(nil)).ID
	got := make(chan answer)
	go func() { got <- d.do(keyBilling, "GET", "/v1/notifications/"+id.String(), nil) }()
	<-held.came
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.gateway.Drain(over); err == nil {
		t.Error("drained with a request under way")
	}
	d.want("while draining", d.do(keyBilling, "POST", "/v1/notifications", report(nil)), http.StatusServiceUnavailable, CodeDraining)
	close(held.let)
	d.want("under way", <-got, http.StatusOK, "")
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := d.gateway.Drain(ctx); err != nil {
			t.Errorf("drain: %v", err)
		}
		cancel()
	}
}

// heldStore holds a Get until it is let go.
type heldStore struct {
	NotificationStore
	came, let chan struct{}
}

func (h *heldStore) Get(ctx context.Context, id uuid.UUID) (store.Notification, []store.Attempt, error) {
	h.came <- struct{}{}
	<-h.let
	return h.NotificationStore.Get(ctx, id)
}

// Neither keys nor what notifications say get into logs and metrics.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	st, _ := openSQLite(t)
	registry := prometheus.NewRegistry()
	d := newDoor(t, awayStore{st.(doorStore)}, func(c *Config) { c.Registerer = registry }) //nolint:forcetypeassert // it is one
	body := report(map[string]any{"user_id": nil, "openid": "openid-secret", "page": "pages/x?secret=page-secret", "ref": "ref-secret", "data": map[string]any{"thing1": "data-secret"}})
	d.do(keyBilling, "POST", "/v1/notifications", body)
	d.do(keyBilling, "POST", "/v1/notifications", body, "Idempotency-Key", "idempotency-secret")
	d.do(keyBilling, "POST", "/v1/notifications/batch", map[string]any{"notifications": []any{body}})
	d.do("unknown-secret", "POST", "/v1/notifications", body)
	d.do(keyBilling, "GET", "/v1/path-secret?query=query-secret", nil)
	logs := d.logs.String()
	if logs == "" {
		t.Error("nothing was logged")
	}
	families, err := registry.Gather()
	if err != nil || len(families) == 0 {
		t.Fatalf("%d metrics, %v", len(families), err)
	}
	metrics := fmt.Sprint(families)
	for _, secret := range []string{keyBilling, "secret"} {
		if strings.Contains(logs, secret) || strings.Contains(metrics, secret) {
			t.Errorf("%q is in the log or the metrics:\n%s\n%s", secret, logs, metrics)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		Apps: []App{{ID: "a"}, {ID: "b"}}, Limits: Limits{Body: -1},
		Producers: []Producer{
			{Name: "x", Keys: []apikey.Hash{{1}}, Rights: []Right{"odd"}},
			{Name: "x", Keys: []apikey.Hash{{1}}, Rate: -1},
			{},
		},
	})
	if err == nil {
		t.Fatal("a config without anything was taken")
	}
	for _, want := range []string{
		"Client", "Notifications", "Requests", "DefaultApp", "Limits", "Producers[0]", `"odd"`, "name is there twice", "key is there twice",
		"negative", "Producers[2]",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not reported: %v", want, err)
		}
	}
	client, err := producer.New(producer.Config{Store: awayStore{}, DefaultApp: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := newKeyring([]Producer{{Name: "a b"}}, client, nil); err == nil {
		t.Error("a producer with a name that is none was taken")
	}
}
