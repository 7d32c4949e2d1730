package wechat

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"
)

const (
	// dialTimeout bounds one TCP connect; some of WeChat's addresses are slow or
	// dead at times, and the call's own timeout is shared with the answer.
	dialTimeout = 5 * time.Second
	// tlsTimeout bounds one handshake.
	tlsTimeout = 5 * time.Second
	// idleTimeout is below the 60 s after which common load balancers drop an
	// idle connection, so that few sends meet a dead one.
	idleTimeout = 45 * time.Second
	// spareConns are for tokens, logins and templates beside MaxConns sends.
	spareConns = 8
	// maxHeaderBytes caps the header of an answer; WeChat's are below 1 KiB.
	maxHeaderBytes = 64 << 10
	// readBuffer and writeBuffer are what every connection has all the time: an
	// answer of subscribe/send is below half a KiB, and a request fits even with a
	// token of the 512 bytes that WeChat asks to reserve. What is longer takes
	// another system call. net/http's own 4 KiB each would be 8 MiB at a thousand
	// connections, and the same again for the garbage collector.
	readBuffer  = 1 << 10
	writeBuffer = 2 << 10
)

// newTransport returns the tuned transport. It speaks HTTP/1.1 only: one
// connection carries one call at a time, so a broken connection puts one
// message in doubt and not all that share it, and whether a call was written is
// a question to one connection. (No reliable account of HTTP/2 on this API
// exists either.)
func newTransport(cfg Config) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	tlsConfig := cfg.TLS.Clone()
	if tlsConfig == nil {
		tlsConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	tlsConfig.NextProtos = []string{"http/1.1"}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	conns := cfg.MaxConns + spareConns
	return &http.Transport{
		Proxy: safeProxy(cfg.Proxy),
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn}, nil
		},
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(ctx, dialer, tlsConfig, network, addr)
		},
		TLSClientConfig:        tlsConfig,
		TLSHandshakeTimeout:    tlsTimeout,
		Protocols:              protocols,
		MaxIdleConnsPerHost:    conns,
		MaxConnsPerHost:        conns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         readBuffer,
		WriteBufferSize:        writeBuffer,
		// The answers are a few hundred bytes.
		DisableCompression: true,
	}
}

// safeProxy hides the text of a proxy function's error: it repeats the proxy's
// URL, which may hold a password.
func safeProxy(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(r *http.Request) (*url.URL, error) {
		u, err := proxy(r)
		if err != nil {
			return nil, errors.New("the proxy setting cannot be used")
		}
		return u, nil
	}
}

// dialTLS connects without a proxy and counts above the encryption, so that
// neither the handshake nor the alert that closes a connection counts as a
// byte of a request. Through a proxy net/http builds the TLS itself and the
// count is below it; there a closing alert may make a call look written that
// was not, which errs to the safe side.
func dialTLS(ctx context.Context, dialer *net.Dialer, cfg *tls.Config, network, addr string) (net.Conn, error) {
	raw, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cfg = cfg.Clone()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		cfg.ServerName = host
	}
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return &countedConn{Conn: conn}, nil
}

// errSealed is what a write meets after its call was judged.
var errSealed = errors.New("connection is sealed")

// countedConn counts what is handed to the socket and can be sealed: after
// that nothing more is written, so a judgement "nothing was written" stays true
// whatever net/http's goroutines still do.
type countedConn struct {
	net.Conn

	mu     sync.Mutex
	handed int64
	sealed bool
}

// Write implements net.Conn. A write counts from before it starts; what the
// socket did not take is taken off again.
func (c *countedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return 0, errSealed
	}
	c.handed += int64(len(p))
	c.mu.Unlock()

	n, err := c.Conn.Write(p)
	if n < len(p) {
		c.mu.Lock()
		c.handed -= int64(len(p) - max(n, 0))
		c.mu.Unlock()
	}
	return n, err
}

func (c *countedConn) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handed
}

// seal stops further writes, closes the connection and returns the count.
func (c *countedConn) seal() int64 {
	c.mu.Lock()
	c.sealed = true
	n := c.handed
	c.mu.Unlock()
	_ = c.Close()
	return n
}

// counted finds the counted connection under any TLS that net/http put on it.
func counted(conn net.Conn) *countedConn {
	for conn != nil {
		if c, ok := conn.(*countedConn); ok {
			return c
		}
		under, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = under.NetConn()
	}
	return nil
}

// written watches one round trip for the first byte on the wire. It is used by
// the goroutine that calls RoundTrip only: httptrace calls GotConn on it.
type written struct {
	cancel context.CancelCauseFunc
	conn   *countedConn
	base   int64
	reused bool
	lost   bool // written on an earlier connection of this round trip
}

var errNoReplay = errors.New("the connection broke after the request was written")

// trace returns ctx with the hook.
func (w *written) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: w.gotConn})
}

// gotConn notes where the request is about to be written. net/http replays a
// GET by itself when a kept connection breaks under it, written or not; a
// second jscode2session would burn the login code and a second token call
// rotates, so a request that was written once gets no second connection.
func (w *written) gotConn(info httptrace.GotConnInfo) {
	next := counted(info.Conn)
	if w.conn != nil && w.conn.seal() > w.base {
		w.lost = true
		if next != nil {
			next.seal()
		}
		w.cancel(errNoReplay)
		return
	}
	w.conn, w.reused = next, info.Reused
	if next != nil {
		w.base = next.count()
	} else {
		w.lost = true // a connection that cannot be asked: assume the worst
	}
}

// judge closes the case after a failed round trip: it reports whether a byte of
// the request was handed to a socket, and makes sure none will be.
func (w *written) judge() bool {
	if w.conn == nil {
		return w.lost
	}
	return w.conn.seal() > w.base || w.lost
}
