package app_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// What asynqmon gets of a hostile task is JSON without a single tag, which no
// browser takes for a page.
func TestHostileTasksInAsynqmon(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": testPassword})
	r.keepHostileTasks()
	w, _, _ := r.start()
	const api = "/admin/queues/api"
	for _, path := range []string{"/queues", "/queues/default", "/queues/default/pending_tasks", "/queue_stats", "/servers"} {
		p := ask(t, "GET", w.AdminAddr+api+path, testPassword)
		if p.status != 200 || p.header.Get("Content-Type") != "application/json" || p.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, p.status, p.header)
		}
		if strings.ContainsAny(p.body, "<>") || !json.Valid([]byte(p.body)) {
			t.Errorf("%s has a tag: %s", path, p.body)
		}
		if path == "/queues/default/pending_tasks" && strings.Count(p.body, `\u003cscript\u003e`) < 4 {
			t.Errorf("the tasks are not shown, so nothing was tried: %s", p.body)
		}
	}
}

// keepHostileTasks puts tasks on the queue that would run in a page that does not
// escape them, and keeps workers from taking them.
func (r *rig) keepHostileTasks() {
	r.t.Helper()
	if err := r.rdb.Set(r.t.Context(), "asynq:{default}:paused", "1", 0).Err(); err != nil {
		r.t.Fatal(err)
	}
	const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`
	payload, err := json.Marshal(map[string]any{
		"template_id": hostile, "openid": hostile, "page": hostile + "?" + hostile, "data": map[string]string{hostile: hostile, "thing1": hostile}, "app": hostile,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	client := asynq.NewClientFromRedisClient(r.rdb)
	for id, body := range map[string][]byte{hostile + "1": payload, hostile + "2": []byte(hostile)} {
		if _, err := client.EnqueueContext(r.t.Context(), asynq.NewTask(hostile, body), asynq.TaskID(id), asynq.Queue("default")); err != nil {
			r.t.Fatal(err)
		}
	}
}

// A person pauses a queue in the console, and nothing is taken from it until a
// person resumes it.
func TestPauseByAPerson(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": testPassword})
	w, _, _ := r.start()
	form := func(action string) {
		t.Helper()
		token := csrfField.FindStringSubmatch(ask(t, "GET", w.AdminAddr+"/admin/pauses", testPassword).body)
		if token == nil {
			t.Fatal("the page has no form")
		}
		if p := postForm(t, w.AdminAddr+"/admin/pauses", "csrf", token[1], "app", r.app.AppID, "queue", "default", "action", action); p.status != 303 {
			t.Fatalf("%s: %d %s", action, p.status, p.body)
		}
	}
	form("pause")
	r.send(1, nil)
	eventually(t, "it waits in the queue", func() error {
		_, err := r.inspector().GetQueueInfo("default")
		return err
	})
	stays(t, "nothing is sent", time.Second, func() error {
		if n := r.sim.State().InFlight; n > 0 {
			t.Errorf("%d calls", n)
		}
		return nil
	})
	r.awaitStates(map[store.State]int{store.Queued: 1})
	form("resume")
	r.awaitStates(map[store.State]int{store.Sent: 1})
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// postForm posts a form as the user admin.
func postForm(t *testing.T, address string, pairs ...string) page {
	t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	req := adminRequest(t, http.MethodPost, address, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	host, _, _ := strings.Cut(address, "/")
	if c := session(t, host, "admin", testPassword); c != nil {
		req.AddCookie(c)
	}
	return roundTrip(t, req)
}
