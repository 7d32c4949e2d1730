package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// pageRows is how many lines a list has.
const pageRows = 50

// query reads the parameters of a page. Those that say nothing are left out;
// what cannot be is noted.
type query struct {
	url.Values
	zone *time.Location
	bad  []string // names of parameters
}

func (v *visit) query() *query {
	values := v.r.URL.Query()
	if v.r.Method != http.MethodGet {
		values = v.r.PostForm
	}
	return &query{Values: values, zone: v.c.cfg.Zone}
}

func (q *query) text(name string) string {
	text := strings.TrimSpace(q.Get(name))
	if len(text) > 256 || strings.ContainsRune(text, 0) {
		q.bad = append(q.bad, name)
		return ""
	}
	return text
}

func (q *query) number(name string) int {
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		q.bad = append(q.bad, name)
	}
	return n
}

// word is one of a closed list.
func word[T ~string](q *query, name string, known []T) T {
	text := T(q.text(name))
	if text != "" && !slices.Contains(known, text) {
		q.bad = append(q.bad, name)
		return ""
	}
	return text
}

// momentForms are how a moment may be written; without an offset it is in the
// console's zone.
var momentForms = []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

func (q *query) moment(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	for _, form := range momentForms {
		if t, err := time.ParseInLocation(form, text, q.zone); err == nil {
			return t
		}
	}
	q.bad = append(q.bad, name)
	return time.Time{}
}

func (q *query) cursor() store.Cursor {
	c, err := store.ParseCursor(q.text("cursor"))
	if err != nil {
		q.bad = append(q.bad, "cursor")
	}
	return c
}

// filter is what a form of the console chooses. Viewers do not choose by openid:
// they do not see any.
func (q *query) filter(v *visit) store.Filter {
	f := store.Filter{
		App: q.text("app"), Ref: q.text("ref"), UserID: q.text("user"), TemplateID: q.text("template"),
		Class:  word(q, "class", []store.Class{store.ClassFault, store.ClassRefused}),
		Reason: word(q, "reason", store.Reasons), Errcode: q.number("errcode"),
		Since: q.moment("since"), Until: q.moment("until"), Before: q.cursor(), Limit: pageRows,
	}
	if state := word(q, "state", store.States); state != "" {
		f.States = []store.State{state}
	}
	if v.user.Role == Operator {
		f.OpenID = q.text("openid")
	}
	return f
}

// listed is one page of notifications.
type listed struct {
	Rows   []store.Notification
	Titles titles
	Next   string // address of the next page; "" at the end
}

// find lists a page; it asks for one more to know whether there is a next one.
func (v *visit) find(f store.Filter) (listed, error) {
	f.Limit = pageRows + 1
	rows, err := v.c.cfg.Store.List(v.ctx, f)
	if err != nil {
		return listed{}, err
	}
	l := listed{Rows: rows}
	if l.Titles, err = v.c.titles(v.ctx); err != nil {
		return listed{}, err
	}
	if len(rows) > pageRows {
		l.Rows = rows[:pageRows]
		q := v.r.URL.Query()
		q.Set("cursor", store.After(l.Rows[pageRows-1]).String())
		l.Next = v.r.URL.Path + "?" + q.Encode()
	}
	return l, nil
}

type searchPage struct {
	listed
	Form    url.Values
	Bad     []string
	Apps    []string
	States  []store.State
	Reasons []store.Reason
}

func (c *Console) showSearch(v *visit) error {
	q := v.query()
	if text := q.text("id"); text != "" {
		if id, err := uuid.Parse(text); err == nil {
			v.redirect(Path + "/notifications/" + id.String())
			return nil
		}
		q.bad = append(q.bad, "id")
	}
	page := searchPage{Form: q.Values, Apps: c.cfg.Apps, States: store.States, Reasons: store.Reasons}
	f := q.filter(v)
	status := http.StatusOK
	if page.Bad = q.bad; len(page.Bad) > 0 {
		status = http.StatusBadRequest
	} else {
		var err error
		if page.listed, err = v.find(f); err != nil {
			return err
		}
	}
	v.show("search", "Notifications", status, page)
	return nil
}
