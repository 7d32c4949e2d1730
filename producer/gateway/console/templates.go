package console

import (
	"context"
	"net/http"

	"github.com/wxnotify/wxnotify/producer/template"
	"github.com/wxnotify/wxnotify/store"
)

type templatesPage struct {
	Templates []*template.Template
	Pauses    map[string]store.TemplatePause // by templateKey
	Orphans   []store.TemplatePause          // of templates that nobody lists
	Syncs     []store.TemplateSync
}

// PauseOf is the pause of a template; nil for none.
func (p templatesPage) PauseOf(app, id string) *store.TemplatePause {
	if pause, ok := p.Pauses[templateKey(app, id)]; ok {
		return &pause
	}
	return nil
}

// templateKey names a template, here and in the audit.
func templateKey(app, id string) string { return app + "/" + id }

// catalog is what is known of templates now. It is made for the few pages that
// need it; the doors keep one of their own.
func (c *Console) catalog(ctx context.Context) (*template.Catalog, templatesPage, error) {
	var (
		page     = templatesPage{Pauses: map[string]store.TemplatePause{}}
		contents = template.Contents{Entries: c.cfg.Entries, Strict: c.cfg.Strict}
		err      error
	)
	if contents.Templates, err = c.cfg.Store.Templates(ctx, ""); err != nil {
		return nil, page, err
	}
	if contents.Syncs, err = c.cfg.Store.TemplateSyncs(ctx); err != nil {
		return nil, page, err
	}
	if contents.Pauses, err = c.cfg.Store.PausedTemplates(ctx, ""); err != nil {
		return nil, page, err
	}
	catalog := template.NewCatalog(contents)
	page.Templates, page.Syncs = catalog.Templates(""), contents.Syncs
	for _, p := range contents.Pauses {
		page.Pauses[templateKey(p.App, p.TemplateID)] = p
	}
	listed := map[string]bool{}
	for _, t := range page.Templates {
		listed[templateKey(t.App, t.ID)] = true
	}
	for _, p := range contents.Pauses {
		if !listed[templateKey(p.App, p.TemplateID)] {
			page.Orphans = append(page.Orphans, p)
		}
	}
	return catalog, page, nil
}

// titles are the templates' titles by templateKey.
type titles map[string]string

// Of is the title of a template; "" when nobody knows it.
func (t titles) Of(app, id string) string { return t[templateKey(app, id)] }

func (c *Console) titles(ctx context.Context) (titles, error) {
	_, page, err := c.catalog(ctx)
	found := titles{}
	for _, t := range page.Templates {
		found[templateKey(t.App, t.ID)] = t.Title
	}
	return found, err
}

func (c *Console) showTemplates(v *visit) error {
	_, page, err := c.catalog(v.ctx)
	if err != nil {
		return err
	}
	v.show("templates", "Templates", http.StatusOK, page)
	return nil
}

// resumeTemplate ends a pause and queues what waited for that.
func (c *Console) resumeTemplate(v *visit) error {
	app, id := v.r.PostForm.Get("app"), v.r.PostForm.Get("template")
	_, page, err := c.catalog(v.ctx)
	if err != nil {
		return err
	}
	if page.PauseOf(app, id) == nil {
		return &problem{http.StatusConflict, "This template is not paused."}
	}
	released, err := c.cfg.Store.ResumeTemplate(v.ctx, app, id)
	if err != nil {
		return err
	}
	c.cfg.Wake()
	if err := v.note(store.VerbResumeTemplate, templateKey(app, id), plural(released)); err != nil {
		return err
	}
	v.redirect(Path + "/templates")
	return nil
}
