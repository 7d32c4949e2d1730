package webhook

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// newClient makes a client that reaches public addresses and those of allow. The
// address is judged when the connection is made, after the name was looked up, so
// that neither a name nor a name that changes leads elsewhere. Redirects are not
// followed and proxies not used: behind either, the address could not be judged.
func newClient(allow []netip.Prefix, timeout time.Duration, conns int) *http.Client {
	public := ssrf.New(ssrf.WithAnyPort(),
		ssrf.WithAllowedV4Prefixes(only(allow, netip.Addr.Is4)...), ssrf.WithAllowedV6Prefixes(only(allow, netip.Addr.Is6)...))
	transport := func(control func(network, address string, c syscall.RawConn) error) *http.Transport {
		dialer := &net.Dialer{Timeout: timeout, Control: control}
		return &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, IdleConnTimeout: time.Minute,
			MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &http.Client{
		Timeout: timeout,
		Transport: byScheme{
			// Whoever sends in the clear does so only within a network of his own.
			http:  transport(func(_, address string, _ syscall.RawConn) error { return allowed(allow, address) }),
			https: transport(public.Safe),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// byScheme has one transport for each of the two schemes.
type byScheme struct{ http, https *http.Transport }

func (t byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return t.https.RoundTrip(r)
	}
	return t.http.RoundTrip(r)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections looks for.
func (t byScheme) CloseIdleConnections() {
	t.http.CloseIdleConnections()
	t.https.CloseIdleConnections()
}

// allowed refuses an address that is in none of the networks.
func allowed(allow []netip.Prefix, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ssrf.ErrInvalidHostPort, err)
	}
	if !slices.ContainsFunc(allow, func(p netip.Prefix) bool { return p.Contains(to.Addr()) }) {
		return fmt.Errorf("%w: http is for the networks that are allowed by name", ssrf.ErrProhibitedIP)
	}
	return nil
}

func only(prefixes []netip.Prefix, kind func(netip.Addr) bool) []netip.Prefix {
	var some []netip.Prefix
	for _, p := range prefixes {
		if kind(p.Addr()) {
			some = append(some, p)
		}
	}
	return some
}
