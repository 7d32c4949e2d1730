package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

// maxPage is the most that one page lists; store.Filter allows no more.
const maxPage = 500

func (p *program) deadListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List or count dead letters, the newest first",
		Args:  cobra.NoArgs,
	}
	var f deadFilter
	f.flags(cmd)
	limit := cmd.Flags().Int("limit", 50, "how many a page has, up to "+strconv.Itoa(maxPage))
	onlyCount := cmd.Flags().Bool("count", false, "only count them")
	by := cmd.Flags().String("by", "", "count them by "+words(store.Groups))
	inDoubt := cmd.Flags().Bool("in-doubt", false, "list what is in doubt now and not resolved yet, instead")
	reveal := cmd.Flags().Bool("reveal", false, "show user ids, openids and pages in full")
	asJSON := jsonFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("count", "by")
	cmd.RunE = p.withStore(config.RoleDatabase, func(ctx context.Context, _ *config.Config, s app.Store) error {
		chosen, err := f.filter(time.Now())
		switch {
		case err != nil:
			return err
		case *limit < 1 || *limit > maxPage:
			return usagef("--limit must be from 1 to %d", maxPage)
		case *by != "" && !slices.Contains(store.Groups, store.Group(*by)):
			return usagef("--by must be one of %s", words(store.Groups))
		}
		if *inDoubt {
			chosen.States, chosen.Class, chosen.Discarded = []store.State{store.InDoubt}, store.ClassNone, store.DiscardedOrNot
		}
		chosen.Limit = *limit
		if *onlyCount || *by != "" {
			return p.countDead(ctx, s, chosen, store.Group(*by), *asJSON)
		}
		return p.listDead(ctx, s, chosen, *reveal, *asJSON)
	})
	return cmd
}

// shownLetter is a notification as a list prints it.
type shownLetter struct {
	ID          uuid.UUID    `json:"id"`
	App         string       `json:"app"`
	TemplateID  string       `json:"template_id"`
	Page        string       `json:"page,omitempty"`    // its query masked unless --reveal
	UserID      string       `json:"user_id,omitempty"` // masked unless --reveal
	OpenID      string       `json:"openid,omitempty"`  // masked unless --reveal
	State       store.State  `json:"state"`
	Class       store.Class  `json:"class,omitempty"`
	Reason      store.Reason `json:"reason,omitempty"`
	Errcode     int          `json:"errcode"`
	Errmsg      string       `json:"errmsg,omitempty"`
	Field       string       `json:"field,omitempty"`
	Attempts    int          `json:"attempt_count"`
	AcceptedAt  *time.Time   `json:"accepted_at"`
	FinishedAt  *time.Time   `json:"finished_at"`
	DiscardedAt *time.Time   `json:"discarded_at,omitempty"`
}

func newShownLetter(n store.Notification, reveal bool) shownLetter {
	l := shownLetter{
		ID: n.ID, App: n.App, TemplateID: n.TemplateID, Page: n.Page, UserID: n.UserID, OpenID: n.OpenID,
		State: n.State, Class: n.Class, Reason: n.Reason, Errcode: n.Errcode, Errmsg: n.Errmsg, Field: n.Field,
		Attempts: n.Seq, AcceptedAt: jsonTime(n.CreatedAt), FinishedAt: jsonTime(n.FinishedAt), DiscardedAt: jsonTime(n.DiscardedAt),
	}
	if !reveal {
		l.Page, l.UserID, l.OpenID, l.Field = maskPage(l.Page), maskID(l.UserID), maskID(l.OpenID), maskField(l.Field)
	}
	return l
}

// addressee is who it is to, for people.
func (l shownLetter) addressee() string {
	switch {
	case l.UserID != "":
		return "user " + l.UserID
	case l.OpenID != "":
		return "openid " + l.OpenID
	}
	return ""
}

// cause is the reason with the field that was named.
func (l shownLetter) cause() string {
	if l.Field == "" {
		return string(l.Reason)
	}
	return string(l.Reason) + ": " + l.Field
}

// maskPage leaves out the query, which may say what the message is about.
func maskPage(page string) string {
	if path, _, found := strings.Cut(page, "?"); found {
		return path + "?***"
	}
	return page
}

// maskField names a field unless it is a data key that WeChat does not have:
// producers who swap keys and values put personal texts there.
func maskField(field string) string {
	name, key, nested := strings.Cut(field, ".")
	switch {
	case nested:
		return name + "." + app.ShownDataKey(key)
	case slices.Contains([]string{"", "id", "app", "template_id", "page", "user_id", "openid", "lang", "miniprogram_state", "data"}, name):
		return name
	}
	return app.ShownDataKey(name)
}

// listing is a page for programs.
type listing[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"`
}

func (p *program) listDead(ctx context.Context, s app.RecordStore, f store.Filter, reveal, asJSON bool) error {
	list, err := s.List(ctx, f)
	if err != nil {
		return err
	}
	page := listing[shownLetter]{Items: make([]shownLetter, len(list))}
	for i, n := range list {
		page.Items[i] = newShownLetter(n, reveal)
	}
	if len(list) == f.PageSize() {
		next := f
		next.Before, next.Limit = store.After(list[len(list)-1]), 1
		more, err := s.List(ctx, next)
		if err != nil {
			return err
		}
		if len(more) > 0 {
			text := next.Before.String()
			page.NextCursor = &text
		}
	}
	switch {
	case asJSON:
		return p.printJSON(page)
	case len(list) == 0:
		return p.print("none\n")
	}
	if err := p.printLetters(page.Items); err != nil {
		return err
	}
	if page.NextCursor != nil {
		p.printf("There are more: --cursor %s\n", *page.NextCursor)
	}
	return nil
}

func (p *program) printLetters(list []shownLetter) error {
	rows := make([][]string, len(list))
	for i, l := range list {
		ended := l.FinishedAt
		if ended == nil {
			ended = l.AcceptedAt
		}
		rows[i] = []string{
			l.ID.String(), at(*ended), l.TemplateID, l.addressee(), l.cause(), errcodeText(l.Errcode), strconv.Itoa(l.Attempts),
		}
	}
	return p.printTable([]string{"ID", "SINCE", "TEMPLATE", "TO", "REASON", "ERRCODE", "ATTEMPTS"}, rows)
}

// countedLetters is one line of a count for programs.
type countedLetters struct {
	By    store.Group `json:"by,omitempty"`
	Value string      `json:"value,omitempty"`
	Count int         `json:"count"`
}

func (p *program) countDead(ctx context.Context, s app.InterventionStore, f store.Filter, by store.Group, asJSON bool) error {
	counts, err := s.Count(ctx, f, by)
	if err != nil {
		return err
	}
	if by == store.GroupNone && len(counts) == 0 {
		counts = []store.Counted{{}}
	}
	shown := make([]countedLetters, len(counts))
	rows := make([][]string, len(counts))
	for i, c := range counts {
		shown[i] = countedLetters{By: by, Value: c.Value, Count: c.Count}
		rows[i] = []string{c.Value, thousands(c.Count)}
	}
	switch {
	case asJSON && by == store.GroupNone:
		return p.printJSON(shown[0])
	case asJSON:
		return p.printJSON(listing[countedLetters]{Items: shown})
	case by == store.GroupNone:
		return p.print(strconv.Itoa(shown[0].Count) + "\n")
	case len(rows) == 0:
		return p.print("none\n")
	}
	return p.printTable([]string{strings.ToUpper(string(by)), "COUNT"}, rows)
}
