package store

import "github.com/google/uuid"

// Cancel ends a notification that is not being sent: queued, retrying or waiting
// becomes cancelled, reason by_admin, in whatever generation it is. Its task, if
// it has one, is dropped when its turn comes.
type Cancel struct {
	ID    uuid.UUID
	Actor string
}

// Check reports what is wrong with the cancel.
func (c Cancel) Check() error { return checkActor(c.ID, c.Actor, "") }
