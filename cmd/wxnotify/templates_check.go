package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/producer/template"
)

func (p *program) templatesCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check notifications as the API would, and send nothing",
		Long: "FILE has one object of the API a line (- is stdin). check finds each line's template\n" +
			"and says what WeChat or the template's page pattern would refuse: fields that are\n" +
			"missing or unknown, and values by their type. It calls nobody: it knows what\n" +
			"'wxnotify templates sync' kept and what the settings file says; without\n" +
			"DATABASE_URL the file alone.\n\n" +
			"With --json each line has an answer. The exit code is 1 when a line is bad.",
		Args: cobra.ExactArgs(1),
	}
	appName := appFlag(cmd, "appid of lines that name none (default: the default app)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withCatalog(func(cfg *config.Config, c *template.Catalog) error {
			id, err := catalogApp(cfg, *appName)
			if err != nil {
				return err
			}
			in, _, err := p.openInput(args[0])
			if err != nil {
				return err
			}
			defer in.Close() //nolint:errcheck // it was only read
			run := lineCheck{cfg: cfg, catalog: c, app: id}
			return p.checkLines(in, run, *asJSON)
		})(cmd, args)
	}
	return cmd
}

// checkedLine is the answer to one line, one object of --json.
type checkedLine struct {
	Line       int                  `json:"line"`
	OK         bool                 `json:"ok"`
	TemplateID string               `json:"template_id,omitempty"` // WeChat's, when it was found
	Data       map[string]string    `json:"data,omitempty"`        // with WeChat's keys, as it would be sent
	Warning    string               `json:"warning,omitempty"`
	Errors     template.FieldErrors `json:"errors,omitempty"`
}

func (p *program) checkLines(in io.Reader, run lineCheck, asJSON bool) error {
	var good, bad int
	lines := newJSONLines(in)
	for {
		b, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		answer := checkedLine{Line: lines.line}
		switch {
		case errors.Is(err, errLongLine):
			answer.Errors = template.FieldErrors{{Code: template.CodeTooLong, Reason: err.Error()}}
		case err != nil:
			return err
		default:
			run.check(b, &answer)
		}
		answer.OK = len(answer.Errors) == 0
		if answer.OK {
			good++
		} else {
			bad++
		}
		if err := p.printChecked(answer, bad, asJSON); err != nil {
			return err
		}
	}
	p.printf("%s: %s good, %s bad\n", count(good+bad, "line"), thousands(good), thousands(bad))
	if bad > 0 {
		return errors.New(count(bad, "bad line"))
	}
	return nil
}

// printChecked prints one answer: for people what is wrong, of the first bad
// lines.
func (p *program) printChecked(answer checkedLine, bad int, asJSON bool) error {
	var b bytes.Buffer
	switch {
	case asJSON:
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(answer); err != nil {
			return err
		}
	case bad > maxShownFaults:
		return nil
	default:
		for _, e := range answer.Errors {
			text := strings.TrimSpace(e.Field + " " + e.Reason)
			if e.Example != "" {
				text += "; for example " + e.Example
			}
			b.WriteString("line " + thousands(answer.Line) + ": " + cell(text) + "\n")
		}
	}
	return p.print(b.String())
}

// lineCheck checks single lines.
type lineCheck struct {
	cfg     *config.Config
	catalog *template.Catalog
	app     string // of lines that name none
}

// check fills in the answer to one line.
func (c lineCheck) check(b []byte, answer *checkedLine) {
	asked, faults := gateway.ParseNotification(b)
	if asked.App == "" {
		asked.App = c.app
	}
	// Offline, before there is one, entries belong to no app.
	if _, known := c.cfg.App(asked.App); !known && len(c.cfg.Apps) > 0 {
		faults = append(faults, gateway.FieldError{Field: "/app", Code: gateway.FieldNotInList, Reason: "is not among the apps that are set"})
	} else if asked.TemplateID != "" {
		n, t, more := asked.Resolve(c.catalog, 0)
		if t != nil {
			answer.TemplateID, answer.Warning = t.ID, t.Warning
		}
		for _, f := range more {
			if !slices.ContainsFunc(faults, func(g gateway.FieldError) bool { return g.Field == f.Field }) {
				faults = append(faults, f)
			}
		}
		if len(faults) == 0 {
			answer.Data = n.Data
		}
	}
	for _, f := range faults {
		answer.Errors = append(answer.Errors, template.FieldError{Field: f.Field, Code: template.Code(f.Code), Reason: f.Reason, Example: f.Example})
	}
}
