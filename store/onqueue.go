package store

import "github.com/google/uuid"

// OnQueue names an open notification (queued or retrying) that was handed over
// and whose task must therefore be on the queue: what it takes to look for it.
type OnQueue struct {
	ID         uuid.UUID
	Generation int
	App        string
	Priority   Priority
}
