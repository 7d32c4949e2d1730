package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway/apikey"
	"github.com/wxnotify/wxnotify/store"
)

const (
	keyOne = "wxn_0000000000000000000000000000000000000000001"
	keyTwo = "wxn_0000000000000000000000000000000000000000002"
)

func TestProducersOfAPIKeys(t *testing.T) {
	t.Parallel()
	cfg := world{env: map[string]string{"API_KEYS": "approval:" + keyOne + ", report:" + strings.Repeat("r", 32) + ",approval:" + keyTwo}}.load(t)
	all := []config.Right{config.RightSend, config.RightRead, config.RightUsers}
	want := []config.Producer{
		{Name: "approval", Keys: []apikey.Hash{apikey.Of(keyOne), apikey.Of(keyTwo)}, Rights: all},
		{Name: "report", Keys: []apikey.Hash{apikey.Of(strings.Repeat("r", 32))}, Rights: all},
	}
	if diff := cmp.Diff(want, cfg.Producers); diff != "" {
		t.Errorf("producers (-want +got):\n%s", diff)
	}
	if text := fmt.Sprintf("%+v %#v %v", cfg, cfg, cfg.Effective()); strings.Contains(text, keyOne) {
		t.Error("a key is printed")
	}
}

func TestProducersOfTheFile(t *testing.T) {
	t.Parallel()
	w := appsFile(`
webhook_allow_cidrs: 10.0.0.0/8, fd00::/8
apps: [{appid: wxa}]
producers:
  - name: approval
    keys: ["` + apikey.Of(keyOne).String() + `", "` + apikey.Of(keyTwo).String() + `"]
    rights: [send, erase, send]
    apps: [wxa]
    templates: [approval_result]
    rate: 20
    max_priority: default
    wait: 1h
    webhook:
      url: http://intranet.example/hook
      secret_file: /run/hook
      events: [notification.failed]
  - {name: plain, keys: ["` + apikey.Of("another").String() + `"]}
`)
	w.files["/run/hook"] = "whsec_" + strings.Repeat("A", 32) + "\n"
	cfg := w.load(t)
	want := []config.Producer{
		{
			Name: "approval", Keys: []apikey.Hash{apikey.Of(keyOne), apikey.Of(keyTwo)},
			Rights: []config.Right{config.RightSend, config.RightErase},
			Apps:   []string{"wxa"}, Templates: []string{"approval_result"}, Rate: 20, Wait: time.Hour,
			MaxPriority: store.Default,
			Webhook: config.Webhook{
				URL: "http://intranet.example/hook", Secret: config.Secret("whsec_" + strings.Repeat("A", 32)),
				Events: []store.WebhookEvent{store.WebhookFailed},
			},
		},
		{Name: "plain", Keys: []apikey.Hash{apikey.Of("another")}, Rights: []config.Right{config.RightSend, config.RightRead}},
	}
	if diff := cmp.Diff(want, cfg.Producers); diff != "" {
		t.Errorf("producers (-want +got):\n%s", diff)
	}
	allow := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	if diff := cmp.Diff(allow, cfg.WebhookAllow, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("networks (-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"producers[0].keys": "2 keys", "producers[0].webhook.secret": "***", "producers[0].webhook.url": "http://intranet.example/hook",
	} {
		if got := effective(cfg)[name].Value; got != want {
			t.Errorf("%s is shown as %q, want %q", name, got, want)
		}
	}
}

func TestFaultsOfProducers(t *testing.T) {
	t.Parallel()
	hash := apikey.Of(keyOne).String()
	for _, tc := range []struct {
		name, file string
		env        map[string]string
		want       []string
	}{
		{
			name: "a key in place of its hash", file: "producers:\n  - {name: a, keys: [" + keyOne + "]}\n",
			want: []string{"producers[0].keys (file c.yaml:2): must be hashes, sha256- and 64 digits, as `wxnotify keys new NAME` prints them; never the keys"},
		},
		{
			name: "one name twice", file: "producers:\n  - {name: a, keys: [" + hash + "]}\n",
			env:  map[string]string{"API_KEYS": "a:" + keyTwo},
			want: []string{"producers[0].name (file c.yaml:2): is the same name as that of API_KEYS: a"},
		},
		{
			name: "one key twice", file: "producers:\n  - {name: a, keys: [" + hash + "]}\n",
			env:  map[string]string{"API_KEYS": "b:" + keyOne},
			want: []string{"producers[0] (file c.yaml:2): has a key that is there already, in API_KEYS: b"},
		},
		{
			name: "a short key", env: map[string]string{"API_KEYS": "a:" + strings.Repeat("k", 31)},
			want: []string{"API_KEYS (environment API_KEYS): has a key that is too short or has characters that no header carries: make one with `wxnotify keys new NAME`"},
		},
		{
			name: "no name", env: map[string]string{"API_KEYS": keyOne},
			want: []string{"API_KEYS (environment API_KEYS): must be NAME:KEY, separated by commas; a name has up to 64 letters, digits, dots, dashes and underscores"},
		},
		{
			name: "networks", env: map[string]string{"WEBHOOK_ALLOW_CIDRS": "10.0.0.1/8"},
			want: []string{`WEBHOOK_ALLOW_CIDRS (environment WEBHOOK_ALLOW_CIDRS): "10.0.0.1/8" must be networks such as 10.20.0.0/16, separated by commas, with no bits set behind the length`},
		},
		{
			name: "keys of a producer", file: `producers:
  - rights: [send, fly]
    apps: [wxb]
    rate: -1
    wait: 1
    colour: red
    webhook.url: https://x.example
    webhook:
      url: http://x.example
      colour: red
      events: []
  - name: "ünvalid"
    keys: []
    webhook: https://x.example
  - {name: c, keys: [` + hash + `], webhook: {secret: whsec_short, events: [notification.read]}}
  - {name: d, keys: [` + apikey.Of("d").String() + `], webhook: {secret: whsec_` + strings.Repeat("A", 32) + `}}
`,
			want: []string{
				"producers[0].a key (file c.yaml:7): unknown key",
				"producers[0].name (file c.yaml:2): is required",
				"producers[0].keys (file c.yaml:2): is required",
				`producers[0].rights (file c.yaml:2): "fly" is no right: there are send, read, users, manage, erase, token`,
				`producers[0].rate (file c.yaml:4): "-1" must be a whole number, 0 to 100000`,
				`producers[0].wait (file c.yaml:5): "1" must be a duration with its unit, such as "10s", "90m" or "72h"`,
				"producers[0].webhook.events (file c.yaml:11): must be a list of plain values with at least one; leave the key out for all",
				"producers[0].colour (file c.yaml:6): unknown key",
				"producers[0].webhook.colour (file c.yaml:10): unknown key",
				"producers[1].webhook (file c.yaml:14): must be a list of KEY: VALUE lines",
				`producers[1].name (file c.yaml:12): "ünvalid" must have up to 64 letters, digits, dots, dashes and underscores`,
				"producers[1].keys (file c.yaml:13): must be a list of plain values with at least one; leave the key out for no one",
				"producers[2].webhook.secret (file c.yaml:15): must be whsec_ and 24 to 64 bytes in base64",
				`producers[2].webhook.events (file c.yaml:15): "notification.read" is no event: there are notification.sent, notification.failed, notification.refused, notification.expired, notification.receipt_failed`,
				`producers[0].apps (file c.yaml:2): "wxb" is not among the apps that are set`,
				"producers[0].webhook.secret (file c.yaml:2): is required: without it anybody could tell the producer anything",
				"producers[3].webhook.url (file c.yaml:16): is required",
			},
		},
		{
			name: "http to anywhere",
			file: "producers:\n  - {name: a, keys: [" + hash + "], webhook: {url: \"http://x.example\", secret: whsec_" + strings.Repeat("A", 32) + "}}\n",
			want: []string{"producers[0].webhook.url (file c.yaml:2): must be https, unless WEBHOOK_ALLOW_CIDRS names the network it is in"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := appsFile(tc.file)
			w.env = tc.env
			if diff := cmp.Diff(tc.want, w.faults(t)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFaultsOfCallbacks(t *testing.T) {
	t.Parallel()
	aesKey := strings.Repeat("A", 43)
	for _, tc := range []struct {
		name string
		env  map[string]string
		want []string // nil when it is in order
	}{
		{"token and AES key", map[string]string{"WECHAT_CALLBACK_TOKEN": "AAAAA", "WECHAT_CALLBACK_AES_KEY": aesKey}, nil},
		{"trailing bits that WeChat accepts", map[string]string{
			"WECHAT_CALLBACK_TOKEN": "AAAAA", "WECHAT_CALLBACK_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
		}, nil},
		{"plain", map[string]string{"WECHAT_CALLBACK_TOKEN": "AAAAA", "WECHAT_CALLBACK_PLAINTEXT": "true"}, nil},
		{"no token", map[string]string{"WECHAT_CALLBACK_AES_KEY": aesKey}, []string{
			"WECHAT_APPID: callback (environment WECHAT_APPID): has no callback token: without it anybody could send events",
		}},
		{"plain without a token", map[string]string{"WECHAT_CALLBACK_PLAINTEXT": "true"}, []string{
			"WECHAT_APPID: callback (environment WECHAT_APPID): has no callback token: without it anybody could send events",
		}},
		{"token alone", map[string]string{"WECHAT_CALLBACK_TOKEN": "AAAAA"}, []string{
			"WECHAT_APPID: callback (environment WECHAT_APPID): has a token, but neither the AES key nor leave to receive events that are not encrypted (plaintext)",
		}},
		{"neither is right", map[string]string{"WECHAT_CALLBACK_TOKEN": "a b", "WECHAT_CALLBACK_AES_KEY": aesKey[:42]}, []string{
			"WECHAT_CALLBACK_TOKEN (environment WECHAT_CALLBACK_TOKEN): must be the Token of WeChat's console: 3 to 32 letters and digits",
			"WECHAT_CALLBACK_AES_KEY (environment WECHAT_CALLBACK_AES_KEY): must be the EncodingAESKey of WeChat's console: 43 letters and digits",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.env["WECHAT_APPID"] = "wx1"
			w := world{env: tc.env}
			if tc.want == nil {
				if c := w.load(t).Apps[0].Callback; !c.Receives() {
					t.Errorf("pushes are not received: %+v", c)
				}
				return
			}
			if diff := cmp.Diff(tc.want, w.faults(t)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
