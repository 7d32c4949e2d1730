package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/task"
)

// sendOne hands in the notification of the flags.
func (p *program) sendOne(cmd *cobra.Command, f *sendFlags) error {
	n, err := f.notification()
	if err != nil {
		return err
	}
	return p.withSender(cmd, f, func(ctx context.Context, s *sender) error {
		resolved, found := s.resolve(gateway.Asked{Notification: n})
		if len(found) > 0 && n.TemplateID != "" && len(n.Data) > 0 {
			return usageError{flagFaults(lineFaults(nil, found))}
		}
		n = resolved
		accepted, err := s.client.Send(ctx, n)
		if faults, ok := errors.AsType[task.FieldErrors](err); ok {
			return usageError{flagFaults(faults)}
		}
		if err != nil {
			return fmt.Errorf("not accepted: %w", err)
		}
		if accepted.QueueErr != nil {
			p.printf("%s; %s\n", notQueued(accepted.QueueErr), relayDoesIt)
		}
		shown := sentMessage{ID: accepted.ID, Ref: n.Ref, State: accepted.State, Duplicate: accepted.Duplicate}
		if f.wait == 0 {
			return p.printAccepted(shown, f.asJSON)
		}
		return p.waitForOne(ctx, s, shown, f)
	})
}

// notification is that of the flags; producer checks its fields.
func (f *sendFlags) notification() (producer.Notification, error) {
	data, err := f.values()
	if err != nil {
		return producer.Notification{}, err
	}
	n := producer.Notification{
		TemplateID: f.template, Page: f.page, UserID: f.user, OpenID: f.openID, Data: data, Ref: f.ref,
		Priority: store.Priority(f.priority), Delay: f.delay, Duplicates: store.Duplicates(f.duplicates),
		Lang: f.lang, MiniprogramState: f.state,
	}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"send-at", f.sendAt, &n.SendAt}, {"expires-at", f.expiresAt, &n.ExpiresAt}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return n, usagef("--%s %s", t.flag, notRFC3339)
		}
	}
	return n, nil
}

// notRFC3339 is what is wrong with a time. The example has Beijing's offset:
// a time without one is the usual mistake.
const notRFC3339 = "must be a time with an offset such as 2026-03-02T15:01:00+08:00"

// values are the texts of --data. No message repeats one: a command line ends
// up in logs.
func (f *sendFlags) values() (map[string]string, error) {
	data := make(map[string]string, len(f.data))
	for _, pair := range f.data {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("--data must be KEY=TEXT, such as thing1=办公用品")
		}
		if _, twice := data[key]; twice {
			return nil, usagef("--data gives one key twice")
		}
		data[key] = text
	}
	return data, nil
}

// flagTexts are the faults whose reason names fields.
var flagTexts = map[task.FieldError]string{
	{Field: "user_id", Reason: "is required (or openid)"}:         "--user (or --openid) is required",
	{Field: "openid", Reason: "give user_id or openid, not both"}: "give --user or --openid, not both",
	{Field: "delay", Reason: "give send_at or delay, not both"}:   "give --send-at or --delay, not both",
	{Field: "expires_at", Reason: "is not after send_at"}:         "--expires-at is not after --send-at",
}

// flagFaults names the flags of bad fields.
func flagFaults(faults task.FieldErrors) error {
	flags := map[string]string{"template_id": "template", "user_id": "user"}
	texts := make([]string, len(faults))
	for i, f := range faults {
		if text, ok := flagTexts[f]; ok {
			texts[i] = text
			continue
		}
		name, key, _ := strings.Cut(f.Field, ".")
		if flag, ok := flags[name]; ok {
			name = flag
		}
		if texts[i] = f.Reason; name != "" {
			texts[i] = "--" + strings.TrimSpace(strings.ReplaceAll(name, "_", "-")+" "+key) + " " + f.Reason
		}
	}
	return errors.New(strings.Join(texts, "; "))
}

// refusal finds the word with which a Redis that is there refuses a command.
var refusal = regexp.MustCompile(`\b(ERR|WRONGPASS|NOAUTH|NOPERM|OOM|READONLY|MISCONF|LOADING|NOREPLICAS|MASTERDOWN|CLUSTERDOWN)\b`)

// notQueued says why an accepted notification's task is not on the queue.
func notQueued(err error) string {
	if word := refusal.FindString(err.Error()); word != "" {
		return "not on the queue yet: Redis refused it (" + word + ")"
	}
	return "not on the queue yet: Redis does not answer"
}

// relayDoesIt says what becomes of it.
const relayDoesIt = "it is in the database, and a running worker puts it on the queue as soon as Redis takes it"

// sentMessage is one notification as it is printed.
type sentMessage struct {
	ID        uuid.UUID   `json:"id"`
	Ref       string      `json:"ref,omitempty"`
	State     store.State `json:"state"`
	Duplicate bool        `json:"duplicate"`
	*ending               // only with --wait
}

func (p *program) printAccepted(m sentMessage, asJSON bool) error {
	if asJSON {
		return p.printJSON(m)
	}
	word := "accepted"
	if m.Duplicate {
		word = "accepted before"
	}
	return p.print(fmt.Sprintf("%s  %s  %s\n", word, m.ID, m.State))
}
