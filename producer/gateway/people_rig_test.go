package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/store/sqlite"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// peopleStore is what the tests about people use of both stores.
type peopleStore interface { //nolint:interfacebloat // the union of what they use
	UserStore
	ConsentStore
	EraseStore
	NotificationStore
	RequestStore
	producer.Store
	Commit(ctx context.Context, b store.Batch) (store.Results, error)
	ReceivePushes(ctx context.Context, pushes []store.Push) ([]bool, error)
	RecordReceipts(ctx context.Context, events []store.ReceiptEvent) ([]store.Receipted, error)
}

// people is a gateway with everything around it real but WeChat.
type people struct {
	*testing.T
	store    peopleStore
	address  string // of the database
	redis    *redis.Client
	sim      *simulator.Simulator
	wechat   *wechat.Client
	gateway  *Gateway
	eraser   *Eraser
	client   *producer.Client
	registry *prometheus.Registry
	url      string
	http     *http.Client

	app, other string // appids; app is the default
	entries    []template.Entry
	pauses     []store.TemplatePause
	now        func() time.Time
	source     store.ConsentSource
	edit       func() // of what needs the appids; nil: none

	mu       sync.Mutex
	logs     bytes.Buffer // as JSON
	sessions []string     // every session_key that WeChat gave
	answers  bytes.Buffer // every body that the gateway answered
}

// eachPeople runs a test on a store of each kind.
func eachPeople(t *testing.T, test func(p *people), edits ...func(*people)) {
	t.Helper()
	run := func(name string, open func(t *testing.T) (peopleStore, string)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, address := open(t)
			p := &people{T: t, store: st, address: address, source: store.ConsentClient, now: time.Now}
			for _, edit := range edits {
				edit(p)
			}
			p.start()
			test(p)
		})
	}
	run("postgres", func(t *testing.T) (peopleStore, string) { return postgrestest.Open(t) })
	run("sqlite", openSQLite)
}

func openSQLite(t *testing.T) (peopleStore, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wxnotify.db")
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	if err := st.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return st, path
}

// The keys of the producers of these tests, by what they may do.
const (
	keyAll   = "key-all-0123456789012345678901234"
	keySend  = "key-send-012345678901234567890123"
	keyOther = "key-other-01234567890123456789012" // everything, in the other app only
	keyOne   = "key-one-0123456789012345678901234" // everything, for one template only
)

func (p *people) start() {
	p.Helper()
	suffix := strings.ReplaceAll(uuid.NewString(), "-", "")[:14]
	p.app, p.other = "wxa"+suffix, "wxb"+suffix
	p.redis = peopleRedis(p.T)
	if p.edit != nil {
		p.edit()
	}
	apps := make([]simulator.App, 2)
	for i, id := range []string{p.app, p.other} {
		apps[i] = simulator.SeedApp()
		apps[i].AppID = id
	}
	sim, simURL := simulatortest.Start(p, simulator.Config{Apps: apps, AutoConsent: true})
	p.sim = sim
	p.registry = prometheus.NewRegistry()
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(writer(p.log)), zap.DebugLevel))
	var err error
	p.wechat, err = wechat.New(wechat.Config{BaseURL: p.listen(simURL), Logger: logger, Registerer: p.registry, Timeout: 30 * time.Second})
	p.must(err)
	p.Cleanup(p.wechat.Close)
	p.client, err = producer.New(producer.Config{Redis: p.redis, Store: p.store, App: p.app, DefaultApp: p.app, Producer: "back-end"})
	p.must(err)
	p.Cleanup(func() { p.must(p.client.Close()) })
	p.eraser, err = NewEraser(EraserConfig{
		Store: p.store, Redis: p.redis, DefaultApp: p.app, Logger: logger, Registerer: p.registry,
		settled: time.Nanosecond,
	})
	p.must(err)

	config := Config{
		DefaultApp: p.app, Client: p.client, Notifications: p.store, Requests: p.store, Users: p.store, Consents: p.store, Eraser: p.eraser, Catalog: p, Logins: p.wechat,
		Logger: logger, Registerer: p.registry, now: p.now,
		Producers: []Producer{
			{Name: "all", Keys: []apikey.Hash{apikey.Of(keyAll)}, Rights: Rights},
			{Name: "sender", Keys: []apikey.Hash{apikey.Of(keySend)}, Rights: []Right{RightSend}},
			{Name: "other", Keys: []apikey.Hash{apikey.Of(keyOther)}, Rights: Rights, Apps: []string{p.other}},
			{Name: "one", Keys: []apikey.Hash{apikey.Of(keyOne)}, Rights: Rights, Templates: []string{simulator.SeedApproval}},
		},
	}
	for _, a := range apps {
		tokens, err := wechat.NewTokens(wechat.TokensConfig{App: wechat.App{AppID: a.AppID, Secret: a.Secret}, Client: p.wechat, Logger: logger})
		p.must(err)
		p.Cleanup(func() { p.must(tokens.Stop(context.Background())) })
		config.Apps = append(config.Apps, App{ID: a.AppID, Secret: a.Secret, Tokens: tokens, ConsentSource: p.source})
	}
	p.gateway, err = New(config)
	p.must(err)
	server := httptest.NewServer(p.gateway.Handler())
	p.Cleanup(server.Close)
	p.http = newContract(p.T)
	p.url = server.URL
}

// peopleRedis is the Redis that all tests share; a test keeps apart by its apps.
func peopleRedis(t *testing.T) *redis.Client {
	t.Helper()
	address := os.Getenv("TEST_REDIS_URL")
	if address == "" {
		if os.Getenv("WXNOTIFY_TEST_SERVERS") == "required" {
			t.Fatal("TEST_REDIS_URL is missing")
		}
		t.Skip("TEST_REDIS_URL is missing")
	}
	opt, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opt)
	t.Cleanup(func() {
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	})
	return rdb
}

// listen serves a proxy before WeChat that keeps every session key.
func (p *people) listen(simURL string) string {
	target, err := url.Parse(simURL)
	p.must(err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{DisableKeepAlives: true} // or it would ask again after a broken connection
	proxy.ModifyResponse = func(r *http.Response) error {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		var session struct {
			Key string `json:"session_key"`
		}
		if json.Unmarshal(b, &session) == nil && session.Key != "" {
			p.mu.Lock()
			p.sessions = append(p.sessions, session.Key)
			p.mu.Unlock()
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	server := httptest.NewServer(proxy)
	p.Cleanup(server.Close)
	return server.URL
}

// writer makes an io.Writer of a function.
type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func (p *people) log(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logs.Write(b)
}

// logged is everything that was logged.
func (p *people) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logs.String()
}

// Catalog makes people a Catalog: the templates of the simulator, and the entries
// and pauses of the test.
func (p *people) Catalog(context.Context) (*template.Catalog, error) {
	c := template.Contents{Entries: p.entries, Pauses: p.pauses}
	for _, app := range []string{p.app, p.other} {
		c.Syncs = append(c.Syncs, store.TemplateSync{App: app, SyncedAt: time.Now()})
		for _, t := range simulator.SeedTemplates() {
			c.Templates = append(c.Templates, store.Template{
				App: app, TemplateID: t.PriTmplID, Title: t.Title, Content: t.Content, Type: t.Type, SyncedAt: time.Now(),
				Keys: []store.TemplateKey{{Key: "thing1", Label: "事项"}},
			})
		}
	}
	return template.NewCatalog(c), nil
}

func (p *people) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// answer is what the gateway answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes a request. A body that is no string is sent as JSON.
func (p *people) do(key, method, path string, body any) answer {
	p.Helper()
	return p.doCtx(p.Context(), key, method, path, body)
}

func (p *people) doCtx(ctx context.Context, key, method, path string, body any) answer {
	p.Helper()
	a, err := p.try(ctx, key, method, path, body)
	p.must(err)
	return a
}

func (p *people) try(ctx context.Context, key, method, path string, body any) (answer, error) {
	text, isText := body.(string)
	if !isText && body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		text = string(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := p.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers.Write(b)
	return answer{resp.StatusCode, resp.Header, b}, err
}

// want checks the status of an answer, and the code of a problem.
func (p *people) want(what string, a answer, status int, code Code) answer {
	p.Helper()
	var problem struct {
		Code   Code         `json:"code"`
		Errors []FieldError `json:"errors"`
	}
	if status >= 400 {
		if err := json.Unmarshal(a.body, &problem); err != nil {
			p.Errorf("%s: %d, no problem document: %v", what, a.status, err)
		}
	}
	if a.status != status || problem.Code != code {
		p.Errorf("%s: %d %s, want %d %s (%s)", what, a.status, problem.Code, status, code, a.body)
	}
	return a
}

// wantField checks that an answer is about one bad field.
func (p *people) wantField(what string, a answer, field string, code FieldCode) {
	p.Helper()
	var problem Problem
	p.must(json.Unmarshal(a.body, &problem))
	if a.status != http.StatusUnprocessableEntity || len(problem.Errors) != 1 || problem.Errors[0].Field != field || problem.Errors[0].Code != code {
		p.Errorf("%s: %d %s, want field %s, %s", what, a.status, a.body, field, code)
	}
}

// wantJSON checks the body of an answer, without the fields that are left out.
func (p *people) wantJSON(what string, a answer, want string, without ...string) {
	p.Helper()
	var got, wanted any
	p.must(json.Unmarshal(a.body, &got))
	p.must(json.Unmarshal([]byte(want), &wanted))
	drop(got, without)
	if d := cmp.Diff(wanted, got); d != "" {
		p.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// drop removes fields anywhere in a JSON value.
func drop(v any, names []string) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range names {
			delete(v, name)
		}
		for _, inner := range v {
			drop(inner, names)
		}
	case []any:
		for _, inner := range v {
			drop(inner, names)
		}
	}
}

// metric is the value of a counter by its labels' values, in the order of their
// names.
func (p *people) metric(name string, labels ...string) float64 {
	p.Helper()
	families, err := p.registry.Gather()
	p.must(err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if cmp.Equal(values, labels) || len(labels) == 0 {
				return m.GetCounter().GetValue()
			}
		}
	}
	p.Fatalf("no metric %s%v", name, labels)
	return 0
}

// leaks fails the test when one of the texts is in an answer, the log or the
// metrics.
func (p *people) leaks(texts ...string) {
	p.Helper()
	families, err := p.registry.Gather()
	p.must(err)
	metrics := fmt.Sprint(families)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range texts {
		if strings.Contains(p.logs.String(), text) || strings.Contains(metrics, text) {
			p.Errorf("%q is in the log or the metrics", text)
		}
	}
}

// waiting accepts a notification for a user that waits for a binding.
func (p *people) waiting(user string) uuid.UUID {
	p.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := p.store.Insert(p.Context(), []store.Acceptance{{
		Notification: store.Notification{
			ID: id, App: p.app, TemplateID: simulator.SeedApproval, UserID: user, Data: map[string]string{"thing1": "x"},
			State: store.Waiting, Reason: store.ReasonUnbound, Generation: 1,
		},
		MaxAge: time.Hour,
	}})
	p.must(err)
	return id
}

// get is a notification as it is stored.
func (p *people) get(id uuid.UUID) store.Notification {
	p.Helper()
	n, _, err := p.store.Get(p.Context(), id)
	p.must(err)
	return n
}

// onePeople is people on the store that is the quickest to make.
func onePeople(t *testing.T, edits ...func(*people)) *people {
	t.Helper()
	st, path := openSQLite(t)
	p := &people{T: t, store: st, address: path, source: store.ConsentClient, now: time.Now}
	for _, edit := range edits {
		edit(p)
	}
	p.start()
	return p
}

// eventually waits until done says so.
func (p *people) eventually(what string, done func() bool) {
	p.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			p.Fatalf("waited in vain: %s", what)
		}
	}
}

// entryOf is an entry of the settings file that only gives an alias.
func entryOf(app, templateID, alias string) template.Entry {
	return template.Entry{App: app, TemplateID: templateID, Alias: alias}
}
