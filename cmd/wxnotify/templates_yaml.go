package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/wxnotify/wxnotify/producer/template"
)

// catalogYAML writes templates as the settings file has them: what entries say,
// and comments where something is to be filled in. Templates that are gone are
// left out unless an entry names them. It can be loaded as it is.
func catalogYAML(list []*template.Template, entries []template.Entry, defaultApp string) string {
	var b strings.Builder
	b.WriteString("templates:\n")
	written := 0
	for _, t := range list {
		i := slices.IndexFunc(entries, func(e template.Entry) bool { return e.App == t.App && e.TemplateID == t.ID })
		var e template.Entry
		switch {
		case i >= 0:
			e = entries[i]
		case t.State == template.StateGone:
			continue
		}
		written++
		writeEntry(&b, t, e, t.App != defaultApp)
	}
	if written == 0 {
		return "templates: []\n"
	}
	return b.String()
}

func writeEntry(b *strings.Builder, t *template.Template, e template.Entry, nameApp bool) {
	fmt.Fprintf(b, "  - template_id: %s\n", yamlText(t.ID))
	if nameApp {
		fmt.Fprintf(b, "    app: %s\n", yamlText(t.App))
	}
	if t.Alias != "" {
		fmt.Fprintf(b, "    alias: %s\n", yamlText(t.Alias))
	} else {
		b.WriteString("    # alias: a_short_name\n")
	}
	if t.Title != "" {
		fmt.Fprintf(b, "    title: %s\n", yamlText(t.Title))
	}
	switch {
	case t.Kind != template.KindUnknown && t.State == template.StateSynced:
		fmt.Fprintf(b, "    # %s\n", t.Kind)
	case t.Warning != "":
		fmt.Fprintf(b, "    # %s\n", t.Warning)
	}
	writeFields(b, t)
	if t.Page != "" {
		fmt.Fprintf(b, "    page: %s\n", yamlText(t.Page))
	} else {
		b.WriteString("    # page: pages/detail?id={id}\n")
	}
	writePolicy(b, e)
}

// writeFields gives each key the name it has, or its label. What has neither, or
// shares its label, is left for the reader to name.
func writeFields(b *strings.Builder, t *template.Template) {
	names, labels := map[string]bool{}, map[string]int{}
	for _, f := range t.Fields {
		names[f.Name] = true
		labels[f.Label]++
	}
	var lines []string
	named := false
	for _, f := range t.Fields {
		name := f.Name
		if name == "" && labels[f.Label] == 1 && !names[f.Label] && template.ValidName(f.Label) {
			name = f.Label
		}
		rest := commentText(f, name)
		if name == "" {
			lines = append(lines, fmt.Sprintf("      # a_name: %s%s\n", f.Key, rest))
			continue
		}
		named = true
		lines = append(lines, fmt.Sprintf("      %s: %s%s\n", yamlText(name), f.Key, rest))
	}
	switch {
	case len(lines) == 0:
		return
	case named:
		b.WriteString("    fields:\n")
	default:
		b.WriteString("    # fields:\n")
	}
	for _, line := range lines {
		b.WriteString(line)
	}
}

// commentText says what the reader has to know of a field.
func commentText(f template.Field, name string) string {
	var parts []string
	if f.Label != name {
		parts = append(parts, f.Label)
	}
	parts = append(parts, f.Rule)
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return ""
	}
	return " # " + strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.Join(parts, "; "))
}

// writePolicy writes what the entry says, and not the defaults.
func writePolicy(b *strings.Builder, e template.Entry) {
	for _, line := range []struct{ key, value string }{
		{"overlong", string(e.Policy.Overlong)},
		{"duplicates", string(e.Policy.Duplicates)},
		{"wait", waitText(e.Policy)},
		{"no_consent", string(e.Policy.NoConsent)},
		{"release", string(e.Policy.Release)},
		{"priority", string(e.Policy.Priority)},
	} {
		if line.value != "" {
			fmt.Fprintf(b, "    %s: %s\n", line.key, line.value)
		}
	}
	writeQuietHours(b, e.Policy.QuietHours)
	if len(e.Limits) == 0 {
		return
	}
	b.WriteString("    limits:\n")
	for _, key := range slices.Sorted(maps.Keys(e.Limits)) {
		fmt.Fprintf(b, "      %s: %d\n", key, e.Limits[key])
	}
}

func writeQuietHours(b *strings.Builder, q template.QuietHours) {
	if q.IsZero() {
		return
	}
	b.WriteString("    quiet_hours:\n")
	for _, line := range []struct{ key, value string }{
		{"from", q.From}, {"to", q.To}, {"zone", q.Zone}, {"critical", string(q.Critical)},
	} {
		if line.value != "" {
			fmt.Fprintf(b, "      %s: %s\n", line.key, jsonText(line.value))
		}
	}
}

func waitText(p template.Policy) string {
	if p.Wait == nil {
		return ""
	}
	return p.Wait.String()
}

// yamlText is a YAML scalar that is read as this very text. What has a Han
// character and nothing but letters and digits beside it needs no quotes; a JSON
// string is one of YAML's.
func yamlText(s string) string {
	plain := strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) }) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if plain {
		return s
	}
	return jsonText(s)
}
