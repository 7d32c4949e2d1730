package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) templatesSyncCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Ask WeChat for the templates and keep them",
		Long: "sync asks now; a gateway asks by itself every six hours. WeChat allows few such\n" +
			"calls a day. What it does not list any more is marked gone and not deleted; the\n" +
			"pauses of templates that it lists are over.\n\n" +
			"With --print-yaml it prints a catalog for the settings file, to be edited: aliases,\n" +
			"names of fields, policies. What the file says already is in it.",
		Args: cobra.NoArgs,
	}
	appName := appFlag(cmd, "only this appid (default: all that are set)")
	asJSON := jsonFlag(cmd)
	asYAML := cmd.Flags().Bool("print-yaml", false, "print a catalog for the settings file")
	cmd.MarkFlagsMutuallyExclusive("json", "print-yaml")
	cmd.RunE = p.withStore(config.RoleSync, func(ctx context.Context, cfg *config.Config, s app.Store) error {
		apps := cfg.Apps
		if *appName != "" {
			id, err := appID(cfg, *appName)
			if err != nil {
				return err
			}
			one, _ := cfg.App(id)
			apps = []config.App{one}
		}
		return p.syncTemplates(ctx, cfg, s, apps, *asJSON, *asYAML)
	})
	return cmd
}

// shownSync is a sync as it is printed.
type shownSync struct {
	App      string   `json:"app"`
	Total    int      `json:"total"`
	Added    []string `json:"added"`
	Changed  []string `json:"changed"`
	Gone     []string `json:"gone"`
	Resumed  []string `json:"resumed"`
	Released int      `json:"released"` // notifications that are queued again
	Error    string   `json:"error,omitempty"`
}

func (p *program) syncTemplates(ctx context.Context, cfg *config.Config, s app.Store, apps []config.App, asJSON, asYAML bool) error {
	logger := p.logger(cfg)
	defer logger.Sync()
	shown := []shownSync{}
	failed := 0
	err := app.SyncTemplates(ctx, cfg, apps, s, logger, func(appID string, synced store.TemplatesSynced, err error) error {
		one := shownSync{
			App: appID, Total: synced.Total, Added: listed(synced.Added), Changed: listed(synced.Changed),
			Gone: listed(synced.Gone), Resumed: listed(synced.Resumed), Released: synced.Released,
		}
		if err != nil {
			failed++
			one.Error = err.Error()
		}
		shown = append(shown, one)
		switch {
		case asJSON: // at the end, in one list
			return nil
		case asYAML || one.Error != "":
			p.printf("%s", one.text())
			return nil
		}
		return p.print(one.text())
	})
	switch {
	case err != nil:
	case asJSON:
		err = p.printJSON(shown)
	case asYAML:
		err = p.printCatalog(ctx, cfg, s, apps)
	}
	if err == nil && failed > 0 {
		err = errors.New("the templates of " + count(failed, "app") + " could not be synced; the last list stays")
	}
	return err
}

// listed is a list that JSON shows as one when it is empty.
func listed(ids []string) []string {
	if ids == nil {
		return []string{}
	}
	return ids
}

// text is the sync for people.
func (s shownSync) text() string {
	if s.Error != "" {
		return fmt.Sprintf("app %s: %s\n", s.App, s.Error)
	}
	text := fmt.Sprintf("app %s: %s, %d new, %d changed, %d gone", s.App, count(s.Total, "template"), len(s.Added), len(s.Changed), len(s.Gone))
	if len(s.Resumed) > 0 {
		text += fmt.Sprintf("; resumed %s, %s queued", count(len(s.Resumed), "template"), count(s.Released, "notification"))
	}
	return text + "\n"
}

// printCatalog prints the templates of some apps for the settings file.
func (p *program) printCatalog(ctx context.Context, cfg *config.Config, s app.Store, apps []config.App) error {
	source, err := template.NewSource(template.SourceConfig{Store: s, Entries: cfg.Templates, Strict: cfg.StrictTemplates})
	if err != nil {
		return err
	}
	c, err := source.Catalog(ctx)
	if err != nil {
		return err
	}
	var list []*template.Template
	for _, a := range apps {
		list = append(list, c.Templates(a.AppID)...)
	}
	def, _ := cfg.App("")
	return p.print(catalogYAML(list, cfg.Templates, def.AppID))
}
