package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// doctorLiveFlags are those of doctor --live.
type doctorLiveFlags struct {
	live           bool
	app, code      string
	openID         string
	template, page string
	yes            bool
}

func (f *doctorLiveFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.live, "live", false, "check with the app's own credentials what is assumed about WeChat")
	flags.StringVar(&f.app, "app", "", "with --live: only this app (default: all)")
	flags.StringVar(&f.code, "code", "", "with --live: a fresh code of wx.login, which is used up")
	flags.StringVar(&f.openID, "openid", "", "with --live: somebody who agreed to one message, which is sent")
	flags.StringVar(&f.template, "template", "", "with --openid: the id of the template that was agreed to")
	flags.StringVar(&f.page, "page", "", "with --openid: the page that a tap on the message opens")
	flags.BoolVar(&f.yes, "yes", false, "do not ask before the message is sent")
}

// check tells flags that make no sense.
func (f *doctorLiveFlags) check() error {
	switch {
	case !f.live && (f.app != "" || f.code != "" || f.openID != "" || f.template != "" || f.page != "" || f.yes):
		return usagef("--app, --code, --openid, --template, --page and --yes go with --live")
	case (f.openID == "") != (f.template == ""):
		return usagef("--openid and --template go together")
	case f.page != "" && f.openID == "":
		return usagef("--page goes with --openid and --template")
	}
	return nil
}

// apps are those to ask for: all that have a secret, or one.
func (f *doctorLiveFlags) apps(cfg *config.Config) ([]config.App, error) {
	if f.app == "" && f.openID == "" && f.code == "" {
		return cfg.Apps, nil
	}
	// A code or an openid is of one app: the default one, unless another is named.
	id, err := appID(cfg, f.app)
	if err != nil {
		return nil, err
	}
	a, _ := cfg.App(id)
	if f.openID != "" && len(a.OnlyTo) > 0 && !slices.Contains(a.OnlyTo, f.openID) {
		return nil, fmt.Errorf("not sent: the only_to list of app %s leaves this openid out", id)
	}
	return []config.App{a}, nil
}

func (f *doctorLiveFlags) probe(a config.App) app.LiveProbe {
	with := app.LiveProbe{Code: f.code}
	if f.openID != "" {
		with.Message = wechat.Message{
			ToUser: f.openID, TemplateID: f.template, Page: f.page,
			MiniprogramState: string(a.MiniprogramState), Lang: string(a.Lang),
		}
	}
	return with
}

// doctorLive checks what is assumed about WeChat, app by app.
func (p *program) doctorLive(cmd *cobra.Command, f *doctorLiveFlags, asJSON bool) error {
	cfg, err := p.configFor(cmd, config.RoleLive)
	if err != nil {
		return err
	}
	apps, err := f.apps(cfg)
	if err != nil {
		return err
	}
	if f.openID != "" && !f.yes {
		question := fmt.Sprintf("Send at most one message of template %s to %s, app %s, through %s, and calls before it that WeChat has to refuse?",
			cell(f.template), maskID(f.openID), apps[0].AppID, cfg.APIBaseURL)
		if err := p.askYes(cmd.Context(), question); err != nil {
			return err
		}
	}
	progress := p.newProgress()
	progress.show(func() string { return "asking WeChat" })
	var found []app.LiveFinding
	for _, a := range apps {
		// Nothing is logged: what goes wrong is a finding.
		of, err := app.ExamineLive(cmd.Context(), cfg, a, f.probe(a), zap.NewNop())
		if err != nil {
			progress.clear()
			return err
		}
		found = append(found, of...)
	}
	progress.clear()
	if cmd.Context().Err() != nil {
		return context.Cause(cmd.Context())
	}
	return p.printLiveDiagnosis(newLiveDiagnosis(found), len(apps) > 1, asJSON)
}

// liveDiagnosis is what doctor --live prints.
type liveDiagnosis struct {
	OK          bool              `json:"ok"` // nothing that is needed did not hold
	Held        int               `json:"held"`
	Broken      int               `json:"did_not_hold"`
	Unchecked   int               `json:"not_checked"`
	Assumptions []app.LiveFinding `json:"assumptions"`
}

func newLiveDiagnosis(found []app.LiveFinding) liveDiagnosis {
	d := liveDiagnosis{OK: true, Assumptions: found}
	for _, f := range found {
		switch f.Verdict {
		case wechat.VerdictHeld:
			d.Held++
		case wechat.VerdictBroken:
			d.Broken++
		case wechat.VerdictUnchecked:
			d.Unchecked++
		}
		d.OK = d.OK && !f.Fatal()
	}
	return d
}

func (p *program) printLiveDiagnosis(d liveDiagnosis, severalApps, asJSON bool) error {
	var err error
	if asJSON {
		err = p.printJSON(d)
	} else {
		err = p.printAssumptions(d, severalApps)
	}
	if err == nil && !d.OK {
		err = errors.New("what wxnotify depends on did not hold")
	}
	return err
}

func (p *program) printAssumptions(d liveDiagnosis, severalApps bool) error {
	header := []string{"RESULT", "NEEDED", "ASSUMED", "OBSERVED"}
	if severalApps {
		header = append([]string{"APP"}, header...)
	}
	rows := make([][]string, len(d.Assumptions))
	var advice strings.Builder
	for i, f := range d.Assumptions {
		needed := ""
		if f.Needed {
			needed = "needed"
		}
		row := []string{string(f.Verdict), needed, f.Says, f.Observed}
		if severalApps {
			row = append([]string{f.App}, row...)
		}
		rows[i] = row
		if f.Do != "" {
			fmt.Fprintf(&advice, "%s (%s): %s\n", f.Says, f.App, cell(f.Do))
		}
	}
	if err := p.printTable(header, rows); err != nil {
		return err
	}
	text := fmt.Sprintf("\n%d held, %d did not hold, %d not checked\n", d.Held, d.Broken, d.Unchecked)
	if advice.Len() > 0 {
		text += "\nWhat it means and what to do\n" + advice.String()
	}
	return p.print(text)
}
