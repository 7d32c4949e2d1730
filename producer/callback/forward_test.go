package callback

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wxnotify/wxnotify/store"
)

const text = `{"ToUserName":"gh_1","FromUserName":"o1","CreateTime":1,"MsgType":"text","Content":"你好 <b>","MsgId":1}`

// forwardingTo lets the plaintext app and the one with both modes forward.
func forwardingTo(url string) func(*Config) {
	return func(c *Config) {
		for _, id := range []string{"wx-both", "wx-plain"} {
			a := c.Apps[id]
			a.ForwardURL = url
			c.Apps[id] = a
		}
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	type request struct{ Method, Path, Type, App, Verified, Body string }
	got := make(chan request, 10)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- request{r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Wxnotify-App"), r.Header.Get("Wxnotify-Verified"), string(body)}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(target.Close)
	r := newRig(t, forwardingTo(target.URL+"/mini?secret=1")).start()
	const textXML = "<xml>\n<MsgType>text</MsgType></xml>"
	for _, test := range []struct {
		push func() (int, string)
		want request
	}{
		{
			func() (int, string) { return r.push("wx-both", text, true) },
			request{"POST", "/mini", "application/json; charset=utf-8", "wx-both", "true", text},
		},
		{
			func() (int, string) { return r.pushPlain("wx-plain", textXML) },
			request{"POST", "/mini", "text/xml; charset=utf-8", "wx-plain", "false", textXML},
		},
	} {
		for range 2 {
			status, answer := test.push()
			r.wantAnswer("push", status, answer, 200, "success")
		}
		if diff := cmp.Diff(test.want, <-got); diff != "" {
			t.Errorf("forwarded (-want +got):\n%s", diff)
		}
	}
	// Ours are not passed on.
	status, answer := r.push("wx-both", sentEvent(1), false)
	r.wantAnswer("push", status, answer, 200, "success")
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"foreign/forwarded": 2, "sent/pending": 1})
	r.wantCounts("arrivals", r.handler.metrics.arrived, map[string]float64{"foreign/accepted": 2, "foreign/duplicate": 2, "sent/accepted": 1})
	if len(got) > 0 {
		t.Errorf("forwarded too: %+v", <-got)
	}
}

// A target that hangs keeps neither WeChat waiting nor a receipt back.
func TestForwardHangs(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 100), make(chan struct{})
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	}))
	t.Cleanup(target.Close)
	t.Cleanup(func() { close(release) })
	r := newRig(t, forwardingTo(target.URL)).start()
	for i := range 3 * forwardPage {
		status, answer := r.push("wx-both", strings.Replace(text, "你好", fmt.Sprint(i), 1), false)
		r.wantAnswer("push", status, answer, 200, "success")
	}
	<-asked
	status, answer := r.push("wx-both", sentEvent(1), false)
	r.wantAnswer("push", status, answer, 200, "success")
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"sent/pending": 1})
}

func TestForwardFails(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", elsewhere.URL)
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(target.Close)
	r := newRig(t, forwardingTo(target.URL+"/secret-path"))
	entry := store.Push{Key: store.PushKey{1}, App: "wx-both", Kind: store.PushForward, Body: keepForeign([]byte(text), true), Tries: 1}
	pass := func(tries int) bool {
		entry.Tries = tries
		return r.handler.forward.pass(t.Context(), entry)
	}
	for _, code := range []int64{500, 404, 302, 307} {
		status.Store(code)
		if pass(1) {
			t.Errorf("answered %d: taken for done", code)
		}
	}
	if !pass(forwardTries) {
		t.Error("not given up after the last try")
	}
	status.Store(200)
	if !pass(2) {
		t.Error("answered 200: not done")
	}
	r.wantCounts("effects", r.handler.metrics.applied, map[string]float64{"foreign/failed": 1, "foreign/forwarded": 1})

	// An address that cannot be reached, or that only another process knows.
	target.Close()
	if err := r.handler.forward.post(t.Context(), entry); err == nil || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("not reachable: %v", err)
	}
	entry.App = vectorAppID
	if err := r.handler.forward.post(t.Context(), entry); err == nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("no address: %v", err)
	}
}
