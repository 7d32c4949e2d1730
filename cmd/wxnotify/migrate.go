package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

func (p *program) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create or update the database's schema",
		Long: "migrate works on DATABASE_URL. Several processes may run it at once: one works,\n" +
			"the others wait.",
		GroupID: groupOperate,
	}
	onlyHolds(cmd)
	cmd.AddCommand(p.migrateUpCommand(), p.migrateDownCommand(), p.migrateStatusCommand())
	return cmd
}

func (p *program) migrateUpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Bring the schema to this program's version",
		Args:  cobra.NoArgs,
		RunE: p.withDatabase(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
			if err := s.Migrate(ctx, func(step string) { p.printf("%s\n", step) }); err != nil {
				return err
			}
			v, err := schemaVersion(ctx, s)
			if err != nil {
				return err
			}
			return p.print(v.standing() + "\n")
		}),
	}
}

func (p *program) migrateDownCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take the schema one version back; what the version kept is lost",
		Args:  cobra.NoArgs,
	}
	yes := cmd.Flags().Bool("yes", false, "do it; without it, only say what would be done")
	cmd.RunE = p.withDatabase(config.RoleDatabase, func(ctx context.Context, cfg *config.Config, s app.Store) error {
		before, err := schemaVersion(ctx, s)
		if err != nil {
			return err
		}
		switch {
		case before.Have == 0:
			return p.print("no schema: nothing to take back\n")
		case !*yes:
			return usagef("this drops what schema version %d of %s keeps, for good: say so with --yes", before.Have, cfg.Database)
		}
		if err := s.MigrateDown(ctx); err != nil {
			return err
		}
		after, err := schemaVersion(ctx, s)
		if err != nil {
			return err
		}
		return p.print(after.standing() + "\n")
	})
	return cmd
}

func (p *program) migrateStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Compare the schema with this program; exit code 1 when they differ",
		Args:  cobra.NoArgs,
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = p.withDatabase(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
		v, err := schemaVersion(ctx, s)
		if err != nil {
			return err
		}
		if *asJSON {
			err = p.printJSON(v)
		} else {
			err = p.print(v.standing() + "\n")
		}
		if err == nil && v.Have != v.Want {
			err = errors.New(v.remedy())
		}
		return err
	})
	return cmd
}

// schema compares the database with the program.
type schema struct {
	Have int64 `json:"have"` // 0: no schema
	Want int64 `json:"want"`
}

func schemaVersion(ctx context.Context, s app.Store) (schema, error) {
	have, want, err := s.Version(ctx)
	if err != nil {
		return schema{}, err
	}
	return schema{Have: have, Want: want}, nil
}

// standing says how the two compare.
func (v schema) standing() string {
	switch {
	case v.Have == v.Want:
		return fmt.Sprintf("schema version %d: up to date", v.Have)
	case v.Have > v.Want:
		return fmt.Sprintf("schema version %d, this program knows %d", v.Have, v.Want)
	}
	return fmt.Sprintf("schema version %d of %d", v.Have, v.Want)
}

// remedy says what to do when the two differ.
func (v schema) remedy() string {
	if v.Have > v.Want {
		return "run a newer wxnotify"
	}
	return "run 'wxnotify migrate up'"
}

// withDatabase is the RunE of a command that works on the store: settings,
// store, work, close.
func (p *program) withDatabase(role config.Role, work func(context.Context, *config.Config, app.Store) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		cfg, err := p.configFor(cmd, role)
		if err != nil {
			return err
		}
		logger := p.logger(cfg)
		defer logger.Sync()
		s, err := app.OpenStore(cmd.Context(), cfg, logger)
		if err != nil {
			return err
		}
		defer s.Close()
		return work(cmd.Context(), cfg, s)
	}
}

// withStore is withDatabase for a command that reads and writes rows: the
// schema must be this program's.
func (p *program) withStore(role config.Role, work func(context.Context, *config.Config, app.Store) error) func(*cobra.Command, []string) error {
	return p.withDatabase(role, func(ctx context.Context, cfg *config.Config, s app.Store) error {
		v, err := schemaVersion(ctx, s)
		if err != nil {
			return err
		}
		if v.Have != v.Want {
			return errors.New(v.standing() + ": " + v.remedy())
		}
		return work(ctx, cfg, s)
	})
}
