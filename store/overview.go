package store

import "time"

// Overview is how things stand, in figures that cost little whatever the number
// of notifications that have ended.
type Overview struct {
	// Now is the database's clock.
	Now time.Time
	// Open counts the notifications in each state that is not final.
	Open map[State]int
	// OldestDue is since when the longest overdue of the queued and retrying ones
	// could be sent; zero when none is due.
	OldestDue time.Time
	// DeadLetters counts those of [DeadLetters].
	DeadLetters int
}

// OpenStates lists the states that are not final.
var OpenStates = []State{Queued, Sending, Retrying, InDoubt, Waiting}

// Outcome counts what ended, by template.
type Outcome struct {
	App        string
	TemplateID string
	Sent       int
	Refused    int // class refused: no consent or no binding
	Dead       int // class fault
	Expired    int
	Cancelled  int
}

// Total is how many ended.
func (o Outcome) Total() int { return o.Sent + o.Refused + o.Dead + o.Expired + o.Cancelled }

// Add is the sum of two.
func (o Outcome) Add(p Outcome) Outcome {
	o.Sent += p.Sent
	o.Refused += p.Refused
	o.Dead += p.Dead
	o.Expired += p.Expired
	o.Cancelled += p.Cancelled
	return o
}

// OutcomesMost is the longest time that Outcomes looks back: blanked rows, which
// it does not count, are as old as that at least by default.
const OutcomesMost = 7 * 24 * time.Hour
