package callback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// A push that comes again, as it was or signed anew, counts once.
func TestPushRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t).start()
	encrypted := sealMessage(t, sentEvent(7), vectorAppID)
	q, body := r.signedQuery(vectorNow.Add(-time.Hour), encrypted), envelope(encrypted, false)
	for range 3 {
		status, text := r.do(http.MethodPost, vectorAppID, q, body)
		r.wantAnswer("replayed", status, text, 200, "success")
	}
	status, text := r.push(vectorAppID, sentEvent(7), true)
	r.wantAnswer("sent again", status, text, 200, "success")
	two := `{` + headJSON + `,"Event":"subscribe_msg_sent_event","List":[{"TemplateId":"T1","MsgID":7,"ErrorCode":0},` +
		`{"TemplateId":"T1","MsgID":8,"ErrorCode":0},{"TemplateId":"T1","MsgID":8,"ErrorCode":0}]}`
	status, text = r.push(vectorAppID, two, false)
	r.wantAnswer("with another one", status, text, 200, "success")
	r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{"sent/accepted": 2, "sent/duplicate": 4, "sent/ignored": 1})
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": 2})
}

// The user's answers count once, by whatever mode and however often they are
// pushed.
func TestConsents(t *testing.T) {
	t.Parallel()
	var unread atomic.Bool
	r := newRig(t, func(c *Config) {
		c.LongTerm = func(_ context.Context, appID, templateID string) (bool, error) {
			if unread.Load() {
				return false, store.ErrUnavailable
			}
			return appID == vectorAppID && templateID == "T-long", nil
		}
	}).start()
	start := time.Now().Unix() - 60
	popup := func(after int64, list string) string {
		return strings.Replace(`{`+headJSON+`,"Event":"subscribe_msg_popup_event","List":`+list+`}`, "1610969440", strconv.FormatInt(start+after, 10), 1)
	}
	const one = `{"TemplateId":"T1","SubscribeStatusString":"acceptWithAudio"}`
	// While nobody can tell what kind a template is, the event has to come again.
	unread.Store(true)
	if status, answer := r.push(vectorAppID, popup(0, one), true); status != http.StatusServiceUnavailable {
		t.Errorf("without a catalog: %d %s", status, answer)
	}
	unread.Store(false)
	for i, message := range []string{
		popup(0, `[`+one+`,{"TemplateId":"T-long","SubscribeStatusString":"accept"},{"TemplateId":"T2","SubscribeStatusString":"accept"}]`),
		popup(1, one),
		popup(1, one),
		popup(2, `{"TemplateId":"T3","SubscribeStatusString":"perhaps"}`),
		strings.ReplaceAll(popup(50, `{"TemplateId":"T2","SubscribeStatusString":"reject"}`), "_popup_", "_change_"),
	} {
		status, answer := r.push(vectorAppID, message, i%2 == 0)
		r.wantAnswer("push", status, answer, 200, "success")
	}
	r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{
		"popup/accepted": 4, "popup/duplicate": 1, "popup/unavailable": 1, "popup/ignored": 1, "change/accepted": 1,
	})
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"popup/recorded": 4, "change/recorded": 1})
	consents, err := r.store.Consents(t.Context(), vectorAppID, "o1")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]store.Consent{}
	for _, c := range consents {
		got[c.TemplateID] = c
	}
	if len(got) != 3 || got["T1"].Balance != 2 || !got["T-long"].LongTerm || got["T2"].Balance != 0 || got["T2"].RefusedAt.IsZero() {
		t.Errorf("consents %+v", consents)
	}
}

// Many pushes at once are all taken, in few transactions.
func TestPushesAtOnce(t *testing.T) {
	t.Parallel()
	const pushes = 100
	r := newRig(t)
	var transactions atomic.Int64
	first := make(chan struct{})
	r.store.receive = func() error {
		if transactions.Add(1) == 1 {
			<-first
		}
		return nil
	}
	r.handler.inbox.limit = time.Minute // this machine may be slow
	r.start()
	var wg sync.WaitGroup
	push := func(i int) {
		wg.Go(func() {
			status, text := r.push(vectorAppID, sentEvent(int64(i+1)), i%2 == 0)
			r.wantAnswer("push", status, text, 200, "success")
		})
	}
	push(0)
	r.eventually("the first is being written", func() error {
		if transactions.Load() == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	for i := range pushes - 1 {
		push(i + 1)
	}
	r.eventually("the others to wait", func() error {
		if n := len(r.handler.inbox.in); n < pushes-1 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	close(first)
	wg.Wait()
	r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{"sent/accepted": pushes})
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": pushes})
	if n := transactions.Load(); n != 2 {
		t.Errorf("%d transactions for %d pushes, want 2", n, pushes)
	}
}

// While the store is away WeChat is told to come again.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	status, text := r.push(vectorAppID, sentEvent(1), false)
	r.wantAnswer("before the start, nobody writes", status, text, 503, "not now")

	var fault atomic.Pointer[error]
	r.store.receive = func() error {
		if err := fault.Load(); err != nil {
			return *err
		}
		return nil
	}
	away := fmt.Errorf("no connection: %w", store.ErrUnavailable)
	fault.Store(&away)
	r.start()
	status, text = r.push(vectorAppID, sentEvent(2), false)
	r.wantAnswer("away", status, text, 503, "not now")
	fault.Store(nil)
	status, text = r.push(vectorAppID, sentEvent(2), false)
	r.wantAnswer("back", status, text, 200, "success")

	if err := r.handler.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, text = r.push(vectorAppID, sentEvent(3), false)
	r.wantAnswer("stopped", status, text, 503, "not now")
	if err := r.handler.Start(t.Context()); err == nil {
		t.Error("started again after Stop")
	}
}

// A store that hangs does not keep WeChat waiting longer than it waits itself,
// and what it takes in the end is known when it comes again.
func TestStoreHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release := make(chan struct{})
	var once sync.Once
	r.store.receive = func() error {
		once.Do(func() { <-release })
		return nil
	}
	r.start()
	status, text := r.push(vectorAppID, sentEvent(1), false)
	r.wantAnswer("while it hangs", status, text, 503, "not now")
	close(release)
	r.eventually("the push to be taken", func() error {
		status, text := r.push(vectorAppID, sentEvent(1), false)
		if status != 200 {
			return fmt.Errorf("answered %d %q", status, text)
		}
		return nil
	})
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": 1})
}

// Too many waiting requests are sent away at once, without waiting themselves.
func TestTooManyWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.handler.inbox.runs.Store(true)
	for range maxWaiting {
		r.handler.inbox.in <- &delivery{done: make(chan struct{})}
	}
	if _, err := r.handler.inbox.put(t.Context(), []store.Push{{}}); err != errBusy { //nolint:errorlint // this very value
		t.Errorf("put: %v, want errBusy", err)
	}
	r.start()
	status, text := r.push(vectorAppID, sentEvent(1), false)
	r.wantAnswer("when they were written", status, text, 200, "success")
}

// What was accepted is applied though the process died before.
func TestInboxOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.store.take = func() error { return store.ErrUnavailable }
	r.start()
	status, text := r.push(vectorAppID, sentEvent(7), false)
	r.wantAnswer("push", status, text, 200, "success")
	if err := r.handler.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.counts(r.handler.metrics.applied); len(got) > 0 {
		t.Fatalf("applied before the end: %v", got)
	}
	next, err := New(Config{Store: r.store.Store})
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantCounts("effects", next.metrics.applied, map[string]float64{"sent/pending": 1})
	if err := next.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An entry that cannot be applied keeps no other one back, and is given up in
// the end.
func TestPoisonedEntry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	entry := func(key byte, tries int, body any) store.Push {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return store.Push{Key: store.PushKey{key}, App: vectorAppID, Kind: store.PushEvent, Body: text, Tries: tries}
	}
	good, bad := delivered(7, 0, "success"), delivered(8, 0, "success")
	bad.OpenID = "a\x00b"
	list := []store.Push{
		entry(1, 1, bad), entry(2, applyTries, bad), entry(3, 1, good), entry(4, applyTries, event{Kind: "other"}), entry(5, 1, "text"),
	}
	if _, err := r.store.ReceivePushes(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if err := r.handler.applier.apply(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": 1, "sent/failed": 1})
	var left []byte
	for _, p := range r.inbox() {
		left = append(left, p.Key[0])
	}
	if !bytes.Equal(left, []byte{1, 5}) {
		t.Errorf("left in the inbox: %v, want those that were tried once", left)
	}
}
