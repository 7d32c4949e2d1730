// Package simulatortest starts a simulator for a test. It is apart from package
// simulator so that no binary links package testing.
package simulatortest

import (
	"net/http/httptest"
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// Start serves a simulator on a free port until the test has ended and returns
// it with its base URL, which has no slash at its end. Without Apps there is
// one, simulator.SeedApp.
func Start(tb testing.TB, cfg simulator.Config) (s *simulator.Simulator, baseURL string) {
	tb.Helper()
	if len(cfg.Apps) == 0 {
		cfg.Apps = []simulator.App{simulator.SeedApp()}
	}
	s, err := simulator.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(s)
	tb.Cleanup(func() {
		s.Close() // lets calls go that hang; the server waits for them
		server.Close()
	})
	return s, server.URL
}
