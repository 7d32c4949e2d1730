package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// liveSite has a simulator and neither database nor Redis.
func liveSite(t *testing.T) site {
	t.Helper()
	sim, base := simulatortest.Start(t, simulator.Config{})
	if err := sim.Accept("", siteOpenID, simulator.SeedReport, 1); err != nil {
		t.Fatal(err)
	}
	return site{sim: sim, shell: shell{env: map[string]string{
		"WECHAT_API_BASE_URL": base, "WECHAT_APPID": siteApp.AppID, "WECHAT_SECRET": siteApp.Secret,
	}}}
}

func TestSendLive(t *testing.T) {
	t.Parallel()
	s := liveSite(t)
	out := s.must(t, sendArgs("--live", "--yes", "--openid", siteOpenID, "--page", "/pages/a")...)
	for _, want := range []string{"accepted\n", "errcode   0\n", "msgid     19888108123243", "latency   "} {
		if !strings.Contains(out, want) {
			t.Errorf("got %q, want %q in it", out, want)
		}
	}
	calls := s.sim.Accepted()
	if len(calls) != 1 || calls[0].OpenID != siteOpenID || calls[0].Page != "pages/a" || calls[0].State != "formal" ||
		calls[0].Lang != "zh_CN" || calls[0].Values()["thing1"] != "月报, 第 1 部分" {
		t.Errorf("WeChat received %+v", calls)
	}

	var answer struct {
		Accepted bool
		MsgID    string
	}
	if err := json.Unmarshal([]byte(s.must(t, sendArgs("--live", "--yes", "--openid", siteOpenID, "--json")...)), &answer); err != nil {
		t.Fatal(err)
	}
	if !answer.Accepted || answer.MsgID == "" {
		t.Errorf("--json: got %+v", answer)
	}
}

// TestSendLiveExplains: every answer but "accepted" is exit code 1 with its
// meaning and what to do, and nothing that is secret.
func TestSendLiveExplains(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		env   map[string]string
		fault simulator.Fault
		want  []string
		sends int64
	}{
		"refused": {
			fault: simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 43101},
			want:  []string{"call      subscribe_send", "errcode   43101", "kind      refused", "meaning   the user has not subscribed", "do        the user has to subscribe again", "rid       ", "latency   "},
			sends: 1,
		},
		"bad field": {
			fault: simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 47003},
			want:  []string{"errcode   47003", "field     thing1", "do        correct the field"},
			sends: 1,
		},
		"not documented": {
			fault: simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 99999},
			want:  []string{"errcode   99999", "meaning   not documented", "do        look the rid up"},
			sends: 1,
		},
		"token refused is not tried twice": {
			fault: simulator.Fault{API: simulator.APISend, Action: simulator.ActErrcode, Errcode: 40001},
			want:  []string{"errcode   40001", "kind      bad_token"},
			sends: 1,
		},
		"no answer": {
			fault: simulator.Fault{API: simulator.APISend, Action: simulator.ActDrop},
			want:  []string{"kind      in_doubt", "the message may have been sent", "do        look at the phone"},
			sends: 1,
		},
		"HTML": {
			fault: simulator.Fault{API: simulator.APISend, Action: simulator.ActStatus, Status: 502},
			want:  []string{"http      502", "kind      unsure", "the message may have been sent"},
			sends: 1,
		},
		"wrong secret": {
			env:  map[string]string{"WECHAT_SECRET": "0000000000000000000000000000dead"},
			want: []string{"call      stable_token", "errcode   40125", "kind      account", "do        check WECHAT_SECRET"},
		},
		"whitelist": {
			fault: simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: 40164},
			want:  []string{"errcode   40164", "do        add 127.0.0.1 to the IP whitelist"},
		},
		"secret refused as a credential": {
			fault: simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActErrcode, Errcode: 40001},
			want:  []string{"errcode   40001", "meaning   the secret is not that of this appid", "do        check WECHAT_SECRET"},
		},
		"token without answer": {
			fault: simulator.Fault{API: simulator.APIStableToken, Action: simulator.ActDrop},
			want:  []string{"call      stable_token", "meaning   no answer that can be used"},
		},
		"unreachable": {
			env:  map[string]string{"WECHAT_API_BASE_URL": "http://127.0.0.1:1"},
			want: []string{"kind      unreachable", "do        check WECHAT_API_BASE_URL"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := liveSite(t).with(tc.env)
			if tc.fault.Action != "" {
				if _, err := s.sim.AddFault(tc.fault); err != nil {
					t.Fatal(err)
				}
			}
			got := s.run(t, sendArgs("--live", "--yes", "--openid", siteOpenID, "--log-level", "debug")...)
			if got.code != exitFailed || !strings.HasPrefix(got.stdout, "not accepted\n") || !strings.Contains(got.stderr, "wxnotify: not accepted by WeChat\n") {
				t.Errorf("got %+v", got)
			}
			for _, want := range tc.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("stdout: got %q, want %q in it", got.stdout, want)
				}
			}
			if n := s.sim.State().Sends; n != tc.sends {
				t.Errorf("%d sends, want %d", n, tc.sends)
			}
			asJSON := s.run(t, sendArgs("--live", "--yes", "--openid", siteOpenID, "--json")...)
			var answer struct {
				Accepted bool
				Problem  app.Explained
			}
			if err := json.Unmarshal([]byte(asJSON.stdout), &answer); err != nil {
				t.Fatal(err)
			}
			if asJSON.code != exitFailed || answer.Accepted || answer.Problem.Kind == "" || answer.Problem.Meaning == "" || answer.Problem.Do == "" {
				t.Errorf("--json: got %+v", asJSON)
			}
			for _, private := range []string{s.env["WECHAT_SECRET"], siteOpenID, "access_token=", "92_", "月报"} {
				if strings.Contains(got.stdout+got.stderr+asJSON.stdout+asJSON.stderr, private) {
					t.Errorf("%q is shown: %+v", private, got)
				}
			}
		})
	}
}

// TestSendLiveDisturbsNobody: with the classic token, a fetch would end the one
// that everybody uses.
func TestSendLiveDisturbsNobody(t *testing.T) {
	t.Parallel()
	s := liveSite(t).with(map[string]string{"WECHAT_TOKEN_SOURCE": "token"})
	s.must(t, sendArgs("--live", "--yes", "--openid", siteOpenID)...)
	if n := s.sim.State().Requests[simulator.APIToken]; n != 0 {
		t.Errorf("%d classic tokens were fetched", n)
	}
}

func TestSendLiveKeepsOnlyTo(t *testing.T) {
	t.Parallel()
	s := liveSite(t)
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "apps: [{appid: " + siteApp.AppID + ", secret: " + siteApp.Secret + ", miniprogram_state: trial, lang: en_US, only_to: [" + siteOpenID + "]}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s = s.with(map[string]string{"WXNOTIFY_CONFIG": file})
	delete(s.env, "WECHAT_APPID")
	delete(s.env, "WECHAT_SECRET")
	got := s.run(t, sendArgs("--live", "--yes", "--openid", simulator.OpenID("other"))...)
	if got.code != exitFailed || !strings.Contains(got.stderr, "only_to") || s.sim.State().Sends != 0 {
		t.Errorf("to another: got %+v", got)
	}
	s.must(t, sendArgs("--live", "--yes", "--openid", siteOpenID)...)
	if calls := s.sim.Accepted(); len(calls) != 1 || calls[0].State != "trial" || calls[0].Lang != "en_US" {
		t.Errorf("with the app's own settings: got %+v", calls)
	}
}

// TestSendLiveNeedsNothingElse: a settings file may name servers that are away.
func TestSendLiveNeedsNothingElse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := liveSite(t).with(map[string]string{
		"REDIS_URL": "redis://" + l.Addr().String(), "DATABASE_URL": "postgres://u@" + l.Addr().String() + "/x",
	})
	s.must(t, sendArgs("--live", "--yes", "--openid", siteOpenID)...)
	if got := s.with(map[string]string{"WECHAT_SECRET": ""}).run(t, sendArgs("--live", "--yes", "--openid", siteOpenID)...); got.code != exitFailed ||
		!strings.Contains(got.stderr, "secret of app") {
		t.Errorf("without a secret: got %+v", got)
	}
}

// A message that is kept nowhere cannot be replayed.
func TestLiveAdviceDoesNotSpeakOfReplay(t *testing.T) {
	t.Parallel()
	changed := 0
	for _, row := range wechat.Errcodes {
		do := liveAdvice(row.Do)
		if strings.Contains(do, "replay") {
			t.Errorf("%d: got %q", row.Code, do)
		}
		if do != row.Do {
			changed++
		}
	}
	if got, want := liveAdvice("change the text, and replay"), "change the text, and send it again"; got != want || changed == 0 {
		t.Errorf("got %q, want %q; %d rows differ", got, want, changed)
	}
}
