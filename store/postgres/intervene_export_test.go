package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/wxnotify/wxnotify/store"
)

// ListSQL is the statement of List.
func ListSQL(f store.Filter) (string, []any) { return listSQL(f) }

// CountSQL is the statement of Count.
func CountSQL(f store.Filter, by store.Group) (string, []any) { return countSQL(f, by) }

// PlanByIndex makes a connection plan as those of a store do.
func PlanByIndex(ctx context.Context, conn *pgx.Conn) error { return planByIndex(ctx, conn) }
