package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
)

func (p *program) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check settings, Redis, database, WeChat and tokens, and say what to do",
		Long: "doctor asks everything that a worker or a gateway stands on and says what to do about what it\n" +
			"finds. It sends no message, writes nothing and rotates no token. The exit code is 0\n" +
			"when nothing failed; warnings are allowed.\n\n" +
			"doctor --live needs no Redis and no database: it checks with the app's own credentials what\n" +
			"is assumed about WeChat and documented nowhere, in some ten calls that end no token and send\n" +
			"nothing. What takes a phone needs --code, or --openid and --template of somebody who agreed\n" +
			"to one message: WeChat is given what it has to refuse, and then one message, after a question.\n" +
			"The exit code is 0 when nothing that wxnotify depends on failed to hold.",
		GroupID: groupOperate,
		Args:    cobra.NoArgs,
	}
	asJSON := jsonFlag(cmd)
	callbackURL := cmd.Flags().String("callback-url", "", "also ask the gateway at this address, such as https://notify.example.com, as WeChat's console does")
	var live doctorLiveFlags
	live.register(cmd)
	cmd.MarkFlagsMutuallyExclusive("live", "callback-url")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := live.check(); err != nil {
			return err
		}
		if *callbackURL != "" && !strings.HasPrefix(*callbackURL, "https://") && !strings.HasPrefix(*callbackURL, "http://") {
			return usagef("--callback-url has to be https://HOST or http://HOST")
		}
		if live.live {
			return p.doctorLive(cmd, &live, *asJSON)
		}
		cfg, err := p.config(cmd)
		if isUsage(err) {
			return err
		}
		if err != nil {
			return p.printDiagnosis(newDiagnosis([]app.Finding{{Check: "settings", Result: app.CheckSettings(nil, err)}}), *asJSON)
		}
		progress := p.newProgress()
		progress.show(func() string { return "asking Redis, the database and WeChat" })
		// Nothing is logged: what goes wrong is a finding.
		doctor := app.NewDoctor(cfg, zap.NewNop())
		defer doctor.Close() //nolint:errcheck // everything was answered, or was not
		if *callbackURL != "" {
			doctor.AskCallbacks(cfg, *callbackURL)
		}
		found := doctor.Examine(cmd.Context())
		progress.clear()
		if err := cmd.Context().Err(); err != nil {
			return context.Cause(cmd.Context())
		}
		return p.printDiagnosis(newDiagnosis(found), *asJSON)
	}
	return cmd
}

// diagnosis is what doctor prints.
type diagnosis struct {
	OK       bool          `json:"ok"`
	Failed   int           `json:"failed"`
	Warnings int           `json:"warnings"`
	Checks   []app.Finding `json:"checks"`
}

func newDiagnosis(found []app.Finding) diagnosis {
	d := diagnosis{Checks: found}
	for _, f := range found {
		switch f.Status {
		case app.StatusFail:
			d.Failed++
		case app.StatusWarn:
			d.Warnings++
		case app.StatusOK, app.StatusSkipped:
		}
	}
	d.OK = d.Failed == 0
	return d
}

// printDiagnosis prints what was found, then what to do about it: the advice is
// too long for a column.
func (p *program) printDiagnosis(d diagnosis, asJSON bool) error {
	var err error
	if asJSON {
		err = p.printJSON(d)
	} else if err = p.printFindings(d.Checks); err == nil {
		err = p.print(d.advice())
	}
	if err == nil && !d.OK {
		err = fmt.Errorf("%s failed", count(d.Failed, "check"))
	}
	return err
}

func (p *program) printFindings(found []app.Finding) error {
	rows := make([][]string, len(found))
	for i, f := range found {
		rows[i] = []string{string(f.Status), f.Check, f.Found}
	}
	return p.printTable([]string{"STATUS", "CHECK", "FOUND"}, rows)
}

func (d diagnosis) advice() string {
	var b strings.Builder
	for _, f := range d.Checks {
		if f.Do != "" {
			fmt.Fprintf(&b, "%s: %s\n", f.Check, cell(f.Do))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\nWhat to do\n" + b.String()
}
