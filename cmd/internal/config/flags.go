package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// AddFlags gives a command the flag of every setting that has one, and --config.
// The flags take any text: [Load] checks it together with everything else, so
// that one run shows every fault.
func AddFlags(flags *pflag.FlagSet) {
	flags.Var(&flagText{kind: "file"}, FileFlag, "YAML file with settings ("+FileEnv+")")
	for _, d := range Definitions() {
		if d.Flag == "" {
			continue
		}
		flags.Var(&flagText{text: d.Default, kind: d.Kind}, d.Flag, flagUsage(d))
	}
}

// GivenFlags returns the flags of AddFlags that were given, for [Sources].
func GivenFlags(flags *pflag.FlagSet) map[string]string {
	given := map[string]string{}
	flags.Visit(func(f *pflag.Flag) {
		if _, ours := f.Value.(*flagText); ours {
			given[f.Name] = f.Value.String()
		}
	})
	return given
}

// flagUsage is the setting's sentence on one line. pflag takes a text in back
// quotes for the name of the value.
func flagUsage(d Definition) string {
	usage := strings.TrimSuffix(strings.ReplaceAll(d.Doc, "`", ""), ".")
	if d.Values != "" {
		usage += ": " + d.Values
	}
	return usage + " (" + d.Env + ")"
}

// flagText is a flag that keeps its text.
type flagText struct {
	text string
	kind string
}

// String is the text.
func (f *flagText) String() string { return f.text }

// Set takes any text.
func (f *flagText) Set(text string) error {
	f.text = text
	return nil
}

// Type is the kind of value for --help.
func (f *flagText) Type() string { return f.kind }
