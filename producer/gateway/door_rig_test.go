package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
)

// doorStore is what the tests about notifications use of both stores.
type doorStore interface {
	peopleStore
	NotificationStore
	RequestStore
	Actions(ctx context.Context, id uuid.UUID) ([]store.Action, error)
}

// The apps and templates of these tests.
const (
	doorApp      = "wxdoor"
	doorOtherApp = "wxother"
	tmplApproval = "TmplApproval-0000000000000000000000000000001" // alias need_confirm
	tmplReport   = "TmplReport-000000000000000000000000000000002"
)

// The keys of the producers of these tests.
const (
	keyBilling  = "billing-0123456789012345678901234567"  // sends and reads
	keyBilling2 = "billing-second-567890123456789012345"  // the same producer
	keyReports  = "reports-0123456789012345678901234567"  // sends and reads
	keyReader   = "reader-01234567890123456789012345678"  // reads only
	keyManager  = "manager-0123456789012345678901234567"  // reads and sends, for all producers
	keyApproval = "approval-012345678901234567890123456"  // sends one template, by its alias
	keyAppOnly  = "app-only-0123456789012345678901234567" // sends in the other app only
)

// door is a gateway on a store, with no queue: Relay is not part of it.
type door struct {
	testing.TB
	store   doorStore
	gateway *Gateway
	client  *http.Client
	url     string
	logs    *logBuffer
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// in is the door of a subtest.
func (d *door) in(t *testing.T) *door {
	t.Helper()
	same := *d
	same.TB, same.client = t, newContract(t)
	return &same
}

// eachDoor runs a test on a store of each kind.
func eachDoor(t *testing.T, test func(t *testing.T, d *door)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		st, _ := postgrestest.Open(t)
		test(t, newDoor(t, st))
	})
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, sqliteDoor(t))
	})
}

// sqliteDoor is for tests in which the store does not matter.
func sqliteDoor(t *testing.T, edits ...func(*Config)) *door {
	t.Helper()
	st, _ := openSQLite(t)
	return newDoor(t, st.(doorStore), edits...) //nolint:forcetypeassert // it is the same store
}

func newDoor(tb testing.TB, st doorStore, edits ...func(*Config)) *door {
	tb.Helper()
	d := &door{TB: tb, store: st, client: newContract(tb), logs: new(logBuffer)}
	client, err := producer.New(producer.Config{Store: st, DefaultApp: doorApp})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(d.logs), zap.DebugLevel))
	config := Config{
		Apps: []App{{ID: doorApp}, {ID: doorOtherApp}}, DefaultApp: doorApp, Client: client,
		Notifications: st, Requests: st, Users: st, Consents: st, Eraser: new(Eraser), Catalog: d, Logins: noLogins{},
		Logger: logger, Registerer: prometheus.NewRegistry(), Producers: doorProducers(),
	}
	for _, edit := range edits {
		edit(&config)
	}
	if d.gateway, err = New(config); err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewUnstartedServer(d.gateway.Handler())
	server.Config = NewServer(ServerConfig{Handler: d.gateway.Handler(), Logger: logger})
	server.Start()
	tb.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func doorProducers() []Producer {
	hashes := func(keys ...string) (list []apikey.Hash) {
		for _, k := range keys {
			list = append(list, apikey.Of(k))
		}
		return list
	}
	both := []Right{RightSend, RightRead}
	return []Producer{
		{Name: "billing", Keys: hashes(keyBilling, keyBilling2), Rights: both, DefaultWait: time.Hour},
		{Name: "reports", Keys: hashes(keyReports), Rights: both},
		{Name: "reader", Keys: hashes(keyReader), Rights: []Right{RightRead}},
		{Name: "manager", Keys: hashes(keyManager), Rights: append(both, RightManage)},
		{Name: "approval", Keys: hashes(keyApproval), Rights: both, Templates: []string{"need_confirm"}},
		{Name: "app-only", Keys: hashes(keyAppOnly), Rights: both, Apps: []string{doorOtherApp}},
	}
}

// doorCatalog has a template with names and labels and a policy, in both apps,
// and one that is as WeChat made it.
var doorCatalog = sync.OnceValue(func() *template.Catalog {
	wait := 2 * time.Hour
	c := template.Contents{Strict: template.StrictTrue}
	for _, app := range []string{doorApp, doorOtherApp} {
		c.Syncs = append(c.Syncs, store.TemplateSync{App: app, SyncedAt: time.Unix(1, 0)})
		c.Templates = append(c.Templates,
			store.Template{
				App: app, TemplateID: tmplApproval, Title: "审批", Type: store.TemplateOneTime,
				Keys: []store.TemplateKey{{Key: "thing1", Label: "申请人"}, {Key: "number2", Label: "金额"}},
			},
			store.Template{
				App: app, TemplateID: tmplReport, Title: "报表", Type: store.TemplateLongTerm,
				Keys: []store.TemplateKey{{Key: "thing1", Label: "名称"}},
			})
		c.Entries = append(c.Entries, template.Entry{
			App: app, TemplateID: tmplApproval, Alias: "need_confirm",
			Fields: []template.EntryField{{Name: "applicant", Key: "thing1"}, {Name: "sum", Key: "number2"}},
			Policy: template.Policy{Priority: store.Critical, Wait: &wait, NoConsent: template.NoConsentWait},
		})
	}
	return template.NewCatalog(c)
})

// Catalog implements Catalog.
func (*door) Catalog(context.Context) (*template.Catalog, error) { return doorCatalog(), nil }

// noLogins stands in where nobody logs in.
type noLogins struct{ Logins }

// report is the body of a notification for tmplReport; edits set fields, nil
// takes one out.
func report(edits map[string]any) map[string]any {
	body := map[string]any{"template_id": tmplReport, "user_id": "1042", "data": map[string]any{"thing1": "月报"}}
	maps.Copy(body, edits)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	return body
}

// do makes a request. A body that is no string is sent as JSON; headers are
// pairs.
func (d *door) do(key, method, path string, body any, headers ...string) answer {
	d.Helper()
	a, err := d.try(context.Background(), key, method, path, body, headers...)
	if err != nil {
		d.Fatal(err)
	}
	return a
}

func (d *door) try(ctx context.Context, key, method, path string, body any, headers ...string) (answer, error) {
	text, isText := body.(string)
	if !isText && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		text = string(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	resp, err := d.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// want checks the status of an answer, and the code of a problem.
func (d *door) want(what string, a answer, status int, code Code) Problem {
	d.Helper()
	var p Problem
	if status >= 400 {
		if err := json.Unmarshal(a.body, &p); err != nil {
			d.Errorf("%s: %d, no problem document: %v", what, a.status, err)
		}
	}
	if a.status != status || p.Code != code {
		d.Errorf("%s: %d %s, want %d %s (%s)", what, a.status, p.Code, status, code, a.body)
	}
	return p
}

// post hands in a notification that is accepted.
func (d *door) post(key string, body any, headers ...string) accepted {
	d.Helper()
	a := d.do(key, "POST", "/v1/notifications", body, headers...)
	d.want("post", a, http.StatusAccepted, "")
	return parsed[accepted](d, a)
}

// parsed is the body of an answer.
func parsed[T any](d *door, a answer) T {
	d.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		d.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// row is a notification as it is stored.
func (d *door) row(id uuid.UUID) store.Notification {
	d.Helper()
	n, _, err := d.store.Get(context.Background(), id)
	if err != nil {
		d.Fatal(err)
	}
	return n
}
