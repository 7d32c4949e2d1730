package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/store"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// pages are the templates by name.
type pages map[string]*template.Template

// loadPages parses every page together with the layout.
func loadPages() (pages, error) {
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	made := pages{}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		t, err := template.New(name).Option("missingkey=error").ParseFS(pageFiles, "pages/layout.html", "pages/parts.html", file)
		if err != nil {
			return nil, fmt.Errorf("console: page %s: %w", name, err)
		}
		made[name] = t
	}
	return made, nil
}

// view is what a page is made of. Its methods are what templates call.
type view struct {
	*visit
	Title string
	Page  string
	Data  any
}

// show answers with a page. It is made whole before its first byte is sent.
func (v *visit) show(page, title string, status int, data any) {
	var out bytes.Buffer
	if err := v.c.pages[page].ExecuteTemplate(&out, "layout", view{visit: v, Title: v.T(title), Page: page, Data: data}); err != nil {
		v.c.cfg.Logger.Error("console page " + page + " is broken: " + err.Error())
		http.Error(v.w, "this page is broken; the log says how", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = out.WriteTo(v.w) // the visitor may have gone
}

// Lang is the page's language as HTML names it.
func (v view) Lang() string {
	if v.lang == chinese {
		return "zh-CN"
	}
	return "en"
}

// Chinese reports whether the page is in Chinese.
func (v view) Chinese() bool { return v.lang == chinese }

// Switch is this page in the other language, or the overview where this page is
// the answer to a form.
func (v view) Switch() string {
	code, u := string(chinese), *v.r.URL
	if v.lang == chinese {
		code = string(english)
	}
	if v.r.Method != http.MethodGet {
		u.Path, u.RawQuery = Path+"/", ""
	}
	return withLang(&u, code)
}

// LoggedIn, Name, Operator and Token are the visitor's.
func (v view) LoggedIn() bool { return v.user != nil && v.csrf != "" }

// Name is the visitor's.
func (v view) Name() string { return v.user.Name }

// Operator reports whether the visitor may act.
func (v view) Operator() bool { return v.user != nil && v.user.Role == Operator }

// Token is what forms carry.
func (v view) Token() string { return v.csrf }

// HasQueues reports whether there is asynqmon.
func (v view) HasQueues() bool { return v.c.cfg.Queues != nil }

// Asset is the address of a file, which changes with its content.
func (view) Asset(name string) string { return Path + "/assets/" + name + "?" + assetVersion }

// Time shows a moment in the console's zone; "" for none.
func (v view) Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(v.c.cfg.Zone).Format("2006-01-02 15:04:05 -07:00")
}

// Machine is a moment for the attribute of an element.
func (view) Machine(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Zone is what times entered are taken for.
func (v view) Zone() string { return time.Now().In(v.c.cfg.Zone).Format("UTC-07:00") }

// Span shows a duration, roughly.
func (v view) Span(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < 0:
		return v.T("%d s", 0)
	case d < 2*time.Minute:
		return v.T("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return v.T("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return v.T("%d h", int(d.Hours()))
	}
	return v.T("%d days", int(d.Hours()/24))
}

// Since is how long ago a moment is, Until how far ahead.
func (v view) Since(t time.Time) string { return v.Span(v.c.cfg.Now().Sub(t)) }

// Until is how far ahead a moment is.
func (v view) Until(t time.Time) string { return v.Span(t.Sub(v.c.cfg.Now())) }

// Percent is a part of a whole.
func (view) Percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(part)/float64(whole))
}

// With is the view of a part, which has data of its own.
func (v view) With(data any) view {
	v.Data = data
	return v
}

// Sum adds.
func (view) Sum(a, b int) int { return a + b }

// Windows are the spans that a ratio may be about.
func (view) Windows() []string { return []string{"1h", "24h", "7d"} }

// Outcome says what becomes, or became, of those of a tally.
func (v view) Outcome(preview bool, action string, t tally) string {
	switch t.Result {
	case store.ActDone:
		switch {
		case preview && action == bulkReplay:
			return v.T("would be replayed")
		case preview:
			return v.T("would be discarded")
		case action == bulkReplay:
			return v.T("replayed")
		}
		return v.T("discarded")
	case store.ActBefore:
		return v.T("done before")
	case store.ActNotFound:
		return v.T("not found")
	case store.ActWrongState:
		return v.T("cannot be, it is %s", string(t.State))
	case store.ActInDoubt:
		return v.T("in doubt: tick the box to send it, perhaps a second time")
	case store.ActNoContent:
		return v.T("nothing to send, or the message cannot be right")
	}
	return string(t.Result)
}

// namedTemplate is a template as lists show it.
type namedTemplate struct{ ID, Title string }

// Template is the view of a template's name.
func (v view) Template(of titles, app, id string) view {
	return v.With(namedTemplate{id, of.Of(app, id)})
}

// ErrcodeMeaning says what an errcode means; "" for one that nobody explains.
func (v view) ErrcodeMeaning(errcode int) string { return v.explain(errcode).Meaning }

// ManyApps reports whether there is more than one app to tell apart.
func (v view) ManyApps() bool { return len(v.c.cfg.Apps) > 1 }

// Sentence makes a sentence of an explanation.
func (v view) Sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if text = string(unicode.ToUpper(first)) + text[size:]; v.lang == chinese {
		return text + "。"
	}
	return text + "."
}

// PauseReason says why WeChat's answers have paused an app, without the errcode,
// which stands behind it. What is on record is English.
func (v view) PauseReason(p *Pause) string {
	if meaning := v.ErrcodeMeaning(p.Errcode); v.lang == chinese && p.Errcode != 0 && meaning != "" {
		return meaning
	}
	return strings.TrimPrefix(p.Why, fmt.Sprintf("errcode %d: ", p.Errcode))
}

// hidden stands for what a viewer does not see.
const hidden = "***"

// Private is a text that only operators see.
func (v view) Private(text string) string {
	if text == "" || v.Operator() {
		return text
	}
	return hidden
}

// PagePath is a page's path, with its query for operators.
func (v view) PagePath(page string) string {
	base, query, found := strings.Cut(page, "?")
	switch {
	case !found, v.Operator():
		return page
	case query == "":
		return base
	}
	return base + "?" + hidden
}

// assetVersion is a hash over the assets: a page never meets another version's.
var assetVersion = func() string {
	sum := sha256.New()
	_ = fs.WalkDir(assetFiles, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := assetFiles.ReadFile(name) // embedded
			sum.Write(b)
		}
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:6])
}()

// assetTypes are the files there may be.
var assetTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

func (c *Console) serveAsset(v *visit) error {
	name := v.r.PathValue("name")
	b, err := assetFiles.ReadFile("assets/" + name)
	if err != nil {
		return errNotFound
	}
	h := v.w.Header()
	h.Set("Content-Type", assetTypes[path.Ext(name)])
	if v.r.URL.RawQuery == assetVersion {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, err = v.w.Write(b)
	return err
}
