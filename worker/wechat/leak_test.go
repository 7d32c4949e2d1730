package wechat

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

var discardLog = log.New(io.Discard, "", 0)

// private is everything that must not come out, in the spellings it may take.
var private = []string{
	testToken, testSecret, testOpenID, testText, testPage, testCode,
	url.QueryEscape(testText), url.QueryEscape(testPage), "access_token=", "secret=", "patient=",
}

// noLeak fails when err, anyhow printed and however deep, holds a private value.
func noLeak(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, text := range []string{e.Error(), fmt.Sprintf("%+v", e), fmt.Sprintf("%#v", e)} {
			holdsNone(t, "an error", text)
		}
	}
}

func holdsNone(t *testing.T, where, text string) {
	t.Helper()
	for _, p := range private {
		if strings.Contains(text, p) {
			t.Errorf("%s holds %q: %s", where, p, text)
		}
	}
}

// TestNothingLeaks makes every endpoint fail with an answer that repeats all it
// was sent, and searches errors, logs and metrics.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		errmsg := fmt.Sprintf("%s %s %s %s", strings.Join(r.URL.Query()["access_token"], ""), r.URL.RawQuery, body, r.URL.Query())
		w.Header().Set("Content-Type", "text/plain")
		_ = json.NewEncoder(w).Encode(map[string]any{"errcode": 47001, "errmsg": errmsg})
	})
	core, logs := observer.New(zapcore.DebugLevel)
	reg := prometheus.NewPedanticRegistry()
	c := newClient(t, Config{BaseURL: base, Logger: zap.New(core), Registerer: reg})
	calls := map[API]func() error{
		APISend:         func() error { _, err := c.Send(t.Context(), testToken, testMessage()); return err },
		APIStableToken:  func() error { _, err := c.StableToken(t.Context(), testApp); return err },
		APIToken:        func() error { _, err := c.ClassicToken(t.Context(), testApp); return err },
		APICode2Session: func() error { _, err := c.Code2Session(t.Context(), testApp, testCode); return err },
		APITemplates:    func() error { _, err := c.Templates(t.Context(), testToken); return err },
	}
	for _, api := range APIs {
		err := calls[api]()
		e := asError(t, err)
		if e.API != api || e.Kind != KindRejected || !strings.Contains(e.Msg, masked) {
			t.Errorf("%s: got %s, want rejected, masked", api, e)
		}
		// Query names such as "secret=" are harmless here, their values are not.
		for _, p := range private[:8] {
			if strings.Contains(fmt.Sprintf("%v %#v", err, e), p) {
				t.Errorf("%s: the error holds %q: %v", api, p, err)
			}
		}
	}
	for _, entry := range logs.All() {
		holdsNone(t, "a log line", fmt.Sprint(entry.Message, entry.ContextMap()))
	}
	if logs.Len() != len(APIs) {
		t.Errorf("got %d log lines, want one a call", logs.Len())
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		holdsNone(t, "a metric", f.String())
	}
}

func TestSecretsPrintMasked(t *testing.T) {
	t.Parallel()
	token := Token{Value: testToken, ExpiresIn: 1}
	nested := struct {
		App   App
		Token *Token
	}{testApp, &token}
	for _, v := range []any{testApp, &testApp, token, &token, nested, []App{testApp}, map[string]Token{"a": token}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			holdsNone(t, verb, fmt.Sprintf(verb, v))
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		holdsNone(t, "JSON", string(b))
	}
	if got := fmt.Sprint(testApp); !strings.Contains(got, testApp.AppID) {
		t.Errorf("got %q, want it to name the appid", got)
	}
}
