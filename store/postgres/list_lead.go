package postgres

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// leading is the condition of a filter whose index a listing goes through.
type leading struct {
	column string // "" when the order of creation serves best
	value  any
	// rows are those that the index holds, word for word, or "".
	rows string
}

// leadOf chooses the condition by which a listing goes, the one that leaves the
// fewest rows first, and returns the filter without it and without the times,
// which apply says too.
func leadOf(f store.Filter) (leading, store.Filter) {
	var (
		l    leading
		rest = f
	)
	switch {
	case f.Ref != "":
		l, rest.Ref = leading{"ref", f.Ref, "n.ref <> ''"}, ""
	case f.UserID != "":
		l, rest.UserID = leading{"user_id", f.UserID, "n.user_id <> ''"}, ""
	case f.OpenID != "":
		l, rest.OpenID = leading{"open_id", f.OpenID, "n.open_id <> ''"}, ""
	case f.Errcode != 0:
		l, rest.Errcode = leading{"errcode", f.Errcode, "n.errcode <> 0"}, 0
	case f.Reason != "":
		l, rest.Reason = leading{"reason", string(f.Reason), "n.reason <> ''"}, ""
	case f.Class == store.ClassFault: // the indexes of the dead letters
	case f.Class == store.ClassRefused && (len(f.States) == 0 || slices.Equal(f.States, []store.State{store.Dead})):
		// Only the dead have a class.
		l, rest.States = leading{"state", string(store.Dead), "n.state <> 'sent'"}, nil
	case len(f.States) == 1 && f.States[0] != store.Sent:
		l, rest.States = leading{"state", string(f.States[0]), "n.state <> 'sent'"}, nil
	case f.TemplateID != "":
		l, rest.TemplateID = leading{"template_id", f.TemplateID, ""}, ""
	case f.App != "":
		l, rest.App = leading{"app", f.App, ""}, ""
	}
	if l.column != "" {
		rest.Since, rest.Until, rest.Before = time.Time{}, time.Time{}, store.Cursor{}
	}
	return l, rest
}

// order is what the listing is sorted by.
func (l leading) order() string {
	const newest = "n.created_at DESC, n.id DESC"
	if l.column == "" {
		return newest
	}
	return "n." + l.column + " DESC, " + newest
}

// apply puts the column in front of the conditions on the time of creation. It
// is said to lie between the value and the value, not to equal it: then only its
// own index has the rows in order. Told that they are equal, the planner counts
// on finding the rows evenly spread over all, and reads millions when they are
// not.
func (l leading) apply(f store.Filter, where string, args []any) (string, []any) {
	if l.column == "" {
		return where, args
	}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	column, value := "n."+l.column, arg(l.value)
	where += " AND " + column + " >= " + value + " AND " + column + " <= " + value
	if l.rows != "" {
		where += " AND " + l.rows
	}
	if !f.Since.IsZero() {
		where += " AND (" + column + ", n.created_at) >= (" + value + ", " + arg(f.Since) + ")"
	}
	if !f.Until.IsZero() {
		where += " AND (" + column + ", n.created_at) < (" + value + ", " + arg(f.Until) + ")"
	}
	if before := f.Before; !before.CreatedAt.IsZero() || before.ID != uuid.Nil {
		where += " AND (" + column + ", n.created_at, n.id) < (" + value + ", " + arg(before.CreatedAt) + ", " + arg([16]byte(before.ID)) + ")"
	}
	return where, args
}
