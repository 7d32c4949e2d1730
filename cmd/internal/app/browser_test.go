package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/worker/wechat/simulator"
)

// browserPatience is for a browser on a machine that is busy with other tests.
const browserPatience = 2 * time.Minute

// browser is a headless Chromium with one page, and what went wrong in it.
type browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // that is how chromedp names a page

	mu       sync.Mutex
	problems []string
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		if os.Getenv("WXNOTIFY_TEST_BROWSER") == "required" {
			t.Fatal("no Chromium is installed, and WXNOTIFY_TEST_BROWSER=required")
		}
		t.Skip("no Chromium is installed: the console is not tried in a browser; WXNOTIFY_TEST_BROWSER=required makes this a failure")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1280, 900))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	page, stopPage := chromedp.NewContext(allocator)
	ctx, stop := context.WithTimeout(page, browserPatience)
	b := &browser{t: t, ctx: ctx}
	t.Cleanup(func() {
		stop()
		_ = chromedp.Cancel(page) // it may have gone already
		stopPage()
		stopAllocator()
	})
	// The first call starts the browser, which lives as long as its context.
	enable := func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return err
	}
	if err := chromedp.Do(page, chromedp.Func(enable)); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	err := chromedp.Listen(page, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.note(fmt.Sprintf("%+v", e.ExceptionDetails))
		case *log.EventEntryAdded:
			b.note(fmt.Sprintf("%s: %s (%s)", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *browser) note(problem string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, problem)
}

// complaints are what the browser found wrong since the last call.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.problems
	b.problems = nil
	return list
}

func (b *browser) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		b.t.Fatalf("%s: %v; the page says:\n%s\n%q", what, err, text, b.complaints())
	}
}

// follow clicks on what leads to another page and waits for its heading.
func (b *browser) follow(selector chromedp.CSS, heading string) {
	b.t.Helper()
	b.run("to "+heading, chromedp.Click(selector), chromedp.WaitVisible(chromedp.Search(fmt.Sprintf("//h1[normalize-space()=%q]", heading))))
}

func (b *browser) text() string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Text(chromedp.CSS("main")))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// An administrator finds a dead letter, sees why it died, corrects it and sends
// it again, and it reaches the user.
func TestConsoleInABrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	r := newRig(t, simulator.Config{}, map[string]string{"ADMIN_ADDR": "127.0.0.1:0", "ADMIN_PASSWORD": testPassword})
	w, _, _ := r.start()
	list := r.send(1, func(_ int, n *producer.Notification) { n.Data["thing1"] = strings.Repeat("长", 21) })
	r.awaitStates(map[store.State]int{store.Dead: 1})
	admin := "http://" + w.AdminAddr

	b.run("to the login", chromedp.Navigate(admin+"/admin/dead"), chromedp.WaitVisible(chromedp.CSS(`input[name=password]`)),
		chromedp.SendKeys(chromedp.CSS(`input[name=name]`), "admin"), chromedp.SendKeys(chromedp.CSS(`input[name=password]`), testPassword))
	b.follow("form.login button", "Dead letters")
	b.follow(`a[href="/admin/dead?reason=rejected"]`, "Dead letters")
	b.follow(chromedp.CSS(`td a[href="/admin/notifications/`+list[0].id.String()+`"]`), "Notification")
	for _, want := range []string{"47003", "thing1", list[0].openID, "Attempt 1"} {
		if !strings.Contains(b.text(), want) {
			t.Errorf("the page does not show %s:\n%s", want, b.text())
		}
	}
	b.follow("a.button", "Edit and replay")
	field := `//input[@name="key" and @value="thing1"]/ancestor::div[1]//input[@name="text"]`
	b.run("edit", chromedp.SetValue(chromedp.Search(field), "设备领用月报"))
	b.follow("form.edit > button", "Notification")
	if text := b.text(); !strings.Contains(text, "It is queued again.") {
		t.Errorf("after the replay:\n%s", text)
	}
	r.awaitStates(map[store.State]int{store.Sent: 1})
	if tally := r.sim.Tally("", list[0].openID, simulator.SeedReport); tally.Accepted != 1 {
		t.Errorf("the user received %d messages", tally.Accepted)
	}
	b.run("again", chromedp.Reload())
	if text := b.text(); !strings.Contains(text, "replay by console:admin: set data.thing1") || !strings.Contains(text, "Attempt 2") {
		t.Errorf("the timeline:\n%s", text)
	}

	// The other language, and every page, without a complaint of the browser.
	b.follow(`.who a[hreflang=zh]`, "通知")
	for path, heading := range map[string]string{
		"/admin/": "总览", "/admin/notifications": "通知", "/admin/dead": "死信", "/admin/refused": "用户拒收", "/admin/templates": "模板",
		"/admin/users": "用户", "/admin/pauses": "暂停与恢复", "/admin/audit": "审计",
	} {
		b.follow(chromedp.CSS(`nav a[href="`+path+`"]`), heading)
		b.run("narrow", chromedp.EmulateViewport(390, 800))
		wider, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.documentElement.scrollWidth > document.documentElement.clientWidth`))
		if wider || err != nil {
			t.Errorf("%s is wider than a phone, %v", path, err)
		}
		b.run("wide", chromedp.EmulateViewport(1280, 900))
	}
	if got := b.complaints(); got != nil {
		t.Errorf("the browser complains: %q", got)
	}
	// asynqmon runs under its own policy. The fonts from elsewhere are kept out, and
	// browsers ask for a manifest without the cookie.
	b.run("asynqmon", chromedp.Navigate(admin+"/admin/queues"), chromedp.WaitVisible(chromedp.Search(`//a[normalize-space()="default"]`)))
	for _, complaint := range b.complaints() {
		if !strings.Contains(complaint, "fonts.g") && !strings.Contains(complaint, "manifest.json") {
			t.Errorf("asynqmon: %s", complaint)
		}
	}
	// What is on the queue stands there and does nothing: a dialog would hold the
	// page up, and an element of it would be found.
	r.keepHostileTasks()
	b.run("hostile tasks", chromedp.Navigate(admin+"/admin/queues/queues/default?status=pending"),
		chromedp.WaitVisible(chromedp.Search(`//*[contains(text(), "<script>alert(1)</script>")]`)))
	if n, err := chromedp.Run(b.ctx, chromedp.Evaluate[int](`document.querySelectorAll("img[src=x]").length`)); n > 0 || err != nil {
		t.Errorf("asynqmon took %d elements out of tasks, %v", n, err)
	}
}
