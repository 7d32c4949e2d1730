package main

// settingsKey marks the commands whose help lists the settings' flags. All
// commands take them; listing them everywhere would bury what differs.
const settingsKey = "settings"

// showsSettings are the annotations of a command whose help lists the settings.
func showsSettings() map[string]string { return map[string]string{settingsKey: "shown"} }

// usageTemplate is cobra's, but with wrapped flags, without a "[flags]" line
// for a command that only holds others, and with the settings apart.
const usageTemplate = `Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{- if .HasExample}}

Examples:
{{.Example}}{{end}}
{{- if .HasAvailableSubCommands}}{{$commands := .Commands}}{{range $group := .Groups}}

{{.Title}}{{range $commands}}{{if and (eq .GroupID $group.ID) (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{else}}

Commands:{{range $commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}
{{- if and .HasParent .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}{{end}}
{{- if index .Annotations "` + settingsKey + `"}}

Settings as flags (the others come from the environment or the file only):
{{.InheritedFlags.FlagUsagesWrapped 100 | trimTrailingWhitespaces}}{{else}}

Settings come from flags, the environment and a file (--config FILE):
see 'wxnotify config --help'.{{end}}
`
