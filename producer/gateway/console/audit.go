package console

import (
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

type auditPage struct {
	Entries []entry
	Form    url.Values
	Verbs   []store.Verb
	Next    string
}

// entry is one line.
type entry struct{ store.AuditEntry }

// HasNotification reports whether it is about one notification.
func (e entry) HasNotification() bool { return e.NotificationID != uuid.Nil }

// auditVerbs are all that the audit and the actions know.
var auditVerbs = append([]store.Verb{
	store.VerbReplay, store.VerbDiscard, store.VerbSettleSent, store.VerbSettleDead, store.VerbCancel,
}, store.AuditVerbs...)

func (c *Console) showAudit(v *visit) error {
	q := v.query()
	before, err := store.ParseAuditCursor(q.text("cursor"))
	if err != nil {
		return badRequest("This page of the list cannot be found: begin again.")
	}
	f := store.AuditFilter{Actor: q.text("actor"), Verb: word(q, "verb", auditVerbs), Before: before, Limit: pageRows + 1}
	page := auditPage{Form: q.Values, Verbs: auditVerbs}
	found, err := c.cfg.Store.Audit(v.ctx, f)
	if err != nil {
		return err
	}
	for _, e := range found[:min(pageRows, len(found))] {
		page.Entries = append(page.Entries, entry{e})
	}
	if len(found) > pageRows {
		again := v.r.URL.Query()
		again.Set("cursor", store.AfterEntry(found[pageRows-1]).String())
		page.Next = v.r.URL.Path + "?" + again.Encode()
	}
	v.show("audit", "Audit", http.StatusOK, page)
	return nil
}
