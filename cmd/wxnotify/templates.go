package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) templatesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "Know the templates, check values, resume what is paused",
		Long: "What is known about templates is what WeChat listed at the last sync, and what the\n" +
			"settings file says: aliases, names of fields, policies.\n\n" +
			"A template is paused when WeChat says three times in a row that it does not exist\n" +
			"or is banned. Its notifications wait, until it is resumed or a sync finds it.",
		GroupID: groupUse,
	}
	onlyHolds(cmd)
	cmd.AddCommand(p.templatesSyncCommand(), p.templatesListCommand(), p.templatesShowCommand(),
		p.templatesCheckCommand(), p.templatesPausedCommand(), p.templatesResumeCommand())
	return cmd
}

// shownPause is a paused template as it is printed.
type shownPause struct {
	App        string    `json:"app"`
	TemplateID string    `json:"template_id"`
	Errcode    int       `json:"errcode"`
	Reason     string    `json:"reason"`
	Since      time.Time `json:"since"`
}

func (p *program) templatesPausedCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "paused",
		Short: "List the templates that are paused",
		Args:  cobra.NoArgs,
	}
	appName := appFlag(cmd, "only this appid (default: all)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = p.withStore(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
		found, err := s.PausedTemplates(ctx, *appName)
		if err != nil {
			return err
		}
		shown := []shownPause{}
		rows := [][]string{}
		for _, t := range found {
			s := shownPause(t)
			s.Since = s.Since.UTC().Truncate(time.Millisecond)
			shown = append(shown, s)
			rows = append(rows, []string{s.App, s.TemplateID, strconv.Itoa(s.Errcode), s.Reason, s.Since.Format(time.RFC3339)})
		}
		switch {
		case *asJSON:
			return p.printJSON(shown)
		case len(rows) == 0:
			return p.print("no template is paused\n")
		}
		return p.printTable([]string{"APP", "TEMPLATE", "ERRCODE", "REASON", "SINCE"}, rows)
	})
	return cmd
}

func (p *program) templatesResumeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume TEMPLATE",
		Short: "End a template's pause and send what waited for it",
		Long:  "TEMPLATE is an id, or an alias of the settings file.",
		Args:  cobra.ExactArgs(1),
	}
	appName := appFlag(cmd, "appid (default: the default app)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withStore(config.RoleStore, func(ctx context.Context, cfg *config.Config, s app.Store) error {
			id, err := appID(cfg, *appName)
			if err != nil {
				return err
			}
			templateID := args[0]
			for _, e := range cfg.Templates {
				if e.App == id && e.Alias == args[0] {
					templateID = e.TemplateID
				}
			}
			paused, err := s.PausedTemplates(ctx, id)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(paused, func(t store.TemplatePause) bool { return t.TemplateID == templateID }) {
				return fmt.Errorf("template %s of app %s is not paused", cell(args[0]), id)
			}
			queued, err := s.ResumeTemplate(ctx, id, templateID)
			if err != nil {
				return err
			}
			if *asJSON {
				return p.printJSON(map[string]int{"queued": queued})
			}
			return p.print("resumed; " + count(queued, "notification") + " queued\n")
		})(cmd, args)
	}
	return cmd
}
