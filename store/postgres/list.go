package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// List returns notifications, the newest first.
func (s *Store) List(ctx context.Context, f store.Filter) ([]store.Notification, error) {
	query, args := listSQL(f)
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, wrap("list notifications", err)
	}
	list, err := pgx.CollectRows(rows, scanNotification)
	return list, wrap("list notifications", err)
}

func listSQL(f store.Filter) (string, []any) {
	lead, rest := leadOf(f)
	where, args := conditions(rest)
	where, args = lead.apply(f, where, args)
	args = append(args, f.PageSize())
	return `
		SELECT ` + notificationColumns + `
		FROM notifications n
		WHERE ` + where + `
		ORDER BY ` + lead.order() + `
		LIMIT ` + fmt.Sprintf("$%d", len(args)), args
}

// conditions are the filter as SQL. Only fields that filter appear, so that the
// planner sees which index serves.
func conditions(f store.Filter) (string, []any) {
	var (
		where = []string{"true"}
		args  []any
	)
	add := func(condition string, values ...any) {
		numbers := make([]any, len(values))
		for i, v := range values {
			args = append(args, v)
			numbers[i] = len(args)
		}
		where = append(where, fmt.Sprintf(condition, numbers...))
	}
	for _, equal := range []struct{ column, value string }{
		{"app", f.App},
		{"producer", f.Producer},
		{"ref", f.Ref},
		{"user_id", f.UserID},
		{"open_id", f.OpenID},
		{"template_id", f.TemplateID},
		{"reason", string(f.Reason)},
	} {
		if equal.value != "" {
			add("n."+equal.column+" = $%d", equal.value)
		}
	}
	// What the conditions of partial indexes say must be there word for word.
	for column, value := range map[string]string{"ref": f.Ref, "user_id": f.UserID, "open_id": f.OpenID} {
		if value != "" {
			where = append(where, "n."+column+" <> ''")
		}
	}
	// As literals, so that the partial index of the dead letters can be used.
	switch f.Class {
	case store.ClassNone:
	case store.ClassFault, store.ClassRefused:
		where = append(where, "n.class = '"+string(f.Class)+"'")
	default:
		where = append(where, "false")
	}
	switch f.Discarded {
	case store.DiscardedOrNot:
	case store.NotDiscarded:
		where = append(where, "n.discarded_at IS NULL")
	case store.OnlyDiscarded:
		where = append(where, "n.discarded_at IS NOT NULL")
	}
	states := f.States
	if f.Class != store.ClassNone && slices.Equal(states, []store.State{store.Dead}) {
		// A CHECK says that only the dead have a class, and all of them. Said twice,
		// the planner takes the two for independent of each other.
		states = nil
	}
	switch len(states) {
	case 0:
	case 1:
		where = append(where, "n.state = "+quoteState(states[0]))
	default:
		texts := make([]string, len(states))
		for i, s := range states {
			texts[i] = string(s)
		}
		add("n.state = ANY($%d)", texts)
	}
	if f.Errcode != 0 {
		add("n.errcode = $%d", f.Errcode)
	}
	if !f.Since.IsZero() {
		add("n.created_at >= $%d", f.Since)
	}
	if !f.Until.IsZero() {
		add("n.created_at < $%d", f.Until)
	}
	if !f.Before.CreatedAt.IsZero() || f.Before.ID != uuid.Nil {
		add("(n.created_at, n.id) < ($%d, $%d)", f.Before.CreatedAt, [16]byte(f.Before.ID))
	}
	return strings.Join(where, " AND "), args
}

// quoteState is a state as a literal, so that the partial index on the dead can
// be used; what is not a state matches nothing.
func quoteState(state store.State) string {
	for _, s := range store.States {
		if s == state {
			return "'" + string(s) + "'"
		}
	}
	return "''"
}

// CountByState counts the notifications of an app, or of all apps for "", in
// each state; every state is in the answer.
func (s *Store) CountByState(ctx context.Context, app string) (map[store.State]int, error) {
	rows, err := s.pool.Query(ctx, `SELECT state, count(*) FROM notifications WHERE $1 IN ('', app) GROUP BY state`, app)
	if err != nil {
		return nil, wrap("count notifications", err)
	}
	counts := make(map[store.State]int, len(store.States))
	for _, s := range store.States {
		counts[s] = 0
	}
	var (
		state string
		count int
	)
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		counts[store.State(state)] = count
		return nil
	})
	return counts, wrap("count notifications", err)
}
