package callback

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The clock of these tests: half a minute after the official push.
var vectorNow = time.Unix(1714112445+30, 0)

// rig is a handler on a store of its own, behind a server.
type rig struct {
	*testing.T
	store    *spy
	handler  *Handler
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
	server   *httptest.Server
	nonce    atomic.Int64
}

// spy is a store that can be away, and that tells what it was asked.
type spy struct {
	*sqlite.Store
	receive func() error // asked before ReceivePushes; nil never fails
	take    func() error // asked before TakePushes
	pushed  sync.Map     // apps
}

func (s *spy) ReceivePushes(ctx context.Context, pushes []store.Push) ([]bool, error) {
	if s.receive != nil {
		if err := s.receive(); err != nil {
			return nil, err
		}
	}
	return s.Store.ReceivePushes(ctx, pushes)
}

func (s *spy) TakePushes(ctx context.Context, kind store.PushKind, lease time.Duration, limit int) ([]store.Push, error) {
	if s.take != nil {
		if err := s.take(); err != nil {
			return nil, err
		}
	}
	return s.Store.TakePushes(ctx, kind, lease, limit)
}

func (s *spy) Pushed(ctx context.Context, app string) error {
	s.pushed.Store(app, true)
	return s.Store.Pushed(ctx, app)
}

// newRig makes one that was not started. It has the app of the official vectors,
// and others.
func newRig(t *testing.T, edits ...func(*Config)) *rig {
	t.Helper()
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "wxnotify.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	r := &rig{T: t, store: &spy{Store: s}, registry: prometheus.NewRegistry(), logs: logs}
	config := Config{
		Apps: map[string]AppConfig{
			vectorAppID: {Token: vectorToken, AESKey: vectorKey},
			"wx-plain":  {Token: vectorToken, Plaintext: true},
			"wx-both":   {Token: vectorToken, AESKey: vectorKey, Plaintext: true},
			"wx-no-key": {Token: vectorToken},
		},
		Store: r.store, Logger: zap.New(core), Registerer: r.registry, Now: func() time.Time { return vectorNow },
	}
	for _, edit := range edits {
		edit(&config)
	}
	if r.handler, err = New(config); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(Pattern, r.handler)
	r.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		r.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.handler.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) start() *rig {
	r.Helper()
	if err := r.handler.Start(context.Background()); err != nil {
		r.Fatal(err)
	}
	return r
}

// do makes a request and returns what it was answered.
func (r *rig) do(method, appID string, q url.Values, body string) (status int, text string) {
	r.Helper()
	req, err := http.NewRequest(method, r.server.URL+"/wechat/callback/"+appID+"?"+q.Encode(), strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	res, err := r.server.Client().Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(answer))
}

// signedQuery signs the parts as of at.
func (r *rig) signedQuery(at time.Time, encrypted string) url.Values {
	timestamp, nonce := strconv.FormatInt(at.Unix(), 10), strconv.FormatInt(r.nonce.Add(1), 10)
	q := url.Values{"timestamp": {timestamp}, "nonce": {nonce}, "signature": {signature(vectorToken, timestamp, nonce)}}
	if encrypted != "" {
		q.Set("encrypt_type", "aes")
		q.Set("msg_signature", signature(vectorToken, timestamp, nonce, encrypted))
	}
	return q
}

// envelope is the body of an encrypted push.
func envelope(encrypted string, xml bool) string {
	if xml {
		return "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[" + encrypted + "]]></Encrypt></xml>"
	}
	return `{"ToUserName":"gh_1","Encrypt":"` + encrypted + `"}`
}

// push pushes a message as WeChat does in the secure mode.
func (r *rig) push(appID, message string, xml bool) (status int, text string) {
	r.Helper()
	encrypted := sealMessage(r, message, appID)
	return r.do(http.MethodPost, appID, r.signedQuery(vectorNow, encrypted), envelope(encrypted, xml))
}

// pushPlain pushes a message as WeChat does in the plaintext mode.
func (r *rig) pushPlain(appID, message string) (status int, text string) {
	r.Helper()
	return r.do(http.MethodPost, appID, r.signedQuery(vectorNow, ""), message)
}

func (r *rig) wantAnswer(what string, status int, text string, wantStatus int, wantText string) {
	r.Helper()
	if status != wantStatus || text != wantText {
		r.Errorf("%s: answered %d %q, want %d %q", what, status, text, wantStatus, wantText)
	}
}

// counts are the series of a metric that are not zero, "event/result".
func (r *rig) counts(c *prometheus.CounterVec) map[string]float64 {
	r.Helper()
	counts := map[string]float64{}
	metrics := make(chan prometheus.Metric, 200)
	c.Collect(metrics)
	close(metrics)
	for m := range metrics {
		v := testutil.ToFloat64(collected{m})
		if v == 0 {
			continue
		}
		desc := readLabels(r, m)
		counts[desc["event"]+"/"+desc["result"]] = v
	}
	return counts
}

// eventually waits until check finds no fault.
func (r *rig) eventually(what string, check func() error) {
	r.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.Fatalf("%s: not within a minute: %v", what, err)
		}
	}
}

func (r *rig) wantCounts(what string, c *prometheus.CounterVec, want map[string]float64) {
	r.Helper()
	r.eventually(what, func() error {
		if diff := cmp.Diff(want, r.counts(c)); diff != "" {
			return fmt.Errorf("counts (-want +got):\n%s", diff)
		}
		return nil
	})
}

func sentEvent(msgID int64) string {
	return fmt.Sprintf(`{%s,"Event":"subscribe_msg_sent_event","List":{"TemplateId":"T1","MsgID":"%d","ErrorCode":"0","ErrorStatus":"success"}}`, headJSON, msgID)
}

// sending is a notification that is being sent.
func (r *rig) sending(app string) store.Look {
	r.Helper()
	n := store.Notification{
		ID: newID(), App: app, TemplateID: "T1", OpenID: "o1", Data: map[string]string{"thing1": "x"}, Generation: 1,
	}
	if _, err := r.store.Insert(r.Context(), []store.Acceptance{{Notification: n, MaxAge: time.Hour}}); err != nil {
		r.Fatal(err)
	}
	claimed, err := r.store.Commit(r.Context(), store.Batch{Claims: []store.Claim{{ID: n.ID, Generation: 1, Owner: newID(), Lease: time.Hour}}})
	if err != nil || !claimed.Claims[0].OK {
		r.Fatalf("claim: %v", err)
	}
	return claimed.Claims[0].Look
}

// inbox is what is in the inbox; the handler was not started.
func (r *rig) inbox() (pushes []store.Push) {
	r.Helper()
	for _, kind := range []store.PushKind{store.PushEvent, store.PushForward} {
		some, err := r.store.Store.TakePushes(r.Context(), kind, time.Hour, 1000)
		if err != nil {
			r.Fatal(err)
		}
		pushes = append(pushes, some...)
	}
	return pushes
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// collected lets a single metric be read as a collector.
type collected struct{ prometheus.Metric }

func (c collected) Describe(ch chan<- *prometheus.Desc) { ch <- c.Desc() }
func (c collected) Collect(ch chan<- prometheus.Metric) { ch <- c.Metric }

func readLabels(r *rig, m prometheus.Metric) map[string]string {
	r.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		r.Fatal(err)
	}
	labels := map[string]string{}
	for _, l := range out.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}
