package app_test

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// others are further apps of the simulator, each as the first but for its name
// and secret.
func others(names ...string) []simulator.App {
	apps := []simulator.App{simulator.SeedApp()}
	for i, name := range names {
		a := simulator.SeedApp()
		a.AppID, a.Secret = "wx"+strings.Repeat(name, 16), fmt.Sprintf("%032d", i+1)
		apps = append(apps, a)
	}
	return apps
}

// write makes text the settings file of the rig's processes.
func (r *rig) write(text string) { r.file = text }

// load reads the rig's settings as a process does.
func (r *rig) load() (*config.Config, error) {
	return config.Load(config.Sources{
		LookupEnv: func(k string) (string, bool) { v, ok := r.env[k]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if path != settingsPath {
				return nil, fs.ErrNotExist
			}
			return []byte(r.file), nil
		},
	})
}

// settingsPath is where a rig's settings file seems to be.
const settingsPath = "wxnotify.yaml"

// reload takes the text over.
func (r *rig) reload(p *app.Process, text string) {
	r.t.Helper()
	r.write(text)
	if err := p.Reload(r.t.Context(), r.load); err != nil {
		r.t.Fatalf("reload: %v", err)
	}
}

// appsFile is a settings file with these apps.
func appsFile(apps ...simulator.App) string {
	if len(apps) == 0 {
		return "apps: []\n"
	}
	var b strings.Builder
	b.WriteString("apps:\n")
	for _, a := range apps {
		fmt.Fprintf(&b, "  - appid: %s\n    secret: %s\n", a.AppID, a.Secret)
	}
	return b.String()
}

func to(a simulator.App) func(int, *producer.Notification) {
	return func(_ int, n *producer.Notification) { n.App = a.AppID }
}

// awaitSent waits until each of these was accepted by WeChat once, and its row
// says so.
func (r *rig) awaitSent(what string, a simulator.App, list []sent) {
	r.t.Helper()
	eventually(r.t, what, func() error {
		for _, s := range list {
			if n, _ := r.get(s.id); n.State != store.Sent {
				return fmt.Errorf("%s is %s, reason %q", s.id, n.State, n.Reason)
			}
		}
		return nil
	})
	for _, s := range list {
		if got := r.sim.Tally(a.AppID, s.openID, simulator.SeedReport); got.Received != 1 || got.Accepted != 1 {
			r.t.Errorf("%s: %s: WeChat received %d calls and accepted %d, want one", what, s.id, got.Received, got.Accepted)
		}
	}
}

// servers are the ids of the asynq servers that take from a queue.
func (r *rig) servers(queue string) []string {
	r.t.Helper()
	infos, err := r.inspector().Servers()
	if err != nil {
		r.t.Fatal(err)
	}
	var ids []string
	for _, s := range infos {
		if _, ok := s.Queues[queue]; ok {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// series are the lines of a process's metrics that have a label.
func series(t *testing.T, p *app.Process, label string) (lines []string) {
	t.Helper()
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.SplitSeq(rec.Body.String(), "\n") {
		if !strings.HasPrefix(line, "#") && strings.Contains(line, label) {
			lines = append(lines, line)
		}
	}
	return lines
}

// An app is added, gets another secret and is removed while its calls are in
// flight, and comes back: nothing of it is lost or sent twice, and the app
// beside it is served by the same servers all the time.
func TestReloadAddsChangesAndRemovesAnApp(t *testing.T) {
	t.Parallel()
	const slots, waiting = 20, 30
	apps := others("b")
	a, b := apps[0], apps[1]
	r := newRig(t, simulator.Config{Apps: apps}, map[string]string{
		"CONCURRENCY": fmt.Sprint(slots), "SEND_TIMEOUT": "60s", "WXNOTIFY_CONFIG": settingsPath,
	})
	r.write(appsFile())
	w, log, _ := r.start()
	r.awaitSent("the first app's", a, r.send(10, to(a)))
	var before []string
	eventually(t, "the first app's server is known", func() error {
		if before = r.servers(defaultQueue); len(before) != 1 {
			return fmt.Errorf("%d servers", len(before))
		}
		return nil
	})
	if got := series(t, w, b.AppID); len(got) != 0 {
		t.Fatalf("series of an app that is not set: %s", got)
	}

	wrong := b
	wrong.Secret = strings.Repeat("f", 32)
	r.reload(w, appsFile(wrong))
	if got := series(t, w, `wxnotify_worker_sends_total{app="`+b.AppID+`",kind="ok"} 0`); len(got) != 1 {
		t.Errorf("the new app's series do not start at zero: %s", got)
	}
	blocked := r.send(10, to(b))
	eventually(t, "the bad secret pauses its app", func() error {
		if len(series(t, w, `wxnotify_worker_app_paused{app="`+b.AppID+`"} 1`)) == 0 {
			return fmt.Errorf("not paused")
		}
		return nil
	})
	r.awaitSent("the first app's beside a bad secret", a, r.send(10, to(a)))

	// The pause lasts a minute, which is longer than a test waits.
	r.reload(w, appsFile(b))
	r.awaitSent("what the bad secret held back", b, blocked)

	r.fault(simulator.Fault{API: simulator.APISend, AppID: b.AppID, Action: simulator.ActHang, Count: slots})
	hanging := r.send(waiting, to(b))
	const most = slots - slots/4 // without the other app's part
	r.awaitSim("the app holds all it may", func(s simulator.State) bool { return s.Hanging == most })
	r.reload(w, appsFile())
	r.awaitSent("the first app's while the other drains", a, r.send(10, to(a)))
	if got := r.sim.State().Hanging; got != most {
		t.Errorf("%d calls hang after the app was removed, want %d", got, most)
	}
	r.sim.ClearFaults()
	r.sim.Release()
	eventually(t, "the removed app is drained", func() error {
		if n := len(r.servers(b.AppID + ":default")); n > 0 {
			return fmt.Errorf("%d servers", n)
		}
		if got := series(t, w, b.AppID); len(got) > 0 {
			return fmt.Errorf("series %s", got)
		}
		return nil
	})
	states := map[store.State]int{}
	for _, n := range r.rows(hanging) {
		states[n.State]++
	}
	if states[store.Sent] != most || states[store.Queued] != waiting-most {
		t.Errorf("after the drain: %v; want the calls in flight sent, and the rest queued", states)
	}

	r.reload(w, appsFile(b))
	r.awaitSent("all, once the app is back", b, hanging)
	if after := r.servers(defaultQueue); len(after) != 1 || after[0] != before[0] {
		t.Errorf("the first app's servers were %v and are %v: it was interrupted", before, after)
	}
	for _, secret := range []string{b.Secret, wrong.Secret} {
		if strings.Contains(log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
}

// While one app's calls hang, another's day quota is used up and a third's secret
// is wrong, a fourth's messages go out as if it were alone.
func TestAppsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	const (
		slots = 40
		most  = slots - 3*(slots/2/4) // of an app, without the others' parts
		storm = 1000
	)
	apps := others("b", "c", "d")
	calm, slow, spent, barred := apps[0], apps[1], apps[2], apps[3]
	barred.Secret = strings.Repeat("f", 32)
	r := newRig(t, simulator.Config{Apps: others("b", "c", "d")}, map[string]string{
		"CONCURRENCY": fmt.Sprint(slots), "SEND_TIMEOUT": "60s", "WXNOTIFY_CONFIG": settingsPath,
	})
	r.write(appsFile(slow, spent, barred))
	r.fault(simulator.Fault{API: simulator.APISend, AppID: slow.AppID, Action: simulator.ActHang})
	r.fault(simulator.Fault{API: simulator.APISend, AppID: spent.AppID, Action: simulator.ActErrcode, Errcode: 45009})
	w, _, _ := r.start()
	for _, a := range []simulator.App{slow, spent, barred} {
		r.send(storm/3, to(a))
	}
	r.awaitSim("the slow app holds all it may", func(s simulator.State) bool { return s.Hanging == most })
	for _, a := range []simulator.App{spent, barred} {
		eventually(t, "the app is paused", func() error {
			if len(series(t, w, `wxnotify_worker_app_paused{app="`+a.AppID+`"} 1`)) == 0 {
				return fmt.Errorf("%s is not paused", a.AppID)
			}
			return nil
		})
	}
	list := r.send(100, to(calm))
	r.awaitSent("the calm app's", calm, list)
	if got := r.sim.State(); got.Hanging != most || got.Answers[0] != len(list) {
		t.Errorf("%d calls hang and %d were accepted, want %d and the calm app's %d: nothing was shown",
			got.Hanging, got.Answers[0], most, len(list))
	}
	r.sim.ClearFaults()
	r.sim.Release()
}

// Settings with faults change nothing, and the log has every fault.
func TestReloadRefusesFaults(t *testing.T) {
	t.Parallel()
	b := others("b")[1]
	r := newRig(t, simulator.Config{Apps: others("b")}, map[string]string{"WXNOTIFY_CONFIG": settingsPath})
	r.write(appsFile(b))
	w, log, _ := r.start()
	for _, tt := range []struct {
		name, text string
		env        map[string]string
		want       []string
	}{
		{"two faults", "apps:\n  - appid: no appid\n    secret: x\nmax_attempts: none\n", nil, []string{"apps[0].appid", "MAX_ATTEMPTS"}},
		{"another default app", appsFile(b), map[string]string{"WECHAT_APPID": "", "WECHAT_SECRET": ""}, []string{"the default app"}},
	} {
		kept := map[string]string{}
		for k, v := range tt.env {
			kept[k], r.env[k] = r.env[k], v
		}
		r.write(tt.text)
		if err := w.Reload(t.Context(), r.load); err == nil {
			t.Errorf("%s: taken over", tt.name)
		}
		for _, want := range tt.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%s: the log does not name %s", tt.name, want)
			}
		}
		maps.Copy(r.env, kept)
	}
	r.awaitSent("what was set before", b, r.send(3, to(b)))
	for _, want := range []string{
		`wxnotify_config_reloads_total{result="applied"} 0`, `wxnotify_config_reloads_total{result="refused"} 2`,
		"wxnotify_config_last_reload_successful 0",
	} {
		if len(series(t, w, want)) != 1 {
			t.Errorf("metrics lack %s", want)
		}
	}

	r.env["MAX_ATTEMPTS"] = "3"
	r.reload(w, appsFile(b))
	if !strings.Contains(log.String(), `"settings":["MAX_ATTEMPTS"]`) {
		t.Error("the log does not say what needs a restart")
	}
	for _, want := range []string{"wxnotify_config_last_reload_successful 1", "wxnotify_config_restart_needed 1"} {
		if len(series(t, w, want)) != 1 {
			t.Errorf("metrics lack %s", want)
		}
	}
}
