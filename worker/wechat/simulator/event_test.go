package simulator_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

const (
	pushToken = "AAAAA"
	aesKey    = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// push is what the receiver of events got.
type push struct {
	query       url.Values
	contentType string
	body        []byte
}

// receiver answers pushes with what answer says and hands them out.
func receiver(t *testing.T, answer func(n int, w http.ResponseWriter)) (address string, pushes <-chan push) {
	t.Helper()
	got := make(chan push, 16)
	var n atomic.Int64 // pushes of many simulated users come side by side
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- push{r.URL.Query(), r.Header.Get("Content-Type"), body}
		answer(int(n.Add(1)), w)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/wechat/callback", got
}

func success(_ int, w http.ResponseWriter) { w.Write([]byte("success")) }

func (c *caller) next(pushes <-chan push) push {
	c.t.Helper()
	select {
	case p := <-pushes:
		return p
	case <-time.After(patience):
		c.t.Fatal("no event came")
		return push{}
	}
}

func sha1Of(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

func withCallback(cb simulator.Callback) simulator.Config {
	a := simulator.SeedApp()
	a.Callback = cb
	return simulator.Config{Apps: []simulator.App{a}}
}

func TestSentEvent(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		for _, asXML := range []bool{false, true} {
			t.Run(map[bool]string{false: "plain ", true: "secure "}[secure]+map[bool]string{false: "JSON", true: "XML"}[asXML], func(t *testing.T) {
				t.Parallel()
				address, pushes := receiver(t, success)
				cb := simulator.Callback{URL: address, Token: pushToken, XML: asXML}
				if secure {
					cb.AESKey = aesKey
				}
				c := start(t, withCallback(cb))
				c.accept(alice, simulator.SeedReport, 1)
				sent := c.send(c.token(), report(alice))
				sent.want(t, 0)
				p := c.next(pushes)
				c.await("the acknowledgement", func(s simulator.State) bool { return s.Events.Pushed == 1 && s.Events.Pending == 0 })

				timestamp, nonce := p.query.Get("timestamp"), p.query.Get("nonce")
				if got, want := p.query.Get("signature"), sha1Of(pushToken, timestamp, nonce); got != want || nonce == "" {
					t.Errorf("got signature %s, want %s", got, want)
				}
				if timestamp != strconv.FormatInt(clock().Unix(), 10) || p.query.Get("openid") != alice {
					t.Errorf("got query %v", p.query)
				}
				body := p.body
				if secure {
					body = openPush(t, p, asXML)
				} else if p.query.Has("encrypt_type") || p.query.Has("msg_signature") {
					t.Errorf("got query %v in plaintext mode", p.query)
				}
				if asXML != (p.contentType == "text/xml") {
					t.Errorf("got Content-Type %s", p.contentType)
				}
				checkSent(t, body, asXML, sent.MsgID)
			})
		}
	}
}

// openPush checks the outer form of an encrypted push and returns the inner one.
func openPush(t *testing.T, p push, asXML bool) []byte {
	t.Helper()
	var outer struct{ ToUserName, Encrypt string }
	decode := json.Unmarshal
	if asXML {
		decode = xml.Unmarshal
	}
	must(t, decode(p.body, &outer))
	if !strings.HasPrefix(outer.ToUserName, "gh_") || p.query.Get("encrypt_type") != "aes" {
		t.Errorf("got ToUserName %q, query %v", outer.ToUserName, p.query)
	}
	if got, want := p.query.Get("msg_signature"), sha1Of(pushToken, p.query.Get("timestamp"), p.query.Get("nonce"), outer.Encrypt); got != want {
		t.Errorf("got msg_signature %s, want %s", got, want)
	}
	key, err := base64.StdEncoding.DecodeString(aesKey + "=")
	must(t, err)
	plain, err := base64.StdEncoding.DecodeString(outer.Encrypt)
	must(t, err)
	block, err := aes.NewCipher(key)
	must(t, err)
	cipher.NewCBCDecrypter(block, key[:16]).CryptBlocks(plain, plain)
	plain = plain[:len(plain)-int(plain[len(plain)-1])]
	n := binary.BigEndian.Uint32(plain[16:20])
	if got := string(plain[20+n:]); got != app.AppID {
		t.Errorf("got appid %q behind the message, want %q", got, app.AppID)
	}
	return plain[20 : 20+n]
}

func checkSent(t *testing.T, body []byte, asXML bool, msgID int64) {
	t.Helper()
	type list struct {
		TemplateID                    string `json:"TemplateId" xml:"TemplateId"`
		MsgID, ErrorCode, ErrorStatus string
	}
	var event struct {
		ToUserName, FromUserName, MsgType, Event string
		CreateTime                               int64
		List                                     list
		Sent                                     struct{ List list } `xml:"SubscribeMsgSentEvent"`
	}
	if asXML {
		must(t, xml.Unmarshal(body, &event))
		event.List = event.Sent.List
	} else {
		must(t, json.Unmarshal(body, &event))
	}
	if event.FromUserName != alice || event.MsgType != "event" || event.Event != "subscribe_msg_sent_event" || event.CreateTime != clock().Unix() {
		t.Errorf("got %s", body)
	}
	if want := (list{simulator.SeedReport, strconv.FormatInt(msgID, 10), "0", "success"}); event.List != want {
		t.Errorf("got item %+v, want %+v", event.List, want)
	}
}

func TestPopupEvent(t *testing.T) {
	t.Parallel()
	for _, asXML := range []bool{false, true} {
		address, pushes := receiver(t, success)
		c := start(t, withCallback(simulator.Callback{URL: address, XML: asXML, Popups: true}))
		c.accept(alice, simulator.SeedReview, 1)
		accepted := string(c.next(pushes).body)
		must(t, c.sim.Reject("", alice, simulator.SeedReview))
		rejected := string(c.next(pushes).body)
		item := `"List":{"TemplateId":"` + simulator.SeedReview + `","SubscribeStatusString":"accept","PopupScene":"0"}`
		if asXML {
			item = `<SubscribeMsgPopupEvent><List><TemplateId>` + simulator.SeedReview + `</TemplateId><SubscribeStatusString>accept</SubscribeStatusString><PopupScene>0</PopupScene></List></SubscribeMsgPopupEvent>`
		}
		for got, want := range map[string]string{accepted: item, rejected: strings.ReplaceAll(item, "accept", "reject")} {
			if !strings.Contains(got, want) || !strings.Contains(got, "subscribe_msg_popup_event") {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

func TestEventIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer func(n int, w http.ResponseWriter)
		pushes int
		want   simulator.EventCounts
	}{
		"empty body acknowledges": {func(int, http.ResponseWriter) {}, 1, simulator.EventCounts{Pushed: 1}},
		"third time lucky": {func(n int, w http.ResponseWriter) {
			if n < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}, 3, simulator.EventCounts{Pushed: 1}},
		"never": {func(_ int, w http.ResponseWriter) { w.Write([]byte("no")) }, 4, simulator.EventCounts{Failed: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, pushes := receiver(t, tc.answer)
			core, logs := observer.New(zapcore.DebugLevel)
			cfg := withCallback(simulator.Callback{URL: address})
			cfg.Logger = zap.New(core)
			c := start(t, cfg)
			c.accept(alice, simulator.SeedReport, 1)
			c.send(c.token(), report(alice)).want(t, 0)
			for range tc.pushes {
				c.next(pushes)
			}
			c.await("the outcome", func(s simulator.State) bool { return s.Events == tc.want })
			if got := logs.Len(); got != tc.want.Failed {
				t.Errorf("got %d log lines, want %d", got, tc.want.Failed)
			}
			if len(pushes) != 0 {
				t.Errorf("got %d pushes more than %d", len(pushes), tc.pushes)
			}
		})
	}
}

// TestEventThatCannotBePushed: nobody listens, and the log must not show the
// URL, which carries the openid.
func TestEventThatCannotBePushed(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	cfg := withCallback(simulator.Callback{URL: "http://127.0.0.1:1/"})
	cfg.Logger = zap.New(core)
	c := start(t, cfg)
	c.accept(alice, simulator.SeedReport, 1)
	c.send(c.token(), report(alice)).want(t, 0)
	c.await("the failure", func(s simulator.State) bool { return s.Events.Failed == 1 })
	lines := logs.All()
	if len(lines) != 1 {
		t.Fatalf("got %d log lines, want 1", len(lines))
	}
	if text := fmt.Sprint(lines[0].ContextMap()); strings.Contains(text, alice) || !strings.Contains(text, "refused") {
		t.Errorf("got %s, want the cause without the openid", text)
	}
}

func TestEventFaultsAndDelay(t *testing.T) {
	t.Parallel()
	address, pushes := receiver(t, success)
	c := start(t, simulator.Config{})
	must(t, c.sim.SetCallback("", simulator.Callback{URL: address, Delay: 20 * time.Millisecond}))
	c.accept(alice, simulator.SeedReport, 1)
	token := c.token()

	begin := time.Now()
	c.send(token, report(alice)).want(t, 0)
	c.next(pushes)
	if got := time.Since(begin); got < 20*time.Millisecond {
		t.Errorf("the event came after %s, want the delay first", got)
	}
	c.fault(simulator.Fault{API: simulator.APIEvent, Count: 1, Action: simulator.ActDrop})
	c.fault(simulator.Fault{API: simulator.APIEvent, Count: 1, Action: simulator.ActErrcode, Errcode: 1, Errmsg: "failed: system failed"})
	c.send(token, report(alice)).want(t, 0)
	c.send(token, report(alice)).want(t, 0)
	if got, want := string(c.next(pushes).body), `"ErrorCode":"1","ErrorStatus":"failed: system failed"`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	c.await("the counts", func(s simulator.State) bool { return s.Events == simulator.EventCounts{Pushed: 2, Dropped: 1} })

	// A fault of any API is one of any call: events are not calls.
	c.fault(simulator.Fault{Skip: 1, Action: simulator.ActDrop})
	c.send(token, report(alice)).want(t, 0)
	c.next(pushes)
	c.sim.ClearFaults()

	// An event that is not due does not hold up Close.
	must(t, c.sim.SetCallback("", simulator.Callback{URL: address, Delay: time.Hour}))
	c.send(token, report(alice)).want(t, 0)
	c.sim.Close()
	if err := c.sim.SetCallback("", simulator.Callback{AESKey: "x"}); err == nil {
		t.Error("a bad AES key was taken")
	}
}
