package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"

	"github.com/wxnotify/wxnotify/store"
)

// Error is a failure that the server reported. It leaves out everything in
// which the server quotes values of rows: detail, hint, context, and the
// message of data exceptions.
type Error struct {
	SQLState   string
	Message    string
	Constraint string // name of the violated constraint, "" for none

	class error // store.ErrUnavailable, store.ErrSchema or nil
}

// Error implements error.
func (e *Error) Error() string {
	if e.Constraint != "" {
		return fmt.Sprintf("SQLSTATE %s: constraint %s", e.SQLState, e.Constraint)
	}
	return fmt.Sprintf("SQLSTATE %s: %s", e.SQLState, e.Message)
}

// Unwrap returns the store's sentinel that this error belongs to, if any.
func (e *Error) Unwrap() error { return e.class }

// SQLSTATEs that classify looks for, from
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	codeUniqueViolation = "23505"
	codeDeadlock        = "40P01"
	codeSerialization   = "40001"
	codeLockTimeout     = "55P03"
)

// classify turns an error of pgx into one of the store's. Whatever leaves
// unknown whether the statement ran, and whatever may go away by itself, wraps
// store.ErrUnavailable.
func classify(err error) error {
	if err == nil {
		return nil
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		e := &Error{SQLState: pgErr.Code, Message: pgErr.Message, Constraint: pgErr.ConstraintName, class: classOf(pgErr.Code)}
		if strings.HasPrefix(pgErr.Code, "22") {
			e.Message = "data exception" // the original quotes the value
		}
		// A refusal to connect is the database's state, whatever its code.
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			e.class = store.ErrUnavailable
		}
		return e
	}
	if lostConnection(err) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// classOf sorts an SQLSTATE.
func classOf(code string) error {
	switch code {
	case codeSerialization, codeDeadlock,
		"25006", // read-only: a standby after a failover
		codeLockTimeout,
		"57014", // cancelled, by statement_timeout too
		"57P01", "57P02", "57P03", "57P04", "57P05":
		return store.ErrUnavailable
	case "42P01", "42703", "3F000", "3D000": // no such table, column, schema, database
		return store.ErrSchema
	}
	switch code[:min(2, len(code))] {
	case "08", // connection
		"53", // too many connections, disk full, out of memory
		"58": // system error such as I/O
		return store.ErrUnavailable
	}
	return nil
}

// lostConnection reports whether err, which the server did not report, comes
// from the way to it. A context that ended is one: the reply is lost.
func lostConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	for _, lost := range []error{
		context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, puddle.ErrClosedPool,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	// "conn closed" and its like: nothing was written.
	return pgconn.SafeToRetry(err)
}

// hasCode reports whether the server answered with one of the SQLSTATEs.
func hasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains(codes, e.SQLState)
}
