package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// stops runs what was started in the opposite order, each by its name. The zero
// value is ready.
type stops struct {
	mu   sync.Mutex
	list []namedStop
}

type namedStop struct {
	name string
	stop func(context.Context) error
}

func (s *stops) add(name string, stop func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, namedStop{name, stop})
}

// run stops everything, even after a failure or when ctx is over, and may be
// called again.
func (s *stops) run(ctx context.Context) error {
	s.mu.Lock()
	list := s.list
	s.list = nil
	s.mu.Unlock()
	var errs []error
	for _, s := range slices.Backward(list) {
		if err := s.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", s.name, err))
		}
	}
	return errors.Join(errs...)
}
