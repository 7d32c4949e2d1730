package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/template"
)

func (p *program) templatesShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show TEMPLATE",
		Short: "Show a template's fields, and how to send it",
		Long: "TEMPLATE is an id or an alias. show prints the names that each field goes by, what\n" +
			"its value must be, and a call of the API that can be copied, with curl and in Java\n" +
			"(the classes are in deploy/java).",
		Args: cobra.ExactArgs(1),
	}
	appName := appFlag(cmd, "appid (default: the default app)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withCatalog(func(cfg *config.Config, c *template.Catalog) error {
			id, err := catalogApp(cfg, *appName)
			if err != nil {
				return err
			}
			t, err := findTemplate(c, id, args[0])
			if err != nil {
				return err
			}
			def, _ := cfg.App("")
			call := newSampleCall(t, t.App != def.AppID)
			call.door = doorOf(cfg.ListenAddr)
			if *asJSON {
				return p.printJSON(struct {
					shownTemplate
					Curl string `json:"curl"`
					Java string `json:"java"`
				}{newShownTemplate(t), call.curl(), call.java()})
			}
			return p.printTemplate(t, call)
		})(cmd, args)
	}
	return cmd
}

func (p *program) printTemplate(t *template.Template, call sampleCall) error {
	s := newShownTemplate(t)
	var head strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&head, "%-10s %s\n", name, cell(text))
		}
	}
	line("title", s.Title)
	line("alias", s.Alias)
	line("template", s.TemplateID)
	line("app", s.App)
	line("kind", string(s.Kind))
	line("state", s.State)
	if s.Paused {
		line("", "paused: 'wxnotify templates resume "+call.template+"' ends that")
	}
	line("warning", s.Warning)
	line("page", s.Page)
	policy := fmt.Sprintf("overlong %s, duplicates %s, no_consent %s, release %s, priority %s",
		s.Policy.Overlong, s.Policy.Duplicates, s.Policy.NoConsent, s.Policy.Release, s.Policy.Priority)
	if t.Policy.Wait != nil {
		policy += ", wait " + t.Policy.Wait.String()
	}
	line("policy", policy)
	line("quiet", t.Quiet.String())
	if err := p.print(head.String() + "\n"); err != nil {
		return err
	}
	rows := make([][]string, len(s.Fields))
	for i, f := range s.Fields {
		rule := f.Rule
		if rule == "" {
			rule = "anything"
		}
		rows[i] = []string{f.Key, f.Name, f.Label, rule, f.Example}
	}
	if err := p.printTable([]string{"KEY", "NAME", "LABEL", "RULE", "EXAMPLE"}, rows); err != nil {
		return err
	}
	return p.print("\ncurl, with a key of 'wxnotify keys new' in WXNOTIFY_KEY:\n\n" + call.curl() + "\n\nJava:\n\n" + call.java() + "\n")
}

// sampleCall is a notification with the examples of a template's fields.
type sampleCall struct {
	door                string // the gateway's address, as seen from its machine
	app, template, page string // app is "" for the default one
	data                [][2]string
}

// doorOf is where a gateway on this machine is found that listens on addr.
func doorOf(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "http://" + addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func newSampleCall(t *template.Template, nameApp bool) sampleCall {
	c := sampleCall{template: t.Alias, page: t.Page}
	if c.template == "" {
		c.template = t.ID
	}
	if nameApp {
		c.app = t.App
	}
	for _, f := range t.Fields {
		name, example := f.Name, f.Example
		if name == "" {
			name = f.Key
		}
		if example == "" {
			example = "…"
		}
		c.data = append(c.data, [2]string{name, example})
	}
	return c
}

// curl is the call for a shell. Single quotes end and begin again around one in
// the JSON.
func (c sampleCall) curl() string {
	var body strings.Builder
	member := func(indent, name, value string, last bool) {
		comma := ","
		if last {
			comma = ""
		}
		fmt.Fprintf(&body, "%s%s: %s%s\n", indent, jsonText(name), jsonText(value), comma)
	}
	body.WriteString("{\n")
	if c.app != "" {
		member("    ", "app", c.app, false)
	}
	member("    ", "template_id", c.template, false)
	member("    ", "user_id", "USER", false)
	if c.page != "" {
		member("    ", "page", c.page, false)
	}
	body.WriteString("    \"data\": {\n")
	for i, d := range c.data {
		member("      ", d[0], d[1], i == len(c.data)-1)
	}
	body.WriteString("    }\n  }")
	return "curl -sS " + c.door + "/v1/notifications \\\n" +
		"  -H \"Authorization: Bearer $WXNOTIFY_KEY\" -H 'Content-Type: application/json' \\\n" +
		"  -d '" + strings.ReplaceAll(body.String(), "'", `'\''`) + "'"
}

// java is the call with the classes of deploy/java, which speak for the default
// app.
func (c sampleCall) java() string {
	page := "null"
	if c.page != "" {
		page = javaText(c.page)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "msgSendUtil.msgSend(%s, %s,\n        AppletParamUtil.of(", javaText(c.template), page)
	for i, d := range c.data {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "\n                %s, %s", javaText(d[0]), javaText(d[1]))
	}
	b.WriteString("),\n        userId);")
	return b.String()
}

// jsonText is a JSON string as people write one.
func jsonText(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return strconv.Quote(s) // a string cannot fail
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// javaText is a Java string literal, whose escapes JSON shares but for the slash.
func javaText(s string) string { return jsonText(s) }
