package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// serverOf serves a handler with the limits of a server, which edit may change.
func serverOf(t *testing.T, h http.Handler, most int, edit func(*http.Server)) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(ServerConfig{Handler: h, MaxConns: most})
	edit(server.Config)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// dialed is a connection to a server that ends with the test.
func dialed(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}

// closed waits until the peer has closed the connection.
func closed(c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	if e, ok := err.(net.Error); ok && e.Timeout() { //nolint:errorlint // net gives it unwrapped
		return err
	}
	return nil // a reset is an end, too
}

// Who sends a header or a body slowly, or nothing, is cut off; the limits of a
// real server are minutes here at most.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	address := serverOf(t, d.gateway.Handler(), 0, func(s *http.Server) {
		if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
			t.Errorf("a server without a limit: %+v", s)
		}
		s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout = 50*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond
	})
	head := "POST /v1/notifications HTTP/1.1\r\nHost: x\r\n"
	for name, text := range map[string]string{
		"nothing":       "",
		"half a header": head,
		"half a body":   head + "Authorization: Bearer " + keyBilling + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"no end":        head + "Authorization: Bearer " + keyBilling + "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n",
		"idle after":    "GET /v1/notifications HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c := dialed(t, address)
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if err := closed(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.post(keyBilling, report(nil))
}

// Of more connections than there may be, the ones that ask for nothing go, and
// whoever asks is served.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	const most = 50
	address := serverOf(t, d.gateway.Handler(), most, func(s *http.Server) { s.ReadHeaderTimeout, s.IdleTimeout = time.Hour, time.Hour })
	request := "GET /v1/notifications HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + keyBilling + "\r\n\r\n"
	ask := func(c net.Conn) int {
		if _, err := io.WriteString(c, request); err != nil {
			return 0
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	first := dialed(t, address)
	if got := ask(first); got != http.StatusOK {
		t.Fatalf("the first: %d", got)
	}
	for i := range 4 * most {
		c := dialed(t, address)
		if i%10 == 0 {
			if got := ask(c); got != http.StatusOK {
				t.Fatalf("connection %d: %d", i, got)
			}
		}
	}
	if err := closed(first); err != nil {
		t.Errorf("the connection that was idle for the longest is still open: %v", err)
	}
	if got := ask(dialed(t, address)); got != http.StatusOK {
		t.Errorf("after all: %d", got)
	}
}

// A body that is too long is refused by its length, or where it gets too long,
// and takes no memory of its size; a client without a key gets no byte of a body
// read.
func TestLongBodies(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t)
	const long = 100 << 20
	for name, tt := range map[string]struct {
		key    string
		length int64
		want   int
	}{
		"by its length":   {keyBilling, long, http.StatusRequestEntityTooLarge},
		"without length":  {keyBilling, -1, http.StatusRequestEntityTooLarge},
		"without any key": {"", long, http.StatusUnauthorized},
	} {
		sent := &counted{r: io.LimitReader(blanks{}, long)}
		r, err := http.NewRequestWithContext(t.Context(), "POST", d.url+"/v1/notifications/batch", sent)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = tt.length
		r.Header.Set("Authorization", "Bearer "+tt.key)
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil { // else the server hung up while the client still wrote
			if resp.StatusCode != tt.want {
				t.Errorf("%s: %d, want %d", name, resp.StatusCode, tt.want)
			}
			_ = resp.Body.Close()
		}
		if got := sent.count(); got > long/2 {
			t.Errorf("%s: %d bytes were taken", name, got)
		}
	}
	d.post(keyBilling, report(nil))
}

// blanks is JSON that does not begin.
type blanks struct{}

func (blanks) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// counted counts what is read of it.
type counted struct {
	r  io.Reader
	mu sync.Mutex
	n  int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	return n, err
}

func (c *counted) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// Bodies share a bounded memory: who comes when it is used up waits, and is told
// to come again when that takes too long.
func TestBodiesShareTheirMemory(t *testing.T) {
	t.Parallel()
	d := sqliteDoor(t, func(c *Config) {
		c.Limits = Limits{Body: 1000, BatchBody: 1000, BodyMemory: 1000, Request: 50 * time.Millisecond}
	})
	if err := d.gateway.memory.Acquire(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	d.want("no memory", d.do(keyBilling, "POST", "/v1/notifications", report(nil)), http.StatusServiceUnavailable, CodeUnavailable)
	d.gateway.memory.Release(1000)
	for _, body := range []any{report(nil), "{", strings.Repeat(" ", 1001)} {
		d.do(keyBilling, "POST", "/v1/notifications", body)
	}
	if !d.gateway.memory.TryAcquire(1000) {
		t.Error("a request did not give its memory back")
	}
}

// Hostile JSON costs a few times its size.
func TestHostileJSON(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"deep":      strings.Repeat(`{"a":`, 50_000),
		"deep, all": strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"twice":     `{"template_id":"x"` + strings.Repeat(`,"template_id":"x"`, 10_000) + "}",
		"many":      "{" + manyMembers(10_000) + "}",
		"much data": `{"data":{` + manyMembers(10_000) + "}}",
		"long":      `{"page":"` + strings.Repeat("x", 200_000) + `"}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, faults := ParseNotification([]byte(text)); len(faults) == 0 || len(faults) > maxFaults {
			t.Errorf("%s: %d faults", name, len(faults))
		}
		runtime.ReadMemStats(&after)
		// Other tests allocate meanwhile, so the bound is a wide one.
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<30 {
			t.Errorf("%s: %d bytes for %d", name, got, len(text))
		}
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"k%d":true`, i)
	}
	return b.String()
}

// Requests whose client went away end.
func TestAClientThatGoesAway(t *testing.T) {
	t.Parallel()
	came := make(chan struct{})
	d := sqliteDoor(t, func(c *Config) { c.Requests = waitingStore{came} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := d.try(ctx, keyBilling, "POST", "/v1/notifications", report(nil), "Idempotency-Key", "k")
		done <- err
	}()
	<-came
	cancel()
	if err := <-done; err == nil {
		t.Error("a request that was given up was answered")
	}
	drainCtx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := d.gateway.Drain(drainCtx); err != nil {
		t.Errorf("it is still under way: %v", err)
	}
}

// waitingStore answers when the client is gone.
type waitingStore struct{ came chan struct{} }

func (s waitingStore) ClaimRequest(ctx context.Context, _ store.RequestClaim) (store.RequestClaimed, error) {
	close(s.came)
	<-ctx.Done()
	return store.RequestClaimed{}, store.ErrUnavailable
}

func (waitingStore) EndRequest(context.Context, store.RequestEnd) error { return nil }
