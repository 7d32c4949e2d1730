package config

import (
	"fmt"
	"strings"
)

// Markdown is the table of all settings and of the apps' keys, as it stands in
// the README.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| setting | default | values | what it does |\n|---|---|---|---|\n")
	for _, d := range Definitions() {
		name := "`" + d.Env + "`"
		if d.Secret {
			name += ", `" + d.FileTwin() + "`"
		}
		row(&b, name, d.Default, d.Values, d.Doc)
	}
	b.WriteString("\n| key of an app in the file | default | values | what it does |\n|---|---|---|---|\n")
	for _, d := range AppDefinitions() {
		name := "`" + d.Key + "`"
		if d.Secret {
			name += ", `" + d.Key + "_file`"
		}
		row(&b, name, d.Default, d.Values, d.Doc)
	}
	return b.String()
}

func row(b *strings.Builder, name, def, values, doc string) {
	if def != "" {
		def = "`" + def + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, def, values, doc)
}
