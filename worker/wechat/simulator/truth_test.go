package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

func TestTruthKeepsTheNewest(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{TruthLimit: 3})
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()
	check := func(since int64, want ...int64) {
		t.Helper()
		calls := c.sim.Calls(since)
		if len(calls) != len(want) {
			t.Fatalf("since %d: got %d calls, want %v", since, len(calls), want)
		}
		for i, call := range calls {
			if call.N != want[i] {
				t.Errorf("since %d: got call %d, want %v", since, call.N, want)
			}
		}
	}
	check(0)
	for range 2 {
		c.send(token, report(alice)).want(t, 0)
	}
	check(0, 1, 2)
	for range 5 {
		c.send(token, report(alice)).want(t, 0)
	}
	check(0, 5, 6, 7)
	check(6, 7)
	check(7)
	check(99)
	if s := c.sim.State(); s.Sends != 7 || s.Accepted != 7 {
		t.Errorf("got %+v, want all counted", s)
	}
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := start(t, simulator.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.sim.Await(ctx, func(simulator.State) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := c.sim.Await(ctx, func(simulator.State) bool { return true }); err != nil {
		t.Errorf("got %v for a state that is there", err)
	}
}

// discard is a ResponseWriter that keeps the status only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkSend measures the handler without HTTP around it.
func BenchmarkSend(b *testing.B) {
	for name, limit := range map[string]int{"truth": 0, "counters": -1} {
		b.Run(name, func(b *testing.B) {
			s, err := simulator.New(simulator.Config{Apps: []simulator.App{app}, AutoConsent: true, TruthLimit: limit})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			rec := httptest.NewRecorder()
			s.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/cgi-bin/token?grant_type=client_credential&appid="+app.AppID+"&secret="+app.Secret, nil))
			var token struct {
				Token string `json:"access_token"`
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &token); err != nil {
				b.Fatal(err)
			}
			body, err := json.Marshal(review(alice))
			if err != nil {
				b.Fatal(err)
			}
			reader := bytes.NewReader(body)
			req := httptest.NewRequest(http.MethodPost, "/cgi-bin/message/subscribe/send?access_token="+token.Token, reader)
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				s.ServeHTTP(w, req)
			}
			if st := s.State(); w.status != http.StatusOK || st.Accepted != st.Sends {
				b.Fatalf("%d of %d sends were accepted", st.Accepted, st.Sends)
			}
		})
	}
}
