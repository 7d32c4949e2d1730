package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

// withCatalog is the RunE of a command that reads the catalog: what the last
// syncs found, if there is a database, and the settings file's entries.
func (p *program) withCatalog(work func(*config.Config, *template.Catalog) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		if cfg.Database.IsZero() {
			return work(cfg, template.NewCatalog(template.Contents{Entries: cfg.Templates, Strict: cfg.StrictTemplates}))
		}
		return p.withStore(config.RoleDatabase, func(ctx context.Context, cfg *config.Config, s app.Store) error {
			c, err := storedCatalog(ctx, cfg, s)
			if err != nil {
				return err
			}
			return work(cfg, c)
		})(cmd, args)
	}
}

// storedCatalog is the catalog with what the last syncs found.
func storedCatalog(ctx context.Context, cfg *config.Config, s app.Store) (*template.Catalog, error) {
	source, err := template.NewSource(template.SourceConfig{Store: s, Entries: cfg.Templates, Strict: cfg.StrictTemplates})
	if err != nil {
		return nil, err
	}
	return source.Catalog(ctx)
}

// catalogApp is the appid that --app names. Without any app that is set, entries
// of the settings file belong to none.
func catalogApp(cfg *config.Config, name string) (string, error) {
	if name == "" && len(cfg.Apps) == 0 {
		return "", nil
	}
	return appID(cfg, name)
}

// shownTemplate is a template as it is printed.
type shownTemplate struct {
	App        string        `json:"app"`
	TemplateID string        `json:"template_id"`
	Alias      string        `json:"alias,omitempty"`
	Title      string        `json:"title"`
	Kind       template.Kind `json:"kind,omitempty"` // one_time, long_term; empty: not known
	State      string        `json:"state"`          // synced, gone, listed
	Paused     bool          `json:"paused"`
	Warning    string        `json:"warning,omitempty"`
	Page       string        `json:"page,omitempty"`
	Fields     []shownField  `json:"fields"`
	Policy     shownPolicy   `json:"policy"`
}

type shownField struct {
	Key     string   `json:"key"`
	Name    string   `json:"name,omitempty"`
	Label   string   `json:"label,omitempty"`
	Type    string   `json:"type"`
	Rule    string   `json:"rule,omitempty"` // empty: anything passes
	Values  []string `json:"values,omitempty"`
	Example string   `json:"example,omitempty"`
}

type shownPolicy struct {
	Overlong   template.Overlong  `json:"overlong"`
	Duplicates store.Duplicates   `json:"duplicates"`
	Wait       *int64             `json:"wait,omitempty"` // seconds; absent: the producer's
	NoConsent  template.NoConsent `json:"no_consent"`
	Release    template.Release   `json:"release"`
	Priority   store.Priority     `json:"priority"`
	QuietHours *shownQuietHours   `json:"quiet_hours,omitempty"`
}

type shownQuietHours struct {
	From     string                 `json:"from"`
	To       string                 `json:"to"`
	Zone     string                 `json:"zone"`
	Critical template.QuietCritical `json:"critical"` // wait, send
}

func newShownTemplate(t *template.Template) shownTemplate {
	s := shownTemplate{
		App: t.App, TemplateID: t.ID, Alias: t.Alias, Title: t.Title, Kind: t.Kind, State: string(t.State),
		Paused: t.Paused, Warning: t.Warning, Page: t.Page, Fields: []shownField{},
		Policy: shownPolicy{
			Overlong: t.Policy.Overlong, Duplicates: t.Policy.Duplicates, NoConsent: t.Policy.NoConsent,
			Release: t.Policy.Release, Priority: t.Policy.Priority,
		},
	}
	if t.Policy.Wait != nil {
		seconds := int64(*t.Policy.Wait / time.Second)
		s.Policy.Wait = &seconds
	}
	if q := t.Policy.QuietHours; !q.IsZero() {
		s.Policy.QuietHours = &shownQuietHours{From: q.From, To: q.To, Zone: q.Zone, Critical: q.Critical}
	}
	for _, f := range t.Fields {
		s.Fields = append(s.Fields, shownField{
			Key: f.Key, Name: f.Name, Label: f.Label, Type: f.Type, Rule: f.Rule, Values: f.Values, Example: f.Example,
		})
	}
	return s
}

func (p *program) templatesListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the templates that are known",
		Long: "list shows what WeChat listed at the last sync and what the settings file names.\n" +
			"Without DATABASE_URL it shows the settings file's.",
		Args: cobra.NoArgs,
	}
	appName := appFlag(cmd, "only this appid (default: all)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = p.withCatalog(func(cfg *config.Config, c *template.Catalog) error {
		shown := []shownTemplate{}
		for _, t := range c.Templates(*appName) {
			shown = append(shown, newShownTemplate(t))
		}
		if *asJSON {
			return p.printJSON(shown)
		}
		p.tellSyncs(cfg, c, *appName)
		if len(shown) == 0 {
			return p.print("no template is known\n")
		}
		rows := make([][]string, len(shown))
		for i, s := range shown {
			state := s.State
			if s.Paused {
				state += ", paused"
			}
			rows[i] = []string{s.App, s.Alias, s.TemplateID, string(s.Kind), state, strconv.Itoa(len(s.Fields)), s.Title}
		}
		return p.printTable([]string{"APP", "ALIAS", "TEMPLATE", "KIND", "STATE", "FIELDS", "TITLE"}, rows)
	})
	return cmd
}

// tellSyncs says on stderr how old the list is, and what does not agree.
func (p *program) tellSyncs(cfg *config.Config, c *template.Catalog, only string) {
	if cfg.Database.IsZero() {
		p.printf("DATABASE_URL is not set: these are the settings file's\n")
		return
	}
	for _, a := range cfg.Apps {
		if only != "" && only != a.AppID {
			continue
		}
		when := "never; run 'wxnotify templates sync'"
		if at := c.SyncedAt(a.AppID); !at.IsZero() {
			when = at.UTC().Format(time.RFC3339)
		}
		p.printf("app %s: synced %s\n", a.AppID, when)
	}
	for _, w := range c.Warnings() {
		p.printf("%s\n", cell(w))
	}
}

// findTemplate resolves an id or alias of the command line. One that is gone is
// found, too: the command only shows it.
func findTemplate(c *template.Catalog, appID, name string) (*template.Template, error) {
	for _, t := range c.Templates("") {
		if t.App == appID && (t.Alias == name || t.ID == name) {
			return t, nil
		}
	}
	return nil, fmt.Errorf("template %s is not known; 'wxnotify templates list' shows those that are", cell(name))
}
