package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/wxnotify/wxnotify/store"
)

// wrap says what was tried and sorts the error: what may go away by itself wraps
// store.ErrUnavailable. SQLite's messages name constraints and columns, never
// values.
func (s *Store) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if class := s.classOf(err); class != nil && !errors.Is(err, class) {
		return fmt.Errorf("%s: %w: %w", op, class, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}

// classOf is the store's sentinel for err, or nil.
func (s *Store) classOf(err error) error {
	for _, lost := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, sql.ErrTxDone} {
		if errors.Is(err, lost) {
			return store.ErrUnavailable
		}
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		if s.closed.Load() { // database/sql has no exported error for this
			return store.ErrUnavailable
		}
		return nil
	}
	switch e.Code() & 0xff { // the primary code
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN,
		lib.SQLITE_READONLY, lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT, lib.SQLITE_PROTOCOL:
		return store.ErrUnavailable
	case lib.SQLITE_ERROR:
		if strings.Contains(e.Error(), "no such table") || strings.Contains(e.Error(), "no such column") {
			return store.ErrSchema
		}
	}
	return nil
}
