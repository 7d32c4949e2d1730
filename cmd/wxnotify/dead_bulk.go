package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/store"
)

// bulkChunk is how many notifications one transaction changes: few enough that a
// worker never waits for their locks, enough that round trips do not count.
const bulkChunk = 200

// bulkFlags are those of a command that changes the notifications it chooses.
type bulkFlags struct {
	filter deadFilter
	all    bool
	dryRun bool
	rate   int
	by     *string
	asJSON *bool
}

func (f *bulkFlags) flags(cmd *cobra.Command) {
	f.filter.flags(cmd)
	cmd.Flags().BoolVar(&f.all, "all", false, "all dead letters; with flags that choose, all of those")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().IntVar(&f.rate, "rate", 0, "at most so many a second (default: as fast as the database)")
	f.by = actorFlag(cmd)
	f.asJSON = jsonFlag(cmd)
}

// choice is the notifications of a command: ids, or those of a filter.
type choice struct {
	byID   bool
	ids    []uuid.UUID // with byID: those that are left
	filter store.Filter
}

func (f *bulkFlags) choice(cmd *cobra.Command, args []string) (choice, error) {
	var (
		c   choice
		err error
	)
	chosen := f.all || f.filter.given(cmd)
	switch {
	case f.rate < 0:
		return c, usagef("--rate must not be negative")
	case len(args) > 0 && chosen:
		return c, usagef("give ids or flags that choose, not both")
	case len(args) == 0 && !chosen:
		return c, usagef("nothing is chosen: give ids, flags such as --reason or --errcode, or --all")
	}
	if c, err = chooseIDs(args); err != nil {
		return c, err
	}
	c.filter, err = f.filter.filter(time.Now())
	return c, err
}

// chooseIDs chooses by id, if there are any.
func chooseIDs(args []string) (choice, error) {
	ids, err := parseIDs(args)
	return choice{byID: len(ids) > 0, ids: ids}, err
}

// total is how many notifications there are to work on.
func (c choice) total(ctx context.Context, s app.InterventionStore) (int, error) {
	if c.byID {
		return len(c.ids), nil
	}
	counts, err := s.Count(ctx, c.filter, store.GroupNone)
	if err != nil || len(counts) == 0 {
		return 0, err
	}
	return counts[0].Count, nil
}

// page returns the next notifications; missing are ids that do not exist. Both
// are empty at the end. It goes on behind the last one whatever became of it, so
// one that dies again meanwhile is not met twice.
func (c *choice) page(ctx context.Context, s app.Store, size int) (found []store.Notification, missing []uuid.UUID, err error) {
	if !c.byID {
		c.filter.Limit = size
		if found, err = s.List(ctx, c.filter); len(found) > 0 {
			c.filter.Before = store.After(found[len(found)-1])
		}
		return found, nil, err
	}
	ids := c.ids[:min(size, len(c.ids))]
	if len(ids) == 0 {
		return nil, nil, nil
	}
	c.ids = c.ids[len(ids):]
	looks, err := s.Look(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	known := make(map[uuid.UUID]bool, len(looks))
	for _, l := range looks {
		found, known[l.ID] = append(found, l.Notification), true
	}
	for _, id := range ids {
		if !known[id] {
			missing = append(missing, id)
		}
	}
	return found, missing, nil
}

// bulkAnswer is what became of one notification: one line of --json.
type bulkAnswer struct {
	ID         uuid.UUID       `json:"id"`
	Result     store.ActResult `json:"result"`
	DryRun     bool            `json:"dry_run,omitempty"`
	State      store.State     `json:"state,omitempty"` // afterwards
	Generation int             `json:"generation,omitempty"`
	Reason     store.Reason    `json:"reason,omitempty"`  // before
	Errcode    int             `json:"errcode,omitempty"` // before
	Errors     []jsonFault     `json:"errors,omitempty"`  // of the edited message
}

// bulkWork does one thing to many notifications, page by page, and reports.
type bulkWork struct {
	p      *program
	store  app.Store
	flags  *bulkFlags
	verb   string // of people, such as "replayed"
	asJSON bool
	// act does it to one page; with dryRun it only says what it would do.
	act func(ctx context.Context, page []store.Notification, dryRun bool) ([]bulkAnswer, error)

	progress *progress
	total    int
	began    time.Time
	tally    map[bulkKind]int
	handled  int
	faults   []string     // of the first edited message that cannot be right
	cursor   store.Cursor // behind the last one that was handled, by filter
}

// bulkKind is a line of the report.
type bulkKind struct {
	result  store.ActResult
	state   store.State // only for a wrong one
	reason  store.Reason
	errcode int
}

// run works until nothing is left, or the first error of the store. What was
// done before stays done, and the report says how to go on.
func (w *bulkWork) run(ctx context.Context, c choice) error {
	var err error
	if w.total, err = c.total(ctx, w.store); err != nil {
		return err
	}
	w.began, w.tally, w.progress = time.Now(), map[bulkKind]int{}, w.p.newProgress()
	err = w.pages(ctx, c)
	w.progress.clear()
	return errors.Join(w.report(), w.verdict(err))
}

func (w *bulkWork) pages(ctx context.Context, c choice) error {
	size, limiter := bulkChunk, rate.NewLimiter(rate.Inf, bulkChunk)
	if w.flags.rate > 0 && !w.flags.dryRun {
		// Ten steps a second, so that what comes out is a flow and not a gulp.
		size = min(max(w.flags.rate/10, 1), bulkChunk)
		limiter = rate.NewLimiter(rate.Limit(w.flags.rate), size)
	}
	for {
		found, missing, err := c.page(ctx, w.store, size)
		n := len(found) + len(missing)
		if err != nil || n == 0 {
			return err
		}
		if err := limiter.WaitN(ctx, n); err != nil {
			return ctx.Err()
		}
		var answers []bulkAnswer
		if len(found) > 0 {
			if answers, err = w.act(ctx, found, w.flags.dryRun); err != nil {
				return err
			}
			w.cursor = store.After(found[len(found)-1])
		}
		for _, id := range missing {
			answers = append(answers, bulkAnswer{ID: id, Result: store.ActNotFound})
		}
		if err := w.note(answers); err != nil {
			return err
		}
		w.progress.show(w.status)
	}
}

// note counts the answers of a page and prints them for programs.
func (w *bulkWork) note(answers []bulkAnswer) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, a := range answers {
		a.DryRun = w.flags.dryRun
		kind := bulkKind{result: a.Result, reason: a.Reason, errcode: a.Errcode}
		if a.Result == store.ActWrongState {
			kind.state = a.State
		}
		w.tally[kind]++
		w.handled++
		if w.faults == nil {
			w.faults = faultLines(a.Errors)
		}
		_ = enc.Encode(a) // texts, numbers and a UUID always encode
	}
	if !w.asJSON {
		return nil
	}
	w.progress.clear()
	return w.p.print(out.String())
}

// faultLines are what is wrong with an edited message.
func faultLines(faults []jsonFault) (lines []string) {
	for _, f := range faults {
		lines = append(lines, "  "+cell(strings.TrimSpace(f.Field+" "+f.Reason)))
	}
	return lines
}

// of counts the answers with a result.
func (w *bulkWork) of(results ...store.ActResult) (n int) {
	for kind, c := range w.tally {
		if slices.Contains(results, kind.result) {
			n += c
		}
	}
	return n
}

func (w *bulkWork) status() string {
	return fmt.Sprintf("%s of %s %s, %s/s", thousands(w.of(store.ActDone)), thousands(w.total), w.verb, thousands(w.pace()))
}

// pace is how many were handled a second.
func (w *bulkWork) pace() int {
	return int(float64(w.handled) / max(time.Since(w.began), time.Millisecond).Seconds())
}

// report prints what became of them, by kind, and for people what they can do
// about the rest.
func (w *bulkWork) report() error {
	if w.handled == 0 {
		w.p.printf("nothing to do: no notification is chosen\n")
		return nil
	}
	kinds := slices.SortedFunc(maps.Keys(w.tally), func(a, b bulkKind) int {
		return cmp.Or(
			cmp.Compare(slices.Index(store.ActResults, a.result), slices.Index(store.ActResults, b.result)),
			cmp.Compare(w.tally[b], w.tally[a]), cmp.Compare(a.reason, b.reason), cmp.Compare(a.errcode, b.errcode), cmp.Compare(a.state, b.state))
	})
	rows := make([][]string, len(kinds))
	for i, k := range kinds {
		rows[i] = []string{w.word(k), string(k.reason), errcodeText(k.errcode), thousands(w.tally[k])}
	}
	if !w.asJSON {
		if err := w.p.printTable([]string{"RESULT", "REASON", "ERRCODE", "COUNT"}, rows); err != nil {
			return err
		}
	}
	for _, hint := range w.hints() {
		w.p.printf("%s\n", hint)
	}
	did := w.verb
	if w.flags.dryRun {
		did = "would be " + w.verb
	}
	w.p.printf("%s of %s %s  in %s\n", thousands(w.of(store.ActDone)), thousands(w.handled), did, time.Since(w.began).Round(10*time.Millisecond))
	return nil
}

// word is a result for people.
func (w *bulkWork) word(k bulkKind) string {
	switch k.result {
	case store.ActDone:
		if w.flags.dryRun {
			return "would be " + w.verb
		}
		return w.verb
	case store.ActBefore:
		return w.verb + " before"
	case store.ActNotFound:
		return "not found"
	case store.ActWrongState:
		return "cannot be, it is " + string(k.state)
	case store.ActInDoubt:
		return "needs --force"
	case store.ActNoContent:
		return "nothing to send"
	}
	return string(k.result)
}

// hints explain the results that a person can do something about.
func (w *bulkWork) hints() (hints []string) {
	if w.of(store.ActInDoubt) > 0 {
		hints = append(hints, "in doubt: nobody knows whether these users have the message; --force sends it, perhaps a second time")
	}
	if w.of(store.ActNoContent) > 0 {
		hints = append(hints, "nothing to send: the message is missing or cannot be right; see 'wxnotify dead show ID'")
		hints = append(hints, w.faults...)
	}
	return hints
}

// verdict is the command's error: err, or that some were left out.
func (w *bulkWork) verdict(err error) error {
	left := w.handled - w.of(store.ActDone, store.ActBefore)
	switch {
	case err != nil && w.handled > 0:
		more := ""
		if w.cursor.ID != uuid.Nil {
			more = "; --cursor " + w.cursor.String() + " goes on behind the last one"
		}
		return fmt.Errorf("stopped early, and can be repeated%s: %w", more, err)
	case err != nil || w.flags.dryRun || left == 0:
		return err
	}
	return fmt.Errorf("%s not %s", count(left, "notification"), w.verb)
}

// bulkAnswers are the answers of the store.
func bulkAnswers(acted []store.Acted) []bulkAnswer {
	answers := make([]bulkAnswer, len(acted))
	for i, a := range acted {
		answers[i] = bulkAnswer{
			ID: a.ID, Result: a.Result, State: a.State, Generation: a.Generation, Reason: a.Reason, Errcode: a.Errcode,
		}
	}
	return answers
}

// bulkForecast is what the store would answer, as the notification is now.
func bulkForecast(n store.Notification, result store.ActResult, state store.State) bulkAnswer {
	a := bulkAnswer{ID: n.ID, Result: result, State: n.State, Generation: n.Generation, Reason: n.Reason, Errcode: n.Errcode}
	if result == store.ActDone {
		a.State = state
	}
	return a
}
