package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// liveWard has a simulator with one consent for a one-time template, and neither
// Redis nor database.
func liveWard(t *testing.T) site {
	t.Helper()
	s := liveSite(t)
	if err := s.sim.Accept("", siteOpenID, simulator.SeedApproval, 1); err != nil {
		t.Fatal(err)
	}
	return s
}

// assume runs doctor --live and returns the findings by name.
func (s site) assume(t *testing.T, args ...string) (answer, map[string]string) {
	t.Helper()
	got := s.run(t, append([]string{"doctor", "--live", "--json"}, args...)...)
	var d liveDiagnosis
	if err := json.Unmarshal([]byte(got.stdout), &d); err != nil {
		t.Fatalf("%v in %+v", err, got)
	}
	if d.OK != (got.code == exitOK) || d.Held+d.Broken+d.Unchecked != len(d.Assumptions) {
		t.Errorf("exit code %d, ok %v, %d held, %d did not, %d not checked of %d", got.code, d.OK, d.Held, d.Broken, d.Unchecked, len(d.Assumptions))
	}
	// The last is how every token of the simulator begins.
	for _, secret := range []string{s.env["WECHAT_SECRET"], siteOpenID, "92_"} {
		if secret != "" && strings.Contains(got.stdout+got.stderr, secret) {
			t.Errorf("%q is shown", secret)
		}
	}
	found := map[string]string{}
	for _, f := range d.Assumptions {
		if f.Says == "" || f.Observed == "" || (f.Do != "") != (f.Verdict == wechat.VerdictBroken) {
			t.Errorf("finding without its words, or with too many: %+v", f)
		}
		found[f.Name] = string(f.Verdict) + ": " + f.Observed + " / " + f.Do
	}
	return got, found
}

// expectLive checks some findings: a verdict, and what the words have in them.
func expectLive(t *testing.T, found, want map[string]string) {
	t.Helper()
	for name, text := range want {
		verdict, says, _ := strings.Cut(text, ": ")
		got, ok := found[name]
		if !ok || !strings.HasPrefix(got, verdict+": ") || !strings.Contains(got, says) {
			t.Errorf("%s: got %q, want %q", name, got, text)
		}
	}
}

// TestDoctorLiveHolds: the simulator is all that is assumed, and asking costs
// little: one token, one list of templates, no message.
func TestDoctorLiveHolds(t *testing.T) {
	t.Parallel()
	s := liveWard(t)
	got, found := s.assume(t)
	if got.code != exitOK {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	for name, text := range found {
		if strings.HasPrefix(text, string(wechat.VerdictBroken)) {
			t.Errorf("%s: %s", name, text)
		}
	}
	expectLive(t, found, map[string]string{
		"stable_token": "held: 7200 s left", "stable_token_same": "held: it did", "token_length": "held: 512 characters",
		"classic_token": "held: errcode 40013", "bad_token": "held: errcode 40014", "bad_openid": "held: errcode 40003",
		"bad_json": "held: errcode 47001", "bad_code": "held: errcode 40029", "templates": "held: 5 of 5", "content_length": "held: HTTP 412",
		"send_quota": "held: 10000000 a day", "send_rate": "held", "rid": "held", "json": "held: all 1", "keep_alive": "held",
		"accepted": "not checked: give --openid", "used_code": "not checked: give --code", "page": "not checked", "quota_reset": "not checked",
	})
	st := s.sim.State()
	if st.TokensIssued != 1 || st.Accepted != 0 || st.Requests[simulator.APITemplates] != 1 || st.Requests[simulator.APIStableToken] > 4 {
		t.Errorf("it cost %+v", st)
	}
	table := s.run(t, "doctor", "--live")
	if table.code != exitOK || !strings.HasPrefix(table.stdout, "RESULT       NEEDED  ASSUMED") || !strings.Contains(table.stdout, " held, 0 did not hold, ") {
		t.Errorf("table: got %+v", table)
	}
}

// TestDoctorLiveSendsOnce: with somebody who agreed one message is sent, after
// all that has to be refused.
func TestDoctorLiveSendsOnce(t *testing.T) {
	t.Parallel()
	s := liveWard(t)
	code, err := s.sim.LoginCode("", siteOpenID)
	if err != nil {
		t.Fatal(err)
	}
	with := []string{"--openid", siteOpenID, "--template", simulator.SeedApproval, "--page", "pages/a"}
	if got := s.run(t, append([]string{"doctor", "--live"}, with...)...); got.code != exitUsage || !strings.Contains(got.stderr, "--yes") || s.sim.State().Sends != 0 {
		t.Errorf("without a question: got %+v, %d sends", got, s.sim.State().Sends)
	}
	got, found := s.assume(t, append(with, "--code", code, "--yes")...)
	if got.code != exitOK || strings.Contains(got.stdout, code) {
		t.Errorf("exit code %d: %s", got.code, got.stdout)
	}
	expectLive(t, found, map[string]string{
		"bad_template": "held: errcode 40037", "bad_data": "held: errcode 47003", "bad_data_key": "held: it named phrase1",
		"accepted": "held", "msgid": "held: above 2^53", "refused_keeps_consent": "held", "extra_keys": "held", "emoji": "held",
		"dashed_time": "held", "used_code": "held: errcode 40163",
	})
	calls := s.sim.Accepted()
	if len(calls) != 1 || calls[0].OpenID != siteOpenID || calls[0].Page != "pages/a" || calls[0].State != "formal" {
		t.Errorf("accepted: %+v", calls)
	}
	// The consent is used up, which says nothing about what is assumed.
	got, found = s.assume(t, append(with, "--yes")...)
	expectLive(t, found, map[string]string{"accepted": "not checked: errcode 43101", "emoji": "not checked: not accepted", "bad_data": "held"})
	if got.code != exitOK {
		t.Errorf("exit code %d", got.code)
	}
	// Nothing is tried on somebody with a template that is not the app's.
	sends := s.sim.State().Sends
	_, found = s.assume(t, "--openid", siteOpenID, "--template", "other", "--yes")
	expectLive(t, found, map[string]string{"accepted": "not checked: not among the app's", "bad_template": "not checked: not among"})
	if n := s.sim.State().Sends - sends; n != 3 {
		t.Errorf("%d sends, want the 3 that name nobody", n)
	}
}

// TestDoctorLiveSeesWhatDoesNotHold: a WeChat of another kind is told from the
// one that is assumed; what nothing depends on is no failure.
func TestDoctorLiveSeesWhatDoesNotHold(t *testing.T) {
	t.Parallel()
	errcode := func(api simulator.API, skip, code int) simulator.Fault {
		return simulator.Fault{API: api, Skip: skip, Count: 1, Action: simulator.ActErrcode, Errcode: code}
	}
	badKey := errcode(simulator.APISend, 5, 47003)
	badKey.Errmsg = "argument invalid! data.thing2.value invalid"
	nameless := errcode(simulator.APISend, 4, 47003)
	nameless.Errmsg = "argument invalid!"
	// Of the sends the first has a bad token, the second no JSON, the third a bad
	// openid, the fourth a bad template, the fifth no data; of the calls of
	// stable_token the first is a stranger's.
	for name, tc := range map[string]struct {
		env    map[string]string
		faults []simulator.Fault
		alter  func(*simulator.Simulator, http.ResponseWriter, *http.Request)
		want   map[string]string
		code   int
	}{
		"rotates": {
			alter: func(sim *simulator.Simulator, _ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/cgi-bin/stable_token" {
					_ = sim.Rotate("", simulator.APIStableToken, false)
				}
			},
			want: map[string]string{"stable_token_same": "did not hold: another one / processes would end each other's tokens", "bad_openid": "held"}, code: exitFailed,
		},
		"wrong secret": {
			env:  map[string]string{"WECHAT_SECRET": "0000000000000000000000000000dead"},
			want: map[string]string{"stable_token": "did not hold: errcode 40125", "accepted": "not checked", "bad_token": "not checked", "classic_token": "held"}, code: exitFailed,
		},
		"not on the whitelist": {
			faults: []simulator.Fault{errcode(simulator.APIStableToken, 1, 40164)},
			want:   map[string]string{"stable_token": "did not hold: invalid ip 127.0.0.1"}, code: exitFailed,
		},
		"takes any token": {
			faults: []simulator.Fault{errcode(simulator.APISend, 0, 43101)},
			want:   map[string]string{"bad_token": "did not hold: errcode 43101"}, code: exitFailed,
		},
		"takes any openid": {
			faults: []simulator.Fault{errcode(simulator.APISend, 2, 0)},
			want:   map[string]string{"bad_openid": "did not hold: errcode 0"}, code: exitFailed,
		},
		"wants a signature": {
			faults: []simulator.Fault{errcode(simulator.APISend, 2, 40234)},
			want:   map[string]string{"send_unsigned": "did not hold: errcode 40234", "bad_openid": "not checked: errcode 40234"}, code: exitFailed,
		},
		"busy": {
			faults: []simulator.Fault{errcode(simulator.APISend, 2, 45011), errcode(simulator.APITemplates, 0, -1)},
			want:   map[string]string{"send_unsigned": "not checked: errcode 45011", "bad_openid": "not checked", "templates": "not checked: errcode -1"}, code: exitOK,
		},
		"another list": {
			faults: []simulator.Fault{errcode(simulator.APITemplates, 0, 1700)},
			want:   map[string]string{"templates": "did not hold: errcode 1700", "accepted": "not checked", "bad_openid": "held"}, code: exitFailed,
		},
		"other words for a code": {
			faults: []simulator.Fault{errcode(simulator.APICode2Session, 0, 41008)},
			want:   map[string]string{"bad_code": "did not hold: errcode 41008"}, code: exitFailed,
		},
		"takes any data": {
			faults: []simulator.Fault{errcode(simulator.APISend, 4, 0)},
			want:   map[string]string{"bad_data": "did not hold: errcode 0", "accepted": "not checked: no other was sent"}, code: exitFailed,
		},
		"names no key": {
			faults: []simulator.Fault{nameless},
			want:   map[string]string{"bad_data": "held", "bad_data_key": "did not hold: it named none", "accepted": "held"}, code: exitOK,
		},
		"counts emoji otherwise": {
			faults: []simulator.Fault{badKey},
			want:   map[string]string{"emoji": "did not hold: errcode 47003", "extra_keys": "held", "dashed_time": "held", "accepted": "held"}, code: exitOK,
		},
		"errcode as text": {
			faults: []simulator.Fault{{API: simulator.APISend, Skip: 1, Count: 1, Action: simulator.ActErrcode, Errcode: 47001, AsString: true}},
			want:   map[string]string{"errcode_number": "did not hold: a string in 1 of", "bad_json": "held"}, code: exitOK,
		},
		"HTML": {
			faults: []simulator.Fault{{API: simulator.APICode2Session, Count: 1, Action: simulator.ActStatus, Status: 502}},
			want:   map[string]string{"json": "did not hold: code2session: HTTP 502: the answer is HTML", "content_type": "did not hold: text/html", "bad_code": "not checked: HTTP 502"}, code: exitFailed,
		},
		"buffers what is sent": {
			alter: func(_ *simulator.Simulator, _ http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body) // what a caller broke off is for the simulator to find
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			},
			want: map[string]string{"content_length": "did not hold: HTTP 200"}, code: exitOK,
		},
		"says more in headers": {
			alter: func(_ *simulator.Simulator, w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = nil
				w.Header().Set("Keep-Alive", "timeout=20, max=100")
				w.Header().Set("Content-Encoding", "br")
			},
			want: map[string]string{
				"date": "did not hold: 0 of", "idle_timeout": "did not hold: Keep-Alive says 20s",
				"no_compression": "did not hold: Content-Encoding br", "keep_alive": "held",
			}, code: exitFailed,
		},
		"hangs up": {
			alter: func(_ *simulator.Simulator, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "close")
			},
			want: map[string]string{"keep_alive": "did not hold: a new one"}, code: exitOK,
		},
		"limits": {
			alter: func(sim *simulator.Simulator, _ http.ResponseWriter, _ *http.Request) {
				_ = sim.SetQuotas("", 60, 1000)
			},
			want: map[string]string{"send_quota": "did not hold: 1000 a day", "send_rate": "did not hold: 60 calls in 60 s / set MAX_SEND_RATE"}, code: exitOK,
		},
		"away": {
			env:  map[string]string{"WECHAT_API_BASE_URL": "http://127.0.0.1:1"},
			want: map[string]string{"stable_token": "did not hold: unreachable: nothing was written", "json": "not checked", "content_length": "not checked"}, code: exitFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := liveWard(t)
			for _, f := range tc.faults {
				if _, err := s.sim.AddFault(f); err != nil {
					t.Fatal(err)
				}
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tc.alter != nil {
					tc.alter(s.sim, w, r)
				}
				s.sim.ServeHTTP(w, r)
			}))
			t.Cleanup(server.Close)
			s = s.with(map[string]string{"WECHAT_API_BASE_URL": server.URL}).with(tc.env)
			got, found := s.assume(t, "--yes", "--openid", siteOpenID, "--template", simulator.SeedApproval)
			expectLive(t, found, tc.want)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d: %s", got.code, tc.code, got.stdout)
			}
			if n := s.sim.State().Accepted; n > 1 {
				t.Errorf("%d messages were accepted", n)
			}
		})
	}
}

func TestDoctorLiveFlags(t *testing.T) {
	t.Parallel()
	s := liveWard(t)
	for name, args := range map[string][]string{
		"openid without template": {"--live", "--openid", siteOpenID},
		"template without openid": {"--live", "--template", "x"},
		"page alone":              {"--live", "--page", "x"},
		"not live":                {"--openid", siteOpenID, "--template", "x"},
		"an app that is not set":  {"--live", "--app", "wx0"},
	} {
		if got := s.run(t, append([]string{"doctor"}, args...)...); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if n := s.sim.State().Sends; n != 0 {
		t.Errorf("%d sends", n)
	}
}

// TestDoctorLiveSeveralApps: each app is asked for with its own secret, and
// only_to keeps others out.
func TestDoctorLiveSeveralApps(t *testing.T) {
	t.Parallel()
	other := simulator.SeedApp()
	other.AppID, other.Secret = "wx00000000000000aa", strings.Repeat("a", 32)
	sim, base := simulatortest.Start(t, simulator.Config{Apps: []simulator.App{simulator.SeedApp(), other}})
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := "apps:\n  - {appid: " + siteApp.AppID + ", secret: " + siteApp.Secret + ", default: true, only_to: [u1]}\n" +
		"  - {appid: " + other.AppID + ", secret: " + strings.Repeat("b", 32) + "}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := site{sim: sim, shell: shell{env: map[string]string{"WECHAT_API_BASE_URL": base, "WXNOTIFY_CONFIG": file}}}
	got := s.run(t, "doctor", "--live")
	if got.code != exitFailed || !strings.HasPrefix(got.stdout, "APP ") || strings.Count(got.stdout, " held    ") == 0 ||
		!strings.Contains(got.stdout, other.AppID+"  did not hold  needed  stable_token") || !strings.Contains(got.stdout, siteApp.AppID+"  held          needed  stable_token") {
		t.Errorf("got %+v", got)
	}
	if got := s.run(t, "doctor", "--live", "--app", siteApp.AppID); got.code != exitOK || strings.Contains(got.stdout, other.AppID) {
		t.Errorf("one app: got %+v", got)
	}
	if got := s.run(t, "doctor", "--live", "--openid", siteOpenID, "--template", "x", "--yes"); got.code != exitFailed || !strings.Contains(got.stderr, "only_to") {
		t.Errorf("only_to: got %+v", got)
	}
}
