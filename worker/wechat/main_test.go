package wechat

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Values that no error, log or metric may ever hold.
const (
	testToken  = "80_tokenTOKENtokenTOKENtokenTOKENtokenTOKENtokenTOKEN-x_y"
	testSecret = "5ec2e75ec2e75ec2e75ec2e75ec2e7aa"
	testOpenID = "oAbCdEfGhIjKlMnOpQrStUvWxYz1"
	testText   = "张三的体检报告"
	testPage   = "pages/report?patient=4711"
	testCode   = "0a1b2c3d4e5f6g"
)

var testApp = App{AppID: "wxtest000000000001", Secret: testSecret}

func testMessage() Message {
	return Message{ToUser: testOpenID, TemplateID: "TEMPLATE", Page: testPage, Data: map[string]string{"thing1": testText}}
}

// noProxy keeps the tests off a proxy of the machine they run on.
func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	if cfg.Proxy == nil {
		cfg.Proxy = noProxy
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// serve answers every request with handler and returns the base URL.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func reply(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, body)
	}
}

// listen hands every connection to handle, with its number from 1, and closes
// it afterwards. It returns the address.
func listen(t *testing.T, handle func(n int, conn *net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				defer conn.Close()
				handle(n, conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		open.Wait()
	})
	return l.Addr().String()
}

// readRequest reads one whole request and returns its body.
func readRequest(t *testing.T, r *bufio.Reader) (string, error) {
	t.Helper()
	req, err := http.ReadRequest(r)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(req.Body)
	return string(body), err
}

// asError returns err as the *Error it has to be.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v (%T), want a *wechat.Error", err, err)
	}
	return e
}

// within fails the test when c is not closed in time.
func within(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("timed out: %s", what)
	}
}
