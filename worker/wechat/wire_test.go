package wechat

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// okAnswer is a whole HTTP answer that leaves the connection open.
const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + `{"errcode":0,"errmsg":"ok"}` + "\n"

func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// TestTransportFailures sends into every way a connection can fail. What counts
// is whether a byte of the request was handed to a socket.
func TestTransportFailures(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		serve func(t *testing.T) (baseURL string, proxy string)
		want  Kind
		is    error
		// maybe is for a peer whose reset may come before our first write.
		maybe Kind
	}{
		{name: "connection refused", want: KindUnreachable, is: syscall.ECONNREFUSED, serve: func(t *testing.T) (string, string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return "http://" + l.Addr().String(), ""
		}},
		{name: "unknown host", want: KindUnreachable, serve: func(*testing.T) (string, string) {
			return "http://no-such-host.invalid", ""
		}},
		{name: "reset at accept", want: KindInDoubt, maybe: KindUnreachable, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) { reset(c) }), ""
		}},
		{name: "reset after the first byte", want: KindInDoubt, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) {
				_, _ = c.Read(make([]byte, 1))
				reset(c)
			}), ""
		}},
		{name: "closed after the request", want: KindInDoubt, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) { _, _ = readRequest(t, bufio.NewReader(c)) }), ""
		}},
		{name: "never answered", want: KindInDoubt, is: context.DeadlineExceeded, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), ""
		}},
		{name: "half a status line", want: KindInDoubt, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) {
				_, _ = readRequest(t, bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 20")
			}), ""
		}},
		{name: "half an answer", want: KindInDoubt, is: io.ErrUnexpectedEOF, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) {
				_, _ = readRequest(t, bufio.NewReader(c))
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"+`{"errcode":`)
			}), ""
		}},
		{name: "answer stops coming", want: KindInDoubt, is: context.DeadlineExceeded, serve: func(t *testing.T) (string, string) {
			return "http://" + listen(t, func(_ int, c *net.TCPConn) {
				r := bufio.NewReader(c)
				_, _ = readRequest(t, r)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
				_, _ = io.Copy(io.Discard, r)
			}), ""
		}},
		{name: "no TLS on the other side", want: KindUnreachable, serve: func(t *testing.T) (string, string) {
			return "https://" + listen(t, func(_ int, c *net.TCPConn) {
				_, _ = io.WriteString(c, "220 smtp ready\r\n")
				_, _ = io.Copy(io.Discard, c)
			}), ""
		}},
		{name: "unknown certificate", want: KindUnreachable, serve: func(t *testing.T) (string, string) {
			s := httptest.NewUnstartedServer(reply(`{"errcode":0}`))
			s.Config.ErrorLog = discardLog
			s.StartTLS()
			t.Cleanup(s.Close)
			return s.URL, ""
		}},
		{name: "handshake never ends", want: KindUnreachable, is: context.DeadlineExceeded, serve: func(t *testing.T) (string, string) {
			return "https://" + listen(t, func(_ int, c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), ""
		}},
		{name: "proxy refuses CONNECT", want: KindUnreachable, serve: func(t *testing.T) (string, string) {
			return "https://api.example", serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		}},
		{name: "proxy is down", want: KindUnreachable, is: syscall.ECONNREFUSED, serve: func(t *testing.T) (string, string) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			return "https://api.example", "http://" + l.Addr().String()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			base, proxy := tc.serve(t)
			cfg := Config{BaseURL: base, Timeout: time.Second}
			if proxy != "" {
				cfg.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
			}
			c := newClient(t, cfg)
			_, err := c.Send(t.Context(), testToken, testMessage())
			e := asError(t, err)
			if e.Kind != tc.want && (tc.maybe == KindOK || e.Kind != tc.maybe) {
				t.Errorf("got kind %s (%v), want %s", e.Kind, e, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("got %v, want an error that is %v", err, tc.is)
			}
			if _, ok := errors.AsType[*url.Error](err); ok {
				t.Error("a *url.Error can be got out of the error")
			}
			noLeak(t, err)
		})
	}
}

func TestEndedContextIsUnreachable(t *testing.T) {
	t.Parallel()
	var got atomic.Int32
	c := newClient(t, Config{BaseURL: serve(t, func(http.ResponseWriter, *http.Request) { got.Add(1) })})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Send(ctx, testToken, testMessage())
	if e := asError(t, err); e.Kind != KindUnreachable || !errors.Is(err, context.Canceled) {
		t.Errorf("got %s, want unreachable because of context.Canceled", e)
	}
	if got.Load() != 0 {
		t.Error("the server was asked")
	}
}

// TestWaitingForAConnectionIsUnreachable fills every connection with calls that
// hang; one more gives up before it has one.
func TestWaitingForAConnectionIsUnreachable(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(1 + spareConns)
	c := newClient(t, Config{MaxConns: 1, BaseURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		<-release
		reply(`{"errcode":0}`)(w, r)
	})})
	var calls sync.WaitGroup
	for range 1 + spareConns {
		calls.Go(func() {
			if _, err := c.Send(t.Context(), testToken, testMessage()); err != nil {
				t.Errorf("a call with a connection failed: %v", err)
			}
		})
	}
	arrived.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Send(ctx, testToken, testMessage())
	close(release)
	calls.Wait()
	if e := asError(t, err); e.Kind != KindUnreachable {
		t.Errorf("got %s, want unreachable", e)
	}
}

// TestDeadIdleConnections sends over kept connections that the server resets or
// closes at any moment. No message arrives twice, and of none is said that it
// was not written when it arrived.
func TestDeadIdleConnections(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(*net.TCPConn)
	}{
		{"reset", reset},
		{"closed", func(c *net.TCPConn) { _ = c.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			arrived := make(map[string]int)
			addr := listen(t, func(_ int, c *net.TCPConn) {
				r := bufio.NewReader(c)
				for range 2 {
					body, err := readRequest(t, r)
					if err != nil {
						return
					}
					mu.Lock()
					arrived[body]++
					mu.Unlock()
					_, _ = io.WriteString(c, okAnswer)
				}
				tc.end(c)
			})
			c := newClient(t, Config{BaseURL: "http://" + addr})
			outcome := make(map[string]Kind)
			for i := range 400 {
				m := testMessage()
				m.ToUser = fmt.Sprint("user", i)
				body := m.body()
				kind := KindOK
				if _, err := c.Send(t.Context(), testToken, m); err != nil {
					kind = asError(t, err).Kind
				}
				outcome[string(body)] = kind
			}
			mu.Lock()
			defer mu.Unlock()
			good := 0
			for body, kind := range outcome {
				n := arrived[body]
				switch {
				case n > 1:
					t.Errorf("a message arrived %d times", n)
				case kind == KindOK && n != 1:
					t.Error("a message is said to be accepted and did not arrive")
				case kind == KindUnreachable:
					t.Error("a server that listens is said to be unreachable")
				case kind != KindOK && kind != KindInDoubt:
					t.Errorf("got kind %s", kind)
				}
				if kind == KindOK {
					good++
				}
			}
			if good < 200 {
				t.Errorf("only %d of 400 messages went through", good)
			}
		})
	}
}

// TestUnwrittenRequestMovesOn breaks a kept connection under a request before
// its first byte: it has to go out on another one.
func TestUnwrittenRequestMovesOn(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	addr := listen(t, func(n int, c *net.TCPConn) {
		conns.Store(int32(n))
		r := bufio.NewReader(c)
		for {
			if _, err := readRequest(t, r); err != nil {
				return
			}
			_, _ = io.WriteString(c, okAnswer)
		}
	})
	c := newClient(t, Config{BaseURL: "http://" + addr})
	var last atomic.Pointer[countedConn]
	dial := c.transport.DialContext
	c.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err == nil {
			last.Store(conn.(*countedConn))
		}
		return conn, err
	}
	send := func() error {
		_, err := c.Send(t.Context(), testToken, testMessage())
		return err
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	// Sealed but open: the pool still trusts it, and its first write fails.
	first := last.Load()
	first.mu.Lock()
	first.sealed = true
	first.mu.Unlock()
	if err := send(); err != nil {
		t.Fatalf("the request did not move to another connection: %v", err)
	}
	if got := conns.Load(); got != 2 {
		t.Errorf("got %d connections, want 2", got)
	}
}

// TestGetIsNotReplayed: net/http replays a GET on another connection when a kept
// one breaks after the request was written. A login code would be used up.
func TestGetIsNotReplayed(t *testing.T) {
	t.Parallel()
	var requests atomic.Int32
	addr := listen(t, func(_ int, c *net.TCPConn) {
		r := bufio.NewReader(c)
		for {
			if _, err := readRequest(t, r); err != nil {
				return
			}
			if requests.Add(1) > 1 {
				return
			}
			body := `{"openid":"` + testOpenID + `","session_key":"k"}`
			_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	c := newClient(t, Config{BaseURL: "http://" + addr})
	if _, err := c.Code2Session(t.Context(), testApp, testCode); err != nil {
		t.Fatal(err)
	}
	_, err := c.Code2Session(t.Context(), testApp, testCode)
	if e := asError(t, err); e.Kind != KindInDoubt {
		t.Errorf("got %s, want in_doubt", e)
	}
	if got := requests.Load(); got != 2 {
		t.Errorf("the server read %d requests, want 2", got)
	}
	noLeak(t, err)
}

// TestCompleteObjectCounts: what follows a complete object cannot change it.
func TestCompleteObjectCounts(t *testing.T) {
	t.Parallel()
	addr := listen(t, func(_ int, c *net.TCPConn) {
		_, _ = readRequest(t, bufio.NewReader(c))
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"+`{"errcode":43101,"errmsg":"user refuse to accept the msg"}`)
	})
	c := newClient(t, Config{BaseURL: "http://" + addr})
	_, err := c.Send(t.Context(), testToken, testMessage())
	if e := asError(t, err); e.Kind != KindRefused {
		t.Errorf("got %s, want refused", e)
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := newClient(t, Config{BaseURL: serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other, status)
		})})
		_, err := c.Send(t.Context(), testToken, testMessage())
		if e := asError(t, err); e.Kind != KindUnsure || e.HTTPStatus != status {
			t.Errorf("%d: got %s, want unsure", status, e)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

// tlsServer serves handle over TLS and returns the address and who to trust.
func tlsServer(t *testing.T, handler http.HandlerFunc) (string, *tls.Config) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = discardLog
	s.EnableHTTP2 = true // to be turned down
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.URL, &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	base, trust := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			t.Errorf("got protocol %s, want HTTP/1.1", r.Proto)
		}
		if strings.Contains(r.URL.RawQuery, "hang") {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-hang:
			case <-r.Context().Done():
			}
			return
		}
		reply(`{"errcode":0}`)(w, r)
	})
	defer close(hang)

	var tunnels atomic.Int32
	proxy := serve(t, tunnel(t, &tunnels))
	for name, proxyFunc := range map[string]func(*http.Request) (*url.URL, error){
		"direct":          noProxy,
		"through CONNECT": func(*http.Request) (*url.URL, error) { return url.Parse(proxy) },
	} {
		c := newClient(t, Config{BaseURL: base, TLS: trust, Proxy: proxyFunc, Timeout: 2 * time.Second})
		if _, err := c.Send(t.Context(), testToken, testMessage()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := c.Send(t.Context(), "hang"+testToken, testMessage())
		if e := asError(t, err); e.Kind != KindInDoubt {
			t.Errorf("%s: got %s, want in_doubt", name, e)
		}
		c.Close()
	}
	if tunnels.Load() == 0 {
		t.Error("the proxy was not used")
	}
}

// tunnel is a CONNECT proxy.
func tunnel(t *testing.T, used *atomic.Int32) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		used.Add(1)
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer from.Close()
		_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(to, buffered)
			_ = to.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(from, to)
		_ = from.Close()
		<-done
	}
}

// TestOnlyRequestsCount: neither a handshake nor the alert that closes a
// connection is a byte of a request.
func TestOnlyRequestsCount(t *testing.T) {
	t.Parallel()
	base, trust := tlsServer(t, reply(`{"errcode":0}`))
	conn, err := dialTLS(t.Context(), &net.Dialer{}, trust, "tcp", strings.TrimPrefix(base, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	c := counted(conn)
	if got := c.count(); got != 0 {
		t.Errorf("got a count of %d after the handshake", got)
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if got := c.count(); got != 16 {
		t.Errorf("got a count of %d after 16 bytes and the end", got)
	}
	if _, err := conn.Write([]byte("more")); err == nil || c.count() != 16 {
		t.Errorf("got %v and a count of %d after a write that was not taken", err, c.count())
	}
}

func TestProxyErrorHidesItsURL(t *testing.T) {
	t.Parallel()
	c := newClient(t, Config{BaseURL: "https://api.example", Proxy: func(*http.Request) (*url.URL, error) {
		return nil, errors.New(`invalid proxy address "http://user:` + testSecret + `@proxy"`)
	}})
	_, err := c.Send(t.Context(), testToken, testMessage())
	if e := asError(t, err); e.Kind != KindUnreachable {
		t.Errorf("got %s, want unreachable", e)
	}
	noLeak(t, err)
}

func TestSealedConnectionWritesNothing(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer b.Close()
	c := &countedConn{Conn: a}
	if n := c.seal(); n != 0 {
		t.Errorf("got a count of %d before any write", n)
	}
	if _, err := c.Write([]byte("late")); !errors.Is(err, errSealed) {
		t.Errorf("got %v, want errSealed", err)
	}
	if n := c.count(); n != 0 {
		t.Errorf("got a count of %d after a refused write", n)
	}
}
