package config

import (
	"fmt"
	"strings"
)

// Markdown is the tables of all settings and of the keys of apps, producers,
// templates and users of the console, as they stand in the README.
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
	items(&b, "key of an app in the file", AppDefinitions())
	items(&b, "key of a producer in the file", ProducerDefinitions())
	items(&b, "key of a template in the file", TemplateDefinitions())
	items(&b, "key of a user of the console in the file", AdminUserDefinitions())
	return b.String()
}

func items(b *strings.Builder, title string, defs []ItemDefinition) {
	fmt.Fprintf(b, "\n| %s | default | values | what it does |\n|---|---|---|---|\n", title)
	for _, d := range defs {
		name := "`" + d.Key + "`"
		if d.Secret {
			name += ", `" + d.Key + "_file`"
		}
		row(b, name, d.Default, d.Values, d.Doc)
	}
}

func row(b *strings.Builder, name, def, values, doc string) {
	if def != "" {
		def = "`" + def + "`"
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, def, values, doc)
}
