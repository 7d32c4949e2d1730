package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// good is a valid line for a user, with more members.
func good(user, more string) string {
	return fmt.Sprintf(`{"template_id":%q,"user_id":%q,"data":{"thing1":"月报","thing2":{"value":7}}%s}`, simulator.SeedReport, user, more)
}

// sendLines runs send on stdin and returns the answers of --json by line.
func (s site) sendLines(t *testing.T, text string, args ...string) (answer, map[int]string) {
	t.Helper()
	s.stdin = text
	got := s.run(t, append([]string{"send", "-", "--json"}, args...)...)
	answers := map[int]string{}
	for line := range strings.Lines(got.stdout) {
		var a sendLine
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		texts := []string{string(a.State)}
		if a.Duplicate != nil && *a.Duplicate {
			texts[0] += " again"
		}
		if len(a.Errors) > 0 {
			texts = nil
			for _, e := range a.Errors {
				texts = append(texts, e.Field)
			}
		}
		if _, twice := answers[a.Line]; twice || (a.ID == nil) != (len(a.Errors) > 0) {
			t.Errorf("answer: %s", line)
		}
		answers[a.Line] = strings.Join(texts, ",")
	}
	return got, answers
}

func TestSendFileReportsBadLines(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	soon := time.Now().Add(time.Hour).Format(time.RFC3339)
	lines := []string{
		"\xef\xbb\xbf" + good("u1", ""),
		"",
		good("u2", `,"ref":"r","priority":"low","send_at":"`+soon+`","duplicates":"avoid","lang":"en_US","miniprogram_state":"trial","page":"p","app":"`+siteApp.AppID+`","wait":null`),
		"  \r",
		`{"template_id":"T","user_id":1042,"data":{"a1":1.50}}` + "\r",
		`{"template_id":"T","openid":"o","data":{"a1":"x"},"ref":null}`,
		`not JSON`,
		`[]`,
		`{}`,
		good("u", `,"templet":1,"Ref":"x"`),
		good("u", `,"wait":60`),
		good("u", `,"send_at":"2026-03-02 15:01","expires_at":5`),
		good("u", `,"priority":"high","duplicates":"no"`),
		good("u", `,"app":"wxother"`),
		good("u", `,"openid":"o"`),
		`{"template_id":"T","user_id":1.5,"data":{"a1":["s3cr3t"]}}`,
		"{\"template_id\":\"T\",\"user_id\":\"u\",\"data\":{\"a1\":\"\xff\"}}",
		`{"template_id":"T","user_id":"u","data":{"a1":"` + strings.Repeat("s3cr3t", 1<<18) + `"}}`,
		good("u9", `,"ref":"r"`),
		good("u2", ""),
		good("u", `,"s3cr3t text of somebody":1`),
		good("last", ""), // without a line end
	}
	want := map[int]string{
		1: "queued", 3: "queued", 5: "queued", 6: "queued",
		7: "", 8: "", 9: "/data,/template_id,/user_id", 10: "/Ref,/templet", 11: "queued", 12: "/expires_at,/send_at",
		13: "/priority,/duplicates", 14: "/app", 15: "/openid", 16: "/data/a1,/user_id", 17: "", 18: "",
		19: "/ref", 20: "queued", 21: "", 22: "queued",
	}
	got, answers := s.sendLines(t, strings.Join(lines, "\n"))
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if got.code != exitFailed || !strings.Contains(got.stderr, "accepted 7  bad 13  in ") || !strings.Contains(got.stderr, "13 bad lines left out") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
	if !strings.Contains(got.stdout, `{"line":18,"errors":[{"field":"","reason":"is longer than 1 MiB"}]}`) {
		t.Error("the long line is not named")
	}
	if strings.Contains(got.stdout+got.stderr, "s3cr3t") {
		t.Error("an answer repeats a value")
	}

	rows := map[string]store.Notification{}
	for _, n := range s.rows(t) {
		rows[n.UserID+n.OpenID] = n
	}
	if len(rows) != 7-1 { // u2 has two
		t.Fatalf("rows of %d addressees", len(rows))
	}
	if n := rows["1042"]; n.Data["a1"] != "1.50" {
		t.Errorf("numbers: got %+v", n)
	}
	if n := rows["u"]; n.Wait != time.Minute {
		t.Errorf("wait: got %v", n.Wait)
	}
	if n := rows["u1"]; n.Data["thing1"] != "月报" || n.Data["thing2"] != "7" || n.App != siteApp.AppID {
		t.Errorf("row: got %+v", n)
	}

	// The same file again: only the line with a ref is known.
	if _, answers := s.sendLines(t, lines[2]); answers[1] != "queued again" {
		t.Errorf("the line with a ref again: got %v", answers)
	}
}

func TestSendFileForPeople(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "x.jsonl")
	text := good("u1", "") + "\n" + strings.Repeat("{}\n", maxShownFaults+2) + good("u2", "") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got := s.run(t, "send", file)
	if got.code != exitFailed || got.stdout != "" {
		t.Errorf("exit code %d, stdout %q", got.code, got.stdout)
	}
	for _, want := range []string{
		"line 2: /data is required; /template_id is required; /user_id is required (or openid)\n",
		"and 2 bad lines more; --json names every one\n", "accepted 2  bad 52  in ", "52 bad lines left out\n",
	} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("stderr: got %q, want %q in it", got.stderr, want)
		}
	}
	if strings.Contains(got.stderr, "/s") {
		t.Errorf("stderr: got %q, want no rate of a few lines", got.stderr)
	}
	if strings.Count(got.stderr, "line ") != maxShownFaults || strings.Contains(got.stderr, "\r") {
		t.Errorf("stderr: got %q", got.stderr)
	}
	if got := s.run(t, "send", file+"x"); got.code != exitFailed || !strings.Contains(got.stderr, "no such file") {
		t.Errorf("a file that is not there: got %+v", got)
	}
}

// TestSendFileStrict: nothing after the first bad line is accepted, whoever
// finds it: the reader, producer's check or the database.
func TestSendFileStrict(t *testing.T) {
	t.Parallel()
	before := strings.Repeat(good("u", "")+"\n", 3)
	after := strings.Repeat(good("u", `,"ref":"x"`)+"\n", 3)
	for name, bad := range map[string]string{
		"not JSON": "{", "by producer": good("u", `,"priority":"high"`), "by the database": good("other", `,"ref":"r"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.must(t, sendArgs("--user", "first", "--ref", "r")...)
			got, answers := s.sendLines(t, before+bad+"\n"+after, "--strict")
			if got.code != exitFailed || !strings.Contains(got.stderr, "stopped at line 4: of the lines before it all are accepted, from there on none") {
				t.Errorf("got %+v", got)
			}
			if rows := len(s.rows(t)); rows != 1+3 || len(answers) != 4 || answers[3] != "queued" || answers[4] == "queued" {
				t.Errorf("%d rows, answers %v", rows, answers)
			}
		})
	}
}

func TestSendFileWaits(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.work(t)
	if err := s.sim.Accept("", siteOpenID, simulator.SeedReport, 1); err != nil {
		t.Fatal(err)
	}
	line := strings.Replace(good("", ""), `"user_id":""`, `"openid":"`+siteOpenID+`"`, 1) + "\n"
	s.stdin = strings.Repeat(line, 5)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if got := s.runContext(ctx, "send", "-", "--wait", "10m"); got.code != exitOK || got.stdout != "STATE  REASON  COUNT\nsent           5\n" {
		t.Errorf("all sent: got %+v", got)
	}
	s.stdin = line + good("stranger", "") + "\n"
	got := s.run(t, "send", "-", "--wait", "30s")
	if want := "STATE  REASON   COUNT\nsent            1\ndead   unbound  1\n"; got.code != exitFailed || got.stdout != want ||
		!strings.Contains(got.stderr, "1 notification not sent\n") {
		t.Errorf("one dead: got %+v, want %q", got, want)
	}

	// Two lines of one notification, one that is bad and one that is sent.
	lost := good("stranger", `,"ref":"r1"`) + "\n"
	s.stdin = lost + "{}\n" + line + lost
	got = s.run(t, "send", "-", "--wait", "30s")
	for _, want := range []string{
		`(?m)^line 1: dead, unbound, id [0-9a-f-]{36}, ref r1$`, `(?m)^line 4: dead, unbound, id [0-9a-f-]{36}, ref r1$`,
		`(?m)^wxnotify: 1 notification not sent; 1 bad line left out$`, `(?m)^accepted 3 \(1 of them before, by their ref\)  bad 1  in \S+$`,
	} {
		if !regexp.MustCompile(want).MatchString(got.stderr) {
			t.Errorf("stderr: got %q, want %q", got.stderr, want)
		}
	}
	if got.code != exitFailed || strings.Contains(got.stderr, "line 3") {
		t.Errorf("a dead, a bad and a sent line: got %+v", got)
	}
	s.stdin = lost + "{}\n" + line + lost
	ends := map[int]sendLine{}
	for text := range strings.Lines(s.run(t, "send", "-", "--wait", "30s", "--json").stdout) {
		var l sendLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		l.ID, l.Duplicate, l.Errors = nil, nil, nil
		ends[l.Line] = l
	}
	dead := sendLine{Line: 1, Ref: "r1", State: store.Dead, Class: store.ClassRefused, Reason: store.ReasonUnbound}
	again := dead
	again.Line = 4
	if diff := cmp.Diff(map[int]sendLine{1: dead, 2: {Line: 2}, 3: {Line: 3, State: store.Sent}, 4: again}, ends); diff != "" {
		t.Errorf("--json (-want +got):\n%s", diff)
	}

	s.stdin = good("u", `,"send_at":"`+time.Now().Add(time.Hour).Format(time.RFC3339)+`"`)
	got = s.run(t, "send", "-", "--wait", "50ms", "--json")
	if got.code != exitFailed || !strings.Contains(got.stderr, "queued 1\n") || !strings.Contains(got.stderr, "1 notification not sent within 50ms") ||
		strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("one later: got %+v", got)
	}
}

// slowPipe gives its lines one by one, the next when the last was asked for.
type slowPipe struct {
	lines chan string
	rest  bytes.Buffer
}

func (p *slowPipe) Read(b []byte) (int, error) {
	if p.rest.Len() == 0 {
		line, ok := <-p.lines
		if !ok {
			return 0, io.EOF
		}
		p.rest.WriteString(line)
	}
	return p.rest.Read(b)
}

// lineWriter hands out what is written, line by line.
type lineWriter chan string

func (w lineWriter) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		w <- line
	}
	return len(b), nil
}

// TestSendPipe: a line of a slow pipe is accepted before the next one comes, and
// an interrupt ends a command whose pipe is silent.
func TestSendPipe(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	pipe := &slowPipe{lines: make(chan string)}
	out := make(lineWriter, 10)
	var stderr bytes.Buffer
	p := s.on(pipe, out, &stderr)
	code := make(chan int)
	go func() { code <- p.run(ctx, []string{"send", "-", "--json"}) }()
	for i := range 2 {
		pipe.lines <- good("u", "") + "\n"
		select {
		case line := <-out:
			if !strings.HasPrefix(line, fmt.Sprintf(`{"line":%d,"id":"`, i+1)) {
				t.Errorf("answer %d: got %q", i+1, line)
			}
		case <-ctx.Done():
			t.Fatalf("line %d is not accepted; stderr: %s", i+1, stderr.String())
		}
	}
	cancel()
	if got := <-code; got != exitFailed || !strings.Contains(stderr.String(), "accepted 2  bad 0") || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d, stderr %q", got, stderr.String())
	}
	close(pipe.lines)
}

// TestSendFileStoreGoesAway: the command says which lines it cannot answer for.
func TestSendFileStoreGoesAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sender := &sender{catalog: template.NewCatalog(template.Contents{}), cfg: s.config(t), store: s.open(t), app: siteApp.AppID}
	defer sender.store.Close()
	checker, err := newChecker(sender)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	p := &program{stdout: &stdout, stderr: &stderr}
	sender.client = producerOn(t, sender, &failingStore{Store: sender.store, after: 1})
	run := &sendRun{sender: sender, checker: checker, report: &sendReport{p: p, asJSON: true, progress: p.newProgress(), began: time.Now()}}
	err = run.all(t.Context(), strings.NewReader(strings.Repeat(good("u", "")+"\n", 4000)))
	run.report.end()
	if err == nil || !strings.Contains(err.Error(), "may or may not be accepted, after them none") {
		t.Errorf("got %v", err)
	}
	st := s.open(t)
	defer st.Close()
	counts, err := st.CountByState(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if run.report.accepted == 0 || run.report.accepted != counts[store.Queued] || run.report.doubts == 0 ||
		!strings.Contains(stderr.String(), "not known "+thousands(run.report.doubts)) {
		t.Errorf("accepted %d of %d rows, %d not known: %s", run.report.accepted, counts[store.Queued], run.report.doubts, stderr.String())
	}
	if got := strings.Count(stdout.String(), "\n"); got != run.report.accepted+run.report.doubts {
		t.Errorf("%d answers", got)
	}
}

// TestSendFileInterrupted: what was handed in when the interrupt came is
// answered for, and no more is handed in.
func TestSendFileInterrupted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sender := &sender{catalog: template.NewCatalog(template.Contents{}), cfg: s.config(t), store: s.open(t), app: siteApp.AppID}
	defer sender.store.Close()
	ctx, cancel := context.WithCancel(t.Context())
	sender.client = producerOn(t, sender, &interruptingStore{Store: sender.store, interrupt: cancel})
	var stderr bytes.Buffer
	p := &program{stdout: io.Discard, stderr: &stderr}
	wait := &sendWait{lines: map[uuid.UUID][]sendLine{}}
	run := &sendRun{sender: sender, report: &sendReport{p: p, progress: p.newProgress(), began: time.Now(), waiting: wait}}
	err := run.all(ctx, strings.NewReader(strings.Repeat(good("u", "")+"\n", 10_000)))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	counts, err := sender.store.CountByState(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if r := run.report; r.accepted == 0 || r.accepted != counts[store.Queued] || r.doubts != 0 || r.accepted > 2*sendBatch || len(wait.ids) != r.accepted {
		t.Errorf("accepted %d of %d rows, %d not known", r.accepted, counts[store.Queued], r.doubts)
	}
}

// interruptingStore interrupts the command while it writes.
type interruptingStore struct {
	app.Store
	interrupt func()
}

func (i *interruptingStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	i.interrupt()
	return i.Store.Insert(ctx, batch)
}

// failingStore falls silent after so many batches.
type failingStore struct {
	app.Store
	after int
}

func (f *failingStore) Insert(ctx context.Context, batch []store.Acceptance) ([]store.Inserted, error) {
	if f.after--; f.after < 0 {
		return nil, store.ErrUnavailable
	}
	return f.Store.Insert(ctx, batch)
}

// producerOn makes a producer client on another store, without Redis.
func producerOn(t *testing.T, s *sender, st producer.Store) *producer.Client {
	t.Helper()
	c, err := producer.New(producer.Config{Store: st, App: s.app})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
