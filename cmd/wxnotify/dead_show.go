package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

func (p *program) deadShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all that is known of a notification, and what to do about it",
		Long:  "Any notification is shown, not only a dead letter.",
		Args:  cobra.ExactArgs(1),
	}
	reveal := cmd.Flags().Bool("reveal", false, "show user id, openid, page and texts in full")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := parseIDs(args)
		if err != nil {
			return err
		}
		return p.withStore(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
			d, err := readDetail(ctx, s, ids[0], *reveal)
			if err != nil {
				return err
			}
			if *asJSON {
				return p.printJSON(d)
			}
			return p.printDetail(d)
		})(cmd, args)
	}
	return cmd
}

// shownDetail is a notification in full.
type shownDetail struct {
	shownLetter
	Producer   string            `json:"producer,omitempty"`
	Ref        string            `json:"ref,omitempty"`
	Priority   store.Priority    `json:"priority"`
	Duplicates store.Duplicates  `json:"duplicates"`
	Data       map[string]string `json:"data"`              // texts masked unless --reveal
	Payload    string            `json:"payload,omitempty"` // of a task that could not be read; its size unless --reveal
	Blanked    *time.Time        `json:"data_blanked_at,omitempty"`
	Assumed    bool              `json:"assumed"`
	Doubts     int               `json:"doubts"`
	Unsure     int               `json:"unsure"`
	Generation int               `json:"generation"`
	ExpiresAt  *time.Time        `json:"expires_at"`
	List       []shownAttempt    `json:"attempts"`
	Actions    []shownAction     `json:"actions"`
	Advice     advice            `json:"advice"`
}

type shownAttempt struct {
	N         int        `json:"n"`
	At        *time.Time `json:"at"`
	LatencyMS int64      `json:"latency_ms"`
	Errcode   int        `json:"errcode"`
	Errmsg    string     `json:"errmsg,omitempty"`
	RID       string     `json:"rid,omitempty"`
	MsgID     int64      `json:"msgid,omitempty"`
	Outcome   string     `json:"outcome"`
	Meaning   string     `json:"meaning,omitempty"`
}

type shownAction struct {
	At      *time.Time   `json:"at"`
	Actor   string       `json:"actor"`
	Action  store.Verb   `json:"action"`
	Reason  store.Reason `json:"reason,omitempty"` // before it
	Errcode int          `json:"errcode"`          // before it
	Detail  string       `json:"detail,omitempty"`
}

func readDetail(ctx context.Context, s app.Store, id uuid.UUID, reveal bool) (shownDetail, error) {
	n, attempts, err := s.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return shownDetail{}, fmt.Errorf("no notification %s: it never existed, or is older than what is kept", id)
	}
	if err != nil {
		return shownDetail{}, err
	}
	actions, err := s.Actions(ctx, id)
	if err != nil {
		return shownDetail{}, err
	}
	d := shownDetail{
		shownLetter: newShownLetter(n, reveal), Producer: n.Producer, Ref: n.Ref, Priority: n.Priority, Duplicates: n.Duplicates,
		Data: shownData(n.Data, reveal), Payload: shownPayload(n.Payload, reveal), Blanked: jsonTime(n.DataBlankedAt),
		Assumed: n.Assumed, Doubts: n.Doubts, Unsure: n.Unsure, Generation: n.Generation, ExpiresAt: jsonTime(n.ExpiresAt),
		List: []shownAttempt{}, Actions: []shownAction{}, Advice: advise(n),
	}
	for _, a := range attempts {
		d.List = append(d.List, shownAttempt{
			N: a.N, At: jsonTime(a.At), LatencyMS: a.Latency.Milliseconds(), Errcode: a.Errcode, Errmsg: a.Errmsg,
			RID: a.RID, MsgID: a.MsgID, Outcome: a.Outcome, Meaning: explainAttempt(a),
		})
	}
	for _, a := range actions {
		d.Actions = append(d.Actions, shownAction{
			At: jsonTime(a.At), Actor: a.Actor, Action: a.Verb, Reason: a.Reason, Errcode: a.Errcode, Detail: a.Detail,
		})
	}
	return d, nil
}

// shownData masks the texts. Their lengths stay: most rules that WeChat finds
// broken are about those.
func shownData(data map[string]string, reveal bool) map[string]string {
	shown := make(map[string]string, len(data))
	for key, text := range data {
		if reveal {
			shown[key] = text
			continue
		}
		name := app.ShownDataKey(key)
		for i := 2; shown[name] != ""; i++ { // several that are masked
			name = fmt.Sprintf("***%d", i)
		}
		shown[name] = fmt.Sprintf("*** (%s)", count(utf8.RuneCountInString(text), "character"))
	}
	return shown
}

func shownPayload(payload []byte, reveal bool) string {
	switch {
	case payload == nil:
		return ""
	case !reveal:
		return fmt.Sprintf("*** (%s)", count(len(payload), "byte"))
	}
	return strings.ToValidUTF8(string(payload), "\uFFFD")
}

func (p *program) printDetail(d shownDetail) error {
	var b strings.Builder
	add := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-11s %s\n", name, cell(text))
		}
	}
	state := string(d.State)
	if d.Class != "" {
		state += ", class " + string(d.Class)
	}
	if d.Assumed {
		state += ", assumed"
	}
	add(d.ID.String(), state)
	b.WriteString("\n")
	top := b.Len()
	add("reason", string(d.Reason))
	add("", d.Advice.Meaning)
	if d.Errcode != 0 {
		add("errcode", strings.TrimSuffix(fmt.Sprintf("%d: %s", d.Errcode, d.Advice.WeChat), ": "))
	}
	add("errmsg", d.Errmsg)
	add("field", d.Field)
	add("do", d.Advice.Do)
	for _, line := range d.Advice.Commands {
		add("", "  "+line)
	}
	if b.Len() > top { // there is something to say of why it is so
		b.WriteString("\n")
	}
	for _, pair := range [][2]string{
		{"app", d.App},
		{"template", d.TemplateID},
		{"to", d.addressee()},
		{"page", d.Page},
		{"payload", d.Payload},
		{"producer", d.Producer},
		{"ref", d.Ref},
		{"duplicates", string(d.Duplicates)},
		{"accepted", at(*d.AcceptedAt)},
	} {
		add(pair[0], pair[1])
	}
	for _, key := range slices.Sorted(maps.Keys(d.Data)) {
		add("data", cell(key)+" = "+cell(d.Data[key]))
	}
	for _, end := range []struct {
		name string
		at   *time.Time
	}{{"ended", d.FinishedAt}, {"discarded", d.DiscardedAt}, {"blanked", d.Blanked}} {
		if end.at != nil {
			add(end.name, at(*end.at))
		}
	}
	if err := p.print(b.String()); err != nil {
		return err
	}
	return errors.Join(p.printAttempts(d.List), p.printActions(d.Actions))
}

func (p *program) printAttempts(list []shownAttempt) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]string, len(list))
	for i, a := range list {
		msgID := ""
		if a.MsgID != 0 {
			msgID = strconv.FormatInt(a.MsgID, 10)
		}
		rows[i] = []string{
			strconv.Itoa(a.N), at(*a.At), (time.Duration(a.LatencyMS) * time.Millisecond).String(),
			errcodeText(a.Errcode), a.Outcome, a.Meaning, a.RID, msgID,
		}
	}
	return errors.Join(p.print("\n"), p.printTable([]string{"ATTEMPT", "AT", "LATENCY", "ERRCODE", "OUTCOME", "MEANING", "RID", "MSGID"}, rows))
}

func (p *program) printActions(list []shownAction) error {
	if len(list) == 0 {
		return nil
	}
	rows := make([][]string, len(list))
	for i, a := range list {
		was := string(a.Reason)
		if a.Errcode != 0 {
			was += " " + strconv.Itoa(a.Errcode)
		}
		rows[i] = []string{string(a.Action), at(*a.At), a.Actor, was, a.Detail}
	}
	return errors.Join(p.print("\n"), p.printTable([]string{"ACTION", "AT", "BY", "WAS", "DETAIL"}, rows))
}
