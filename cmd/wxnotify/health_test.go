package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	addr := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(addr, ":")
	for _, c := range []struct{ addr, path, want string }{
		{addr, "/healthz", ""},
		{":" + port, "/healthz", ""},
		{"0.0.0.0:" + port, "/healthz", ""},
		{"[::]:" + port, "/healthz", ""},
		{addr, "/readyz", "/readyz: 503 Service Unavailable: the store does not answer"},
		{"", "/healthz", "ADMIN_ADDR is empty"},
	} {
		err := askHealth(t.Context(), c.addr, c.path)
		if got := errorText(err); (c.want == "") != (err == nil) || !strings.Contains(got, c.want) {
			t.Errorf("%q %s: %q, want %q", c.addr, c.path, got, c.want)
		}
	}
	server.Close()
	if err := askHealth(t.Context(), addr, "/healthz"); err == nil {
		t.Error("nobody listens, and that is healthy")
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
