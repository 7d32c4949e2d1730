package main

import (
	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings in force and where each came from",
		Long: "config checks all settings and shows the ones in force. Secrets are shown as ***.\n" +
			"A flag wins over the environment, the environment over the file, the file over\n" +
			"the default. Each secret X can also be named by a file, X_FILE.",
		GroupID:     groupOperate,
		Args:        cobra.NoArgs,
		Annotations: showsSettings(),
	}
	asJSON := jsonFlag(cmd)
	markdown := cmd.Flags().Bool("markdown", false, "describe all settings as Markdown, whatever they are set to")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *markdown {
			return p.print(config.Markdown())
		}
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(cfg.Effective())
		}
		rows := make([][]string, 0, len(cfg.Effective()))
		for _, s := range cfg.Effective() {
			rows = append(rows, []string{s.Name, s.Value, s.Origin})
		}
		return p.printTable([]string{"SETTING", "VALUE", "FROM"}, rows)
	}
	return cmd
}
