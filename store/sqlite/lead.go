package sqlite

import (
	"context"
	"errors"
	"sync"
)

// errNotLeading is what StillLeading answers when nobody here leads.
var errNotLeading = errors.New("not leading")

// Lead makes its caller the leader until release, unless another part of this
// process is. No other process can have the file.
func (s *Store) Lead(context.Context) (ok bool, release func(), err error) {
	s.leadMu.Lock()
	defer s.leadMu.Unlock()
	if s.leads {
		return false, func() {}, nil
	}
	s.leads = true
	return true, sync.OnceFunc(func() {
		s.leadMu.Lock()
		defer s.leadMu.Unlock()
		s.leads = false
	}), nil
}

// StillLeading returns nil while somebody in this process leads.
func (s *Store) StillLeading(context.Context) error {
	s.leadMu.Lock()
	defer s.leadMu.Unlock()
	if !s.leads {
		return errNotLeading
	}
	return nil
}
