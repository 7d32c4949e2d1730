package main

import (
	"context"
	"database/sql"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/cmd/internal/processtest"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator/simulatortest"
)

// devDrill is a data directory, a WeChat that outlives every dev on it, and what
// was put on their queues.
type devDrill struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the test's own
	dir string
	sim *simulator.Simulator
	env []string

	openIDs map[string]string         // by TaskID
	rows    map[uuid.UUID]store.State // that were there when a dev was killed
}

func newDevDrill(t *testing.T) *devDrill {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*runDeadline)
	t.Cleanup(cancel)
	sim, url := simulatortest.Start(t, simulator.Config{AutoConsent: true})
	a := simulator.SeedApp()
	return &devDrill{
		t: t, ctx: ctx, dir: t.TempDir(), sim: sim,
		env:     []string{"WECHAT_APPID=" + a.AppID, "WECHAT_SECRET=" + a.Secret, "WECHAT_API_BASE_URL=" + url},
		openIDs: map[string]string{}, rows: map[uuid.UUID]store.State{},
	}
}

// start runs dev in a process of its own and waits until it has said a pattern.
func (d *devDrill) start(said string) (cmd *exec.Cmd, stdout *output) {
	d.t.Helper()
	var stderr output
	stdout = &output{}
	cmd = spawnWith(d.t, d.env, stdout, &stderr, "dev", "--live", "--yes", "--data", d.dir,
		"--concurrency", "3", "--send-timeout", "20s", "--in-doubt-wait", "1s", "--admin-addr", "127.0.0.1:0")
	stderr.await(d.ctx, d.t, said)
	return cmd, stdout
}

// enqueue puts every task on the queue that has no row yet: what a dev had on
// its queue and did not accept died with it.
func (d *devDrill) enqueue(stdout *output) {
	d.t.Helper()
	redis, err := asynq.ParseRedisURI(stdout.await(d.ctx, d.t, `"(redis://:\w+@\S+)"`)[1])
	if err != nil {
		d.t.Fatal(err)
	}
	c := asynq.NewClient(redis)
	defer c.Close()
	for taskID, openID := range d.openIDs {
		if _, accepted := d.rows[task.RawID("default", taskID)]; accepted {
			continue
		}
		payload := strings.Replace(rawPayload, `"user_id":"zhangwei"`, `"openid":"`+openID+`"`, 1)
		if _, err := c.Enqueue(asynq.NewTask(task.Type, []byte(payload)), asynq.TaskID(taskID)); err != nil {
			d.t.Fatal(err)
		}
	}
}

// add makes more tasks.
func (d *devDrill) add(n int) {
	for range n {
		id := "task-" + strconv.Itoa(len(d.openIDs))
		d.openIDs[id] = simulator.OpenID(uuid.NewString())
	}
}

func (d *devDrill) await(ok func(simulator.State) bool) {
	d.t.Helper()
	if err := d.sim.Await(d.ctx, ok); err != nil {
		d.t.Fatalf("not in time: %v; %+v", err, d.sim.State())
	}
}

// kill is kill -9. What had a row has one still, and ended rows stay as they are.
func (d *devDrill) kill(cmd *exec.Cmd) {
	d.t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	cmd.Wait() //nolint:errcheck // it was killed
	before := d.rows
	d.rows = map[uuid.UUID]store.State{}
	for _, n := range d.list() {
		d.rows[n.ID] = n.State
	}
	for id, was := range before {
		if now, ok := d.rows[id]; !ok || was.Final() && now != was {
			d.t.Errorf("%s was %s and is %q", id, was, now)
		}
	}
	expireClaims(d.t, d.dir)
}

func (d *devDrill) list() []store.Notification {
	d.t.Helper()
	s := openDevStore(d.t, d.dir)
	defer s.Close()
	rows, err := s.List(d.ctx, store.Filter{Limit: 500})
	if err != nil {
		d.t.Fatal(err)
	}
	return rows
}

// awaitEnds waits until every task has a row in a final state. It reads beside
// the dev that runs.
func (d *devDrill) awaitEnds() {
	d.t.Helper()
	db := openFile(d.t, d.dir)
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var n int
		err := db.QueryRowContext(d.ctx, `SELECT count(*) FROM notifications WHERE finished_at IS NOT NULL`).Scan(&n)
		if err == nil && n == len(d.openIDs) {
			return
		}
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			d.t.Fatalf("%d of %d have ended; %v", n, len(d.openIDs), err)
		}
	}
}

func openFile(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "wxnotify.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// expireClaims does what half a minute would: the leases of a dev that was
// killed are over.
func expireClaims(t *testing.T, dir string) {
	t.Helper()
	db := openFile(t, dir)
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `UPDATE notifications SET lease_until = 1 WHERE state = 'sending'`); err != nil {
		t.Fatal(err)
	}
}

// killSparing is kill -9 at a moment when no notification that is in doubt is
// being sent again: a second doubt would end it, as it should, and it is not what
// the caller looks at. The process stands still while the rows are read.
func killSparing(ctx context.Context, t *testing.T, cmd *exec.Cmd, dir string) {
	t.Helper()
	db := openFile(t, dir)
	defer db.Close()
	signal := func(s syscall.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		processtest.Stop(ctx, t, cmd.Process)
		var again int
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM notifications WHERE state = 'sending' AND doubts > 0`).Scan(&again)
		if err != nil {
			t.Fatal(err)
		}
		if again == 0 {
			break
		}
		signal(syscall.SIGCONT)
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d notifications in doubt are being sent all the time", again)
		}
	}
	signal(syscall.SIGKILL)
	cmd.Wait() //nolint:errcheck // it was killed
}

// dev is killed again and again, at another moment each time, and started on the
// same directory. Everything that it accepted ends as sent: once, or once more
// where a call was under way that nobody knows the end of; where that happened
// twice to one, as a doubt.
func TestDevDeliversWhatItAccepted(t *testing.T) {
	t.Parallel()
	d := newDevDrill(t)
	accepted := func(n int64) func(simulator.State) bool {
		return func(s simulator.State) bool { return s.Accepted >= n }
	}
	hang := func(taken bool) {
		if _, err := d.sim.AddFault(simulator.Fault{API: simulator.APISend, Action: simulator.ActHang, After: taken, Count: 3}); err != nil {
			t.Fatal(err)
		}
	}
	hanging := func(s simulator.State) bool { return s.Hanging == 3 }
	for i, moment := range []struct {
		said   string // before the tasks are put on the queue; "" for not at all
		before func()
		until  func(simulator.State) bool
	}{
		{said: "Running"}, // with tasks on the queue that nobody looked at
		{said: "Running", until: accepted(1)},
		{said: "Running", until: accepted(4)},
		{said: "Running", before: func() { hang(false) }, until: hanging},
		{said: "sends to the real users"}, // while it starts, with rows that are open
		{said: "Running", before: func() { hang(true) }, until: hanging},
		{said: "Running", until: accepted(20)},
	} {
		d.add(8)
		if moment.before != nil {
			moment.before()
		}
		cmd, stdout := d.start(moment.said)
		if moment.said == "Running" {
			d.enqueue(stdout)
		}
		if moment.until != nil {
			d.await(moment.until)
		}
		d.kill(cmd)
		t.Logf("kill %d: %d of %d tasks have a row, %d calls so far", i+1, len(d.rows), len(d.openIDs), d.sim.State().Sends)
	}

	last, stdout := d.start("Running")
	d.enqueue(stdout)
	d.awaitEnds()
	if err := last.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := last.Wait(); err != nil {
		t.Errorf("the last dev: %v", err)
	}
	rows := d.list()
	if len(rows) != len(d.openIDs) {
		t.Errorf("%d rows of %d tasks", len(rows), len(d.openIDs))
	}
	doubts := 0
	for _, n := range rows {
		tally := d.sim.Tally("", n.OpenID, n.TemplateID)
		doubts += n.Doubts
		// Two kills may meet the same notification: allow resends after the first
		// doubt only, so that the second is a person's to judge.
		sent := n.State == store.Sent && n.Doubts <= 1 && tally.Accepted >= 1 && tally.Accepted <= 1+n.Doubts
		doubted := n.State == store.Dead && n.Reason == store.ReasonInDoubt && n.Doubts == 2 && tally.Accepted <= n.Doubts
		if !sent && !doubted {
			t.Errorf("%s: %s with %d doubts, accepted %d times", n.ID, n.State, n.Doubts, tally.Accepted)
		}
	}
	if doubts == 0 {
		t.Error("no kill met a call")
	}
	t.Logf("%d ended, %d doubts, %d calls", len(rows), doubts, d.sim.State().Sends)
}

// The samples go the same way: dev with its own WeChat, killed in the middle of
// them several times, ends them as it says it does.
func TestDevEndsItsSamplesAfterKills(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*runDeadline)
	defer cancel()
	dir := t.TempDir()
	for _, calls := range []int{1, 4, 2} {
		var stderr output
		cmd := spawn(t, &stderr, "dev", "--data", dir, "--latency", "100ms", "--concurrency", "2",
			"--send-timeout", "20s", "--in-doubt-wait", "1s", "--admin-addr", "127.0.0.1:0")
		url := stderr.await(ctx, t, `Simulated WeChat: (\S+)`)[1]
		awaitState(ctx, t, url, func(s simulator.State) bool { return s.Requests[simulator.APISend] >= calls })
		killSparing(ctx, t, cmd, dir)
		expireClaims(t, dir)
	}
	got := shell{}.must(t, "dev", "--once", "--data", dir, "--in-doubt-wait", "1s")
	for title, check := range checks(t, got) {
		if check != "ok" && check != "ok, earlier" {
			t.Errorf("%s: %s", title, check)
		}
	}
	rows, err := openDevStore(t, dir).List(ctx, store.Filter{})
	if err != nil || len(rows) != len(samples()) {
		t.Fatalf("%d rows, %v; want %d", len(rows), err, len(samples()))
	}
	for _, n := range rows {
		if !n.State.Final() && n.State != store.Waiting || n.Doubts > 0 && n.Duplicates == store.DuplicatesAvoid && n.State != store.Dead {
			t.Errorf("%s is %s with %d doubts", n.Ref, n.State, n.Doubts)
		}
	}
}
