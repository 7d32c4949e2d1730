package app_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// chaosSize says how much a run does.
type chaosSize struct {
	rows     int           // notifications of a scenario
	page     int           // that are handed in at once; zero is feedPage
	span     time.Duration // in which they are handed in
	latency  time.Duration // of WeChat
	deadline time.Duration // for everything to end after that
	// patient waits two minutes for what killed workers held; otherwise asynq's
	// leases are aged, as a test may that has little time.
	patient bool
}

// chaosSizes are the values of WXNOTIFY_CHAOS. Without one it is a smoke test
// of the suite itself, on a database that others use.
var chaosSizes = map[string]chaosSize{
	"":      {rows: 100, span: 1500 * time.Millisecond, latency: 30 * time.Millisecond, deadline: 40 * time.Second},
	"short": {rows: 300, span: 3 * time.Second, latency: 50 * time.Millisecond, deadline: 60 * time.Second},
	"full":  {rows: 3000, span: 20 * time.Second, latency: 100 * time.Millisecond, deadline: 4 * time.Minute, patient: true},
}

// TestChaos breaks one part of a deployment after the other while notifications
// go through it, and compares the store with what WeChat received: nothing that
// was accepted is lost, and nothing is sent twice but for a doubt on record.
// deploy/chaos.sh runs it in full.
func TestChaos(t *testing.T) {
	mode := os.Getenv("WXNOTIFY_CHAOS")
	size, ok := chaosSizes[mode]
	if !ok {
		t.Fatalf("WXNOTIFY_CHAOS is %q; want full, short or nothing", mode)
	}
	var db *ownPostgres
	if mode != "" {
		db = startPostgres(t)
		t.Setenv("TEST_DATABASE_URL", db.url())
	}
	var table []outcome
	for _, s := range scenarios {
		if mode == "full" || mode == "short" && s.short || s.smoke {
			t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
				o := &outcome{scenario: s.name}
				s.build(t)
				start := time.Now()
				defer func() {
					o.failed, o.took = t.Failed(), time.Since(start)
					table = append(table, *o)
				}()
				runScenario(t, size, db, s, o)
			})
		}
	}
	t.Logf("\n%s", tabulate(table))
}

// runScenario plays s and writes what became of it into o.
func runScenario(t *testing.T, size chaosSize, db *ownPostgres, s scenario, o *outcome) {
	t.Helper()
	c := newChaos(t, size, db, s)
	for i := range c.workers {
		c.spawnWorker(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), size.span+size.deadline)
	defer cancel()
	start, result := time.Now(), make(chan error, 1)
	go func() { result <- c.feed(ctx) }()
	o.acted = s.act(c)
	for _, phase := range []struct {
		name string
		end  func() error
	}{
		{"accepted", func() error { return <-result }},
		{"final", func() error { return c.settled(s.within) }},
		{"off the queue", c.answered},
		{"stopped", c.ended},
	} {
		if err := phase.end(); err != nil {
			o.bad("%v", err)
		}
		t.Logf("all %s after %v", phase.name, time.Since(start).Round(100*time.Millisecond))
	}
	c.compare(o)
	if err := s.shown(*o); err != nil {
		o.bad("the scenario did not do what it is for: %v", err)
	}
	for _, fault := range o.faults {
		t.Error(fault)
	}
	t.Logf("broken %d times; longest call of SendBatch: %v", o.acted, c.worst().Round(time.Millisecond))
}

// hurry does what two minutes would: the tasks that killed workers held are
// taken back by the next worker that starts.
func (c *chaos) hurry() {
	c.terminate(0)
	c.ageLeases()
	c.spawnWorker(0)
}

// terminate stops a worker as an operator does.
func (c *chaos) terminate(i int) {
	c.workers[i].field("worker runs", "concurrency") // before that nobody listens for the signal
	c.workers[i].terminate()
}

// ended stops the workers and looks whether that moved anything.
func (c *chaos) ended() error {
	for i := range c.workers {
		c.terminate(i)
	}
	states, err := c.store.CountByState(c.t.Context(), "")
	for s, n := range states {
		if !s.Final() && n > 0 {
			err = errors.Join(err, fmt.Errorf("%d rows are %s in the end", n, s))
		}
	}
	return err
}

func tabulate(table []outcome) string {
	var b strings.Builder // takes everything, without an error
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "scenario\taccepted\tsent\tdead\texpired\tsends\tsecond\tdoubts\tunsure\tlost\tverdict\tseconds\t")
	for _, o := range table {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%.1f\t\n", o.scenario, o.accepted, o.sent, o.dead, o.expired,
			o.sends, o.second, o.doubts, o.unsure, o.missed, o.verdict(), o.took.Seconds())
	}
	_ = w.Flush()
	return b.String()
}
