package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// asynqmonVariable is the path of asynqmon's own program, to be tested instead
// of its handler: it is built on an older asynq than the workers. See
// deploy/chaos.sh asynqmon.
const asynqmonVariable = "WXNOTIFY_ASYNQMON"

// console is an asynqmon as its authors ship it, with every button.
type console struct {
	t   *testing.T
	url string
}

func startConsole(t *testing.T, r *ownRedis) *console {
	t.Helper()
	addr := net.JoinHostPort("127.0.0.1", r.port)
	path := os.Getenv(asynqmonVariable)
	if path == "" {
		h := asynqmon.New(asynqmon.Options{RedisConnOpt: asynq.RedisClientOpt{Addr: addr}})
		srv := httptest.NewServer(h)
		t.Cleanup(func() {
			srv.Close()
			_ = h.Close()
		})
		return &console{t: t, url: srv.URL}
	}
	port := sparePort(t)
	cmd := exec.Command(path, "--port", port, "--redis-addr", addr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	c := &console{t: t, url: "http://127.0.0.1:" + port}
	eventually(t, "asynqmon answers", func() error {
		_, err := c.do(http.MethodGet, "/queues", nil)
		return err
	})
	return c
}

// do asks the console's API, as its page does.
func (c *console) do(method, path string, body any) ([]byte, error) {
	c.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.url+"/api"+path, bytes.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	return answer, err
}

// press presses a button.
func (c *console) press(method, path string, body any) {
	c.t.Helper()
	if _, err := c.do(method, path, body); err != nil {
		c.t.Fatal(err)
	}
}

// shown is what a list of the console shows of a task.
type shown struct {
	ID, Type, Payload string
	LastErr           string `json:"error_message"`
}

// tasks are those of a queue's list: archived, pending and so on.
func (c *console) tasks(queue, list string) map[string]shown {
	c.t.Helper()
	answer, err := c.do(http.MethodGet, "/queues/"+queue+"/"+list+"_tasks?size=100", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	var page struct{ Tasks []shown }
	if err := json.Unmarshal(answer, &page); err != nil {
		c.t.Fatalf("%v in %s", err, answer)
	}
	tasks := map[string]shown{}
	for _, k := range page.Tasks {
		tasks[k.ID] = k
	}
	return tasks
}

// counts are the numbers that the console shows of its queues.
type counts struct {
	Pending, Active, Scheduled, Retry, Archived int
	Paused                                      bool
}

func (c *console) queues() map[string]counts {
	c.t.Helper()
	answer, err := c.do(http.MethodGet, "/queues", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	var list struct {
		Queues []struct {
			Queue string
			counts
		}
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		c.t.Fatalf("%v in %s", err, answer)
	}
	queues := map[string]counts{}
	for _, q := range list.Queues {
		queues[q.Queue] = q.counts
	}
	return queues
}

func (c *console) await(what, queue string, ok func(counts) bool) {
	c.t.Helper()
	eventually(c.t, what, func() error {
		if got := c.queues()[queue]; !ok(got) {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
}

// An asynqmon that nobody changed shows the queues and the dead letters with
// their errors. "Run" on a dead letter is a replay, and nothing else on that
// page sends anything: not archiving, not deleting, not the run of a doubt.
func TestAsynqmon(t *testing.T) {
	t.Parallel()
	r := newRig(t, simulator.Config{}, map[string]string{"SEND_TIMEOUT": "2s", "IN_DOUBT_WAIT": "1s"})
	c := startConsole(t, r.redis)
	_, log, _ := r.start()
	awaitLog(t, log, `"queue rebuilt"`)
	const low = "low"
	c.press(http.MethodPost, "/queues/"+low+":pause", nil)

	dead := r.send(4, func(_ int, n *producer.Notification) {
		r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActErrcode, Errcode: 47003, Errmsg: "argument invalid! data.thing1.value invalid", Count: 1})
	})
	doubtful := r.send(1, func(_ int, n *producer.Notification) {
		n.Duplicates = store.DuplicatesAvoid
		r.fault(simulator.Fault{API: simulator.APISend, OpenID: n.OpenID, Action: simulator.ActDrop, After: true, Count: 1})
	})[0]
	waiting := r.send(2, func(_ int, n *producer.Notification) { n.Priority = store.Low })
	r.awaitStates(map[store.State]int{store.Dead: 5, store.Queued: 2})
	c.await("the dead letters are archived", defaultQueue, func(n counts) bool { return n.Archived == 4 && n.Active == 0 })

	// What it shows.
	if got := c.queues()[low]; !got.Paused || got.Pending != len(waiting) {
		t.Errorf("queue low: %+v, want it paused with %d pending", got, len(waiting))
	}
	if got := c.queues()["critical"]; got != (counts{}) {
		t.Errorf("queue critical: %+v, want it empty", got)
	}
	archived := c.tasks(defaultQueue, "archived")
	for _, s := range dead {
		got := archived[task.ID(s.id, 1)]
		if got.Type != task.Type || got.LastErr != "dead 1: rejected, errcode 47003, field thing1" || !strings.Contains(got.Payload, simulator.SeedReport) {
			t.Errorf("the dead letter is shown as %+v", got)
		}
	}
	if pending := c.tasks(low, "pending"); len(pending) != len(waiting) {
		t.Errorf("%d tasks are shown as pending, want %d", len(pending), len(waiting))
	}

	// What its buttons do. Nothing is sent but by a run of a dead letter.
	sends := r.sim.State().Sends
	path := func(list string, s sent) string {
		return "/queues/" + defaultQueue + "/" + list + "_tasks/" + task.ID(s.id, 1)
	}
	lowPath := func(s sent) string { return "/queues/" + low + "/pending_tasks/" + task.ID(s.id, 1) }
	c.press(http.MethodDelete, path("archived", dead[0]), nil)
	c.press(http.MethodPost, lowPath(waiting[0])+":archive", nil)
	c.press(http.MethodDelete, lowPath(waiting[1]), nil)
	c.await("two tasks are gone from the paused queue", low, func(n counts) bool { return n.Pending == 0 && n.Archived == 1 })
	r.runDoubt(c, doubtful)
	c.press(http.MethodPost, "/queues/"+low+":resume", nil)
	c.await("resumed", low, func(n counts) bool { return !n.Paused && n.Pending == 0 })
	if got := r.sim.State().Sends; got != sends {
		t.Errorf("%d calls for archiving, deleting, resuming and the run of a doubt", got-sends)
	}
	if n, _ := r.get(dead[0].id); n.State != store.Dead || n.Generation != 1 {
		t.Errorf("the deleted dead letter is %s, generation %d; want it dead on record", n.State, n.Generation)
	}

	c.press(http.MethodPost, path("archived", dead[1])+":run", nil)
	r.awaitReplayed(dead[1])
	c.press(http.MethodPost, "/queues/"+defaultQueue+"/archived_tasks:batch_run", map[string]any{"task_ids": []string{task.ID(dead[2].id, 1)}})
	r.awaitReplayed(dead[2])
	c.press(http.MethodPost, "/queues/"+defaultQueue+"/archived_tasks:run_all", nil)
	r.awaitReplayed(dead[3])
	// What was archived while it waited is no dead letter: run, it goes on.
	c.press(http.MethodPost, "/queues/"+low+"/archived_tasks:run_all", nil)
	eventually(t, "it is sent", func() error {
		if n, _ := r.get(waiting[0].id); n.State != store.Sent || n.Generation != 1 {
			return fmt.Errorf("%s, generation %d", n.State, n.Generation)
		}
		return nil
	})
	c.await("the doubt is still there", defaultQueue, func(n counts) bool { return n.Archived == 1 && n.Pending+n.Active+n.Retry == 0 })
	if got, want := r.sim.State().Sends, sends+4; got != want {
		t.Errorf("%d calls in all, want %d", got, want)
	}
	if n, _ := r.get(doubtful.id); n.State != store.Dead || n.Generation != 1 {
		t.Errorf("the doubt is %s, generation %d; want it dead as before", n.State, n.Generation)
	}
}

// runDoubt presses run on the task of a doubt, which a late delivery has put
// into the archive.
func (r *rig) runDoubt(c *console, s sent) {
	r.t.Helper()
	id := task.ID(s.id, 1)
	payload, err := task.Payload{ID: s.id, App: r.app.AppID, TemplateID: simulator.SeedReport}.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := asynq.NewClientFromRedisClient(r.rdb).EnqueueContext(r.t.Context(), task.New(s.id, 1, defaultQueue, payload)); err != nil {
		r.t.Fatal(err)
	}
	isArchived := func() error {
		if k := c.tasks(defaultQueue, "archived")[id]; k.LastErr != "dead 1: in_doubt" {
			return fmt.Errorf("%+v", k)
		}
		return nil
	}
	eventually(r.t, "the doubt is archived", isArchived)
	c.press(http.MethodPost, "/queues/"+defaultQueue+"/archived_tasks/"+id+":run", nil)
	eventually(r.t, "the doubt is archived again", isArchived)
}

// awaitReplayed waits until a dead letter was sent by a replay, and its archived
// task is gone.
func (r *rig) awaitReplayed(s sent) {
	r.t.Helper()
	eventually(r.t, "it is replayed", func() error {
		n, attempts := r.get(s.id)
		tally := r.sim.Tally("", s.openID, simulator.SeedReport)
		if n.State != store.Sent || n.Generation != 2 || len(attempts) != 2 || tally != (simulator.Tally{Received: 2, Accepted: 1}) {
			return fmt.Errorf("%s, generation %d, %d attempts, %+v", n.State, n.Generation, len(attempts), tally)
		}
		if _, err := r.inspector().GetTaskInfo(defaultQueue, task.ID(s.id, 1)); !errors.Is(err, asynq.ErrTaskNotFound) {
			return fmt.Errorf("its task is still there: %w", err)
		}
		return nil
	})
}
