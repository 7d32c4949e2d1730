package main

import (
	"fmt"
	"os/user"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/store"
)

func (p *program) deadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Show, replay and discard dead letters",
		Long: "A dead letter is a notification that failed for a fault someone has to look at: it\n" +
			"keeps its message, its attempts and the reason, until it is replayed or discarded\n" +
			"or gets older than DEAD_RETENTION. What users refused (class refused: no consent,\n" +
			"not bound) is an ordinary outcome and only shown when asked for.",
		Example: "  wxnotify dead list --by reason\n" +
			"  wxnotify dead list --errcode 47003 --since 24h\n" +
			"  wxnotify dead show ID\n" +
			"  wxnotify dead replay ID --set data.thing1=TEXT\n" +
			"  wxnotify dead replay --reason page --rate 50 --dry-run",
		GroupID: groupUse,
	}
	onlyHolds(cmd)
	cmd.AddCommand(p.deadListCommand(), p.deadShowCommand(), p.deadReplayCommand(), p.deadDiscardCommand(), p.deadSettleCommand())
	return cmd
}

// deadFilter is the flags that choose dead letters.
type deadFilter struct {
	class, app, template, user, openID, reason string
	since, until, cursor                       string
	errcode                                    int
	discarded                                  bool
}

// deadFilterFlags are the names of the flags of a deadFilter.
var deadFilterFlags = []string{
	"class", "app", "template", "user", "openid", "reason", "errcode", "since", "until", "discarded", "cursor",
}

func (f *deadFilter) flags(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringVar(&f.class, "class", "fault", "fault, refused or all")
	set.StringVar(&f.app, "app", "", "only this appid")
	set.StringVar(&f.template, "template", "", "only this template id")
	set.StringVar(&f.user, "user", "", "only to this user id")
	set.StringVar(&f.openID, "openid", "", "only what was handed in for this openid")
	set.StringVar(&f.reason, "reason", "", "only with this reason, such as rejected, page or in_doubt")
	set.IntVar(&f.errcode, "errcode", 0, "only with this errcode of WeChat")
	set.StringVar(&f.since, "since", "", "only accepted since: a time with an offset, or a duration ago such as 24h")
	set.StringVar(&f.until, "until", "", "only accepted before: likewise")
	set.BoolVar(&f.discarded, "discarded", false, "those that were discarded instead")
	set.StringVar(&f.cursor, "cursor", "", "go on where another call left off")
}

// given reports whether one of the flags chooses something.
func (f *deadFilter) given(cmd *cobra.Command) bool {
	return slices.ContainsFunc(deadFilterFlags, func(name string) bool { return cmd.Flags().Changed(name) })
}

// filter is the flags as a filter of the store.
func (f *deadFilter) filter(now time.Time) (store.Filter, error) {
	chosen := store.Filter{
		States: []store.State{store.Dead}, Discarded: store.NotDiscarded,
		App: f.app, TemplateID: f.template, UserID: f.user, OpenID: f.openID,
		Reason: store.Reason(f.reason), Errcode: f.errcode,
	}
	if f.discarded {
		chosen.Discarded = store.OnlyDiscarded
	}
	switch f.class {
	case "all":
	case string(store.ClassFault), string(store.ClassRefused):
		chosen.Class = store.Class(f.class)
	default:
		return chosen, usagef("--class must be fault, refused or all")
	}
	if f.reason != "" && !slices.Contains(store.Reasons, chosen.Reason) {
		return chosen, usagef("--reason must be one of %s", words(store.Reasons))
	}
	var err error
	if chosen.Since, err = moment("since", f.since, now); err != nil {
		return chosen, err
	}
	if chosen.Until, err = moment("until", f.until, now); err != nil {
		return chosen, err
	}
	if chosen.Before, err = store.ParseCursor(f.cursor); err != nil {
		return chosen, usagef("--cursor is not one that a listing has given")
	}
	return chosen, nil
}

// words lists texts of a closed list.
func words[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, w := range list {
		texts[i] = string(w)
	}
	return strings.Join(texts, ", ")
}

// moment is a time with an offset, or one a duration ago; "" is none.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, usagef("--%s %s, or a duration such as 24h", flag, notRFC3339)
	}
	return t, nil
}

// parseIDs reads the ids of a command line.
func parseIDs(args []string) ([]uuid.UUID, error) {
	ids := make([]uuid.UUID, len(args))
	seen := make(map[uuid.UUID]bool, len(args))
	for i, text := range args {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, usagef("%s is not the id of a notification", cell(text))
		}
		if seen[id] {
			return nil, usagef("%s is given twice", id)
		}
		ids[i], seen[id] = id, true
	}
	return ids, nil
}

// actorFlag gives a command --by, for the record of what people did.
func actorFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("by", "", "who does this, for the record (default: the user of this machine)")
}

// maxActorLength is in bytes; a name or a mail address fits.
const maxActorLength = 100

// actor is who the record names.
func actor(name string) (string, error) {
	if name == "" {
		name = "unknown"
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	if len(name) > maxActorLength || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return "", usagef("--by must be at most %d bytes of printable text", maxActorLength)
	}
	return name, nil
}

// at is a time for people; "" for none.
func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// jsonTime is a time for programs; nil for none.
func jsonTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// errcodeText is an errcode for people; 0 is none.
func errcodeText(code int) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprint(code)
}
