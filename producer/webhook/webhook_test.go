package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
	"github.com/wxnotify/wxnotify/store/postgres/postgrestest"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = time.Minute
	secret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// loopback is what tests allow: where their servers are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// testStore is what tests need of a store besides Store.
type testStore interface {
	Store
	Insert(ctx context.Context, acceptances []store.Acceptance) ([]store.Inserted, error)
	Commit(ctx context.Context, batch store.Batch) (store.Results, error)
}

var (
	_ testStore = (*postgres.Store)(nil)
	_ testStore = (*sqlite.Store)(nil)
)

func openStore(t *testing.T) testStore {
	t.Helper()
	st, _ := postgrestest.Open(t)
	return st
}

// end accepts a notification of a producer and lets it expire.
func end(t *testing.T, st testStore, producer string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := st.Insert(t.Context(), []store.Acceptance{{
		Notification: store.Notification{
			ID: id, App: "wx1", Producer: producer, Ref: "approval-" + id.String(), ContentHash: []byte("h"), TemplateID: "t1",
			UserID: "user-7", Page: "pages/index?secret=1", Data: map[string]string{"thing1": "private text"}, Generation: 1,
		},
		MaxAge: time.Hour, Webhook: store.NewWebhookSet(store.WebhookEvents...),
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := st.Commit(t.Context(), store.Batch{Moves: []store.Move{{ID: id, Generation: 1, State: store.Expired, Reason: store.ReasonTooOld}}})
	if err != nil || !r.Moves[0] {
		t.Fatalf("not expired: %v %v", r, err)
	}
	return id
}

// request is what an endpoint got.
type request struct {
	header http.Header
	body   string
}

// endpoint answers each request with what reply says and hands it on.
func endpoint(t *testing.T, reply func(w http.ResponseWriter, n int)) (*httptest.Server, <-chan request) {
	t.Helper()
	got := make(chan request, 100)
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n++ // one connection, one request at a time
		reply(w, n)
		got <- request{r.Header, string(b)}
	}))
	t.Cleanup(srv.Close)
	return srv, got
}

func startSender(t *testing.T, config Config) *Sender {
	t.Helper()
	config.Interval = 5 * time.Millisecond
	if config.Concurrency == 0 {
		config.Concurrency = 1
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// next is the next request.
func next(t *testing.T, got <-chan request) request {
	t.Helper()
	select {
	case r := <-got:
		return r
	case <-time.After(patience):
		t.Fatal("no request")
	}
	return request{}
}

// eventually waits until get is want.
func eventually(t *testing.T, what string, want float64, get func() float64) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for get() != want {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, want %v", what, get(), want)
		}
		pause(t.Context(), 5*time.Millisecond)
	}
}

// An event is told until the endpoint takes it, each time under the same id and
// with a signature of its own, and says nothing but ids and states.
func TestTold(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	srv, got := endpoint(t, func(w http.ResponseWriter, n int) {
		if n < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := startSender(t, Config{
		Store: st, Allow: loopback, Subscriptions: []Subscription{{Producer: "approval", URL: srv.URL + "/hook", Secret: secret}},
		backoff: []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond},
	})
	id := end(t, st, "approval")
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 3 {
		r := next(t, got)
		if err := verifier.Verify([]byte(r.body), r.header); err != nil {
			t.Errorf("signature: %v", err)
		}
		ids = append(ids, r.header.Get("webhook-id"))
		var told map[string]any
		if err := json.Unmarshal([]byte(r.body), &told); err != nil {
			t.Fatal(err)
		}
		if at, err := time.Parse(time.RFC3339, fmt.Sprint(told["timestamp"])); err != nil || time.Since(at).Abs() > time.Hour {
			t.Errorf("timestamp %v: %v", told["timestamp"], err)
		}
		delete(told, "timestamp")
		want := map[string]any{"type": "notification.expired", "data": map[string]any{
			"id": id.String(), "ref": "approval-" + id.String(), "state": "expired", "reason": "too_old", "template_id": "t1",
		}}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("body (-want +got):\n%s", diff)
		}
	}
	if ids[0] == "" || ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("ids of three tries: %q", ids)
	}
	eventually(t, "delivered", 1, func() float64 { return testutil.ToFloat64(s.metrics.deliveries.WithLabelValues(string(delivered))) })
	if n := testutil.ToFloat64(s.metrics.tries.WithLabelValues(string(refused))); n != 2 {
		t.Errorf("%v tries refused, want 2", n)
	}
	left, err := st.TakeWebhooks(t.Context(), "approval", 0, 10)
	if err != nil || len(left) != 0 {
		t.Errorf("%d deliveries left, %v", len(left), err)
	}
}

// What ten tries could not tell, or an endpoint that is gone does not want, is
// given up, and said so without the URL, which may hold a secret.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		tries  int
	}{
		{"server error", http.StatusBadGateway, 3},
		{"not found", http.StatusNotFound, 3},
		{"redirect", http.StatusFound, 3},
		{"gone", http.StatusGone, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := openStore(t)
			srv, got := endpoint(t, func(w http.ResponseWriter, _ int) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
			})
			core, logs := observer.New(zapcore.DebugLevel)
			s := startSender(t, Config{
				Store: st, Allow: loopback, Logger: zap.New(core),
				Subscriptions: []Subscription{{Producer: "approval", URL: srv.URL + "/hook?key=hidden", Secret: secret}},
				backoff:       []time.Duration{time.Millisecond, time.Millisecond},
			})
			end(t, st, "approval")
			eventually(t, "given up", 1, func() float64 { return testutil.ToFloat64(s.metrics.deliveries.WithLabelValues(string(givenUp))) })
			if len(got) != tt.tries {
				t.Errorf("%d requests, want %d", len(got), tt.tries)
			}
			if logs.FilterMessage("webhook given up").Len() != 1 || logs.FilterMessage("webhook fails").Len() != 1 {
				t.Errorf("log: %v", logs.All())
			}
			for _, l := range logs.All() {
				if text := fmt.Sprint(l.Message, l.ContextMap()); strings.Contains(text, "hidden") || strings.Contains(text, "private") {
					t.Errorf("leaks: %s", text)
				}
			}
		})
	}
}

// An endpoint that hangs delays nobody else.
func TestSlowEndpoint(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	release := make(chan struct{})
	slow, _ := endpoint(t, func(http.ResponseWriter, int) { <-release })
	t.Cleanup(func() { close(release) })
	quick, got := endpoint(t, func(http.ResponseWriter, int) {})
	startSender(t, Config{Store: st, Allow: loopback, Timeout: patience, Subscriptions: []Subscription{
		{Producer: "slow", URL: slow.URL, Secret: secret}, {Producer: "quick", URL: quick.URL, Secret: secret},
	}})
	for range 3 {
		end(t, st, "slow")
		end(t, st, "quick")
		next(t, got)
	}
}

// silentOnce is a store whose first TakeWebhooks is never answered.
type silentOnce struct {
	testStore
	asked atomic.Bool
}

func (s *silentOnce) TakeWebhooks(ctx context.Context, producer string, lease time.Duration, limit int) ([]store.WebhookDelivery, error) {
	if !s.asked.Swap(true) {
		<-ctx.Done()
		return nil, fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
	return s.testStore.TakeWebhooks(ctx, producer, lease, limit)
}

// A call that the store leaves without an answer does not end the telling.
func TestSilentStore(t *testing.T) {
	t.Parallel()
	st := openStore(t)
	end(t, st, "approval")
	srv, got := endpoint(t, func(http.ResponseWriter, int) {})
	s, err := New(Config{Store: &silentOnce{testStore: st}, Allow: loopback, storeTimeout: 10 * time.Millisecond, Subscriptions: []Subscription{
		{Producer: "approval", URL: srv.URL, Secret: secret},
	}})
	if err != nil {
		t.Fatal(err)
	}
	sub := s.subscribers[0]
	if _, err := sub.round(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("first round: %v, want %v", err, store.ErrUnavailable)
	}
	sub.config.storeTimeout = patience
	if n, err := sub.round(t.Context()); n != 1 || err != nil {
		t.Errorf("second round: %d, %v, want one delivery", n, err)
	}
	next(t, got)
	sub.client.CloseIdleConnections()
}

// Addresses that are not public are not connected to, whatever leads there.
func TestGuard(t *testing.T) {
	t.Parallel()
	hits := 0
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer private.Close()
	port := private.URL[strings.LastIndex(private.URL, ":"):]
	other := []netip.Prefix{netip.MustParsePrefix("10.9.8.0/24")}
	tests := []struct {
		name  string
		url   string
		allow []netip.Prefix
		want  outcome
	}{
		{"loopback", "https://127.0.0.1" + port, nil, forbidden},
		{"a name of loopback", "https://localhost" + port, nil, forbidden},
		{"short form of loopback", "https://127.1" + port, nil, silent}, // no such name
		{"any address", "https://0.0.0.0" + port, nil, forbidden},
		{"loopback 6", "https://[::1]" + port, nil, forbidden},
		{"mapped loopback", "https://[::ffff:127.0.0.1]" + port, nil, forbidden},
		{"intranet", "https://10.1.2.3" + port, nil, forbidden},
		{"another intranet", "https://10.1.2.3" + port, other, forbidden},
		{"shared address space", "https://100.64.0.1" + port, nil, forbidden},
		{"metadata service", "https://169.254.169.254/latest", nil, forbidden},
		{"unique local", "https://[fd00::1]" + port, nil, forbidden},
		{"translated", "https://[64:ff9b::7f00:1]" + port, nil, forbidden},
		{"in the clear, not allowed", "http://127.0.0.1" + port, other, forbidden},
		{"in the clear, allowed", "http://127.0.0.1" + port, loopback, taken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := hits
			signer, err := newSigner(secret)
			if err != nil {
				t.Fatal(err)
			}
			client := newClient(tt.allow, patience, 1)
			defer client.CloseIdleConnections()
			s := &subscriber{Subscription: Subscription{URL: tt.url}, Sender: &Sender{}, client: client, signer: signer}
			a, err := s.post(t.Context(), store.WebhookDelivery{Event: store.WebhookSent})
			if err != nil {
				t.Fatal(err)
			}
			if a.outcome != tt.want {
				t.Errorf("%s (%s), want %s", a.outcome, a.why, tt.want)
			}
			if reached := hits > before; reached != (tt.want == taken) {
				t.Errorf("reached: %v", reached)
			}
		})
	}
}

// A redirect is an answer like any other: where it leads is not asked.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	hits := 0
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer inner.Close()
	outer := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	defer outer.Close()
	signer, err := newSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(loopback, patience, 1)
	defer client.CloseIdleConnections()
	s := &subscriber{Subscription: Subscription{URL: outer.URL}, Sender: &Sender{}, client: client, signer: signer}
	a, err := s.post(t.Context(), store.WebhookDelivery{Event: store.WebhookSent})
	if err != nil || a.outcome != refused || hits != 0 {
		t.Errorf("%v, %s, %d requests where it leads", err, a.outcome, hits)
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Store: openStore(t), Subscriptions: []Subscription{{Producer: "p", URL: "https://example.com", Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		try      int
		a        answer
		min, max time.Duration // zero: no further try
	}{
		{"taken", 1, answer{outcome: taken}, 0, 0},
		{"first failure", 1, answer{outcome: silent}, 4750 * time.Millisecond, 5250 * time.Millisecond},
		{"ninth failure", 9, answer{outcome: refused}, 684 * time.Minute, 756 * time.Minute},
		{"tenth failure", 10, answer{outcome: refused}, 0, 0},
		{"asked to come later", 1, answer{outcome: refused, after: time.Hour}, time.Hour, time.Hour},
		{"asked to come sooner", 9, answer{outcome: refused, after: time.Second}, 684 * time.Minute, 756 * time.Minute},
		{"gone", 1, answer{outcome: gone}, 0, 0},
	}
	for _, tt := range tests {
		got := s.subscribers[0].result(store.WebhookDelivery{Try: tt.try}, tt.a)
		if got.Try != tt.try || got.Again < tt.min || got.Again > tt.max {
			t.Errorf("%s: again in %s, want %s to %s", tt.name, got.Again, tt.min, tt.max)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := Subscription{Producer: "p", URL: "https://example.com/hook", Secret: secret}
	tests := []struct {
		name string
		edit func(*Config)
		want string // "" when it is in order
	}{
		{"in order", func(*Config) {}, ""},
		{"no store", func(c *Config) { c.Store = nil }, "Store is required"},
		{"twice", func(c *Config) { c.Subscriptions = append(c.Subscriptions, good) }, "there twice"},
		{"no URL", func(c *Config) { c.Subscriptions[0].URL = "example.com" }, "not an http or https URL"},
		{"in the clear", func(c *Config) { c.Subscriptions[0].URL = "http://example.com" }, "must be https"},
		{"in the clear, some networks allowed", func(c *Config) { c.Subscriptions[0].URL, c.Allow = "http://example.com", loopback }, ""},
		{"bad secret", func(c *Config) { c.Subscriptions[0].Secret = "whsec_!" }, "Secret: is not base64"},
		{"negative", func(c *Config) { c.Timeout = -1 }, "must not be negative"},
	}
	st := openStore(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Config{Store: st, Subscriptions: []Subscription{good}}
			tt.edit(&c)
			_, err := New(c)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
