package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

// The groups of commands in the help.
const (
	groupRun     = "run"
	groupUse     = "use"
	groupOperate = "operate"
)

// errNothingAsked ends a command that only holds others when none was named.
var errNothingAsked = errors.New("nothing asked")

// root is the command line. A new subcommand is a file of its own and a line
// here.
func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "wxnotify",
		Short: "Send WeChat Mini Program subscribe messages",
		Long: "wxnotify takes notifications from a company's back ends, sends them as subscribe\n" +
			"messages of a WeChat Mini Program and proves what happened to every one.",
		Example: "  wxnotify dev               try it: one process, nothing to install, no account\n" +
			"  wxnotify config            the settings in force and where each came from",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "Run:"},
		&cobra.Group{ID: groupUse, Title: "Use:"},
		&cobra.Group{ID: groupOperate, Title: "Operate:"},
	)
	root.SetHelpCommandGroupID(groupOperate)
	config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().SortFlags = false
	root.SetUsageTemplate(usageTemplate)
	root.AddCommand(
		p.devCommand(),
		p.gatewayCommand(),
		p.workerCommand(),
		p.simulatorCommand(),
		p.usersCommand(),
		p.sendCommand(),
		p.deadCommand(),
		p.templatesCommand(),
		p.keysCommand(),
		p.adminCommand(),
		p.configCommand(),
		p.migrateCommand(),
		p.doctorCommand(),
		p.benchCommand(),
		p.healthCommand(),
		p.versionCommand(),
	)
	onlyHolds(root)
	return root
}

// onlyHolds makes a command without work of its own an error when it is called
// without, or with an unknown, subcommand; cobra would print its help and
// succeed.
func onlyHolds(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errNothingAsked
		}
		return usageError{unknownCommand(cmd, args[0])}
	}
}

// unknownCommand names the commands that were perhaps meant.
func unknownCommand(cmd *cobra.Command, name string) error {
	err := fmt.Errorf("unknown command %q", name)
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}
