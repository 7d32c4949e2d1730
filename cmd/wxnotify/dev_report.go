package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/store"
)

// print shows what became of the samples.
func (r *devRun) print() error {
	rows := make([][]string, len(r.results))
	states := map[store.State]int{}
	for i, s := range r.results {
		rows[i] = s.cells(r.start)
		states[s.row.State]++
	}
	if err := r.p.printTable([]string{"NOTIFICATION", "USER", "STATE", "REASON", "ANSWERS", "TRIES", "TOOK", "CHECK"}, rows); err != nil {
		return err
	}
	text := fmt.Sprintf("\n%d of %d samples went as they should: %s. The simulated WeChat accepted %d in this run.\n",
		len(r.results)-r.differing(), len(r.results), statesText(states), r.d.Simulator.State().Accepted)
	if len(r.left) > 0 {
		text += fmt.Sprintf("Left open by the run before: %s: %s.\n", count(len(r.left), "notification"), statesText(r.leftStates))
	}
	return r.p.print(text)
}

// statesText is "7 sent, 2 dead".
func statesText(states map[store.State]int) string {
	var texts []string
	for _, state := range store.States {
		if n := states[state]; n > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(texts, ", ")
}

// differing counts the samples that did not go as they should.
func (r *devRun) differing() int {
	n := 0
	for _, s := range r.results {
		if len(s.faults) > 0 {
			n++
		}
	}
	return n
}

// cells are the sample's row of the table.
func (r *sampleResult) cells(start time.Time) []string {
	reason, took, check := string(r.row.Reason), "", "ok"
	if r.row.Field != "" {
		reason += ": " + r.row.Field
	}
	if !r.row.FinishedAt.IsZero() {
		took = r.row.FinishedAt.Sub(r.row.CreatedAt).Round(10 * time.Millisecond).String()
		if r.row.FinishedAt.Before(start) {
			check = "ok, earlier"
		}
	}
	if r.parked() && r.row.State == store.Waiting && r.row.UpdatedAt.Before(start) {
		check = "ok, earlier"
	}
	if len(r.faults) > 0 {
		check = "DIFFERS: " + strings.Join(r.faults, "; ")
	}
	if r.err != nil {
		check += ": " + r.err.Error()
	}
	return []string{
		r.title, r.user.id + " " + r.user.name, string(r.row.State), reason,
		r.answersText(), fmt.Sprint(len(r.attempts)), took, check,
	}
}
