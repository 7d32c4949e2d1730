package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/store"
)

// pauseKey is asynq's own: while it exists nothing is taken from the queue. One
// with a TTL is an automatic pause; one without is a person's, which nothing in
// the program ends.
func pauseKey(queue string) string { return "asynq:{" + queue + "}:paused" }

func (c *Console) showPauses(v *visit) error {
	v.show("pauses", "Pause and resume", http.StatusOK, c.appStates(v.ctx))
	return nil
}

// maxNote bounds what a person writes, in bytes: what the store takes, less what
// goes before it.
const maxNote = 180

// changePause pauses or resumes a queue, or all queues of an app, or lets an app
// that WeChat's answers have paused try again.
func (c *Console) changePause(v *visit) error {
	app, queues, reason, err := c.readPause(v)
	if err != nil {
		return err
	}
	switch v.r.PostForm.Get("action") {
	case "pause":
		err = c.change(v, store.VerbPause, queues, reason, func(q string) error {
			// In place of an automatic pause, which would end.
			return c.cfg.Redis.Set(v.ctx, pauseKey(q), c.cfg.Now().Unix(), 0).Err()
		})
	case "resume":
		err = c.change(v, store.VerbResume, queues, reason, func(q string) error {
			return c.cfg.Redis.Del(v.ctx, pauseKey(q)).Err()
		})
	case "try":
		err = c.change(v, store.VerbResume, []string{app}, "before the pause by WeChat's answers ends", func(string) error {
			return c.cfg.EndPause(v.ctx, app)
		})
	default:
		err = badRequest("The form is incomplete.")
	}
	if err != nil {
		return err
	}
	v.redirect(Path + "/pauses")
	return nil
}

// readPause reads the form: an app, one of its queues or all of them, and why.
func (c *Console) readPause(v *visit) (app string, queues []string, reason string, err error) {
	form := v.r.PostForm
	app, reason = form.Get("app"), strings.TrimSpace(form.Get("reason"))
	if !slices.Contains(c.cfg.Apps, app) {
		return "", nil, "", badRequest("There is no such app.")
	}
	queues = c.queues(app)
	if queue := form.Get("queue"); queue != "" {
		if !slices.Contains(queues, queue) {
			return "", nil, "", badRequest("There is no such queue.")
		}
		queues = []string{queue}
	}
	if len(reason) > maxNote || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return "", nil, "", badRequest("The reason is too long.")
	}
	return app, queues, reason, nil
}

// change does something to each of the subjects and puts it on record.
func (c *Console) change(v *visit, verb store.Verb, subjects []string, detail string, do func(subject string) error) error {
	for _, subject := range subjects {
		if err := do(subject); err != nil {
			return fmt.Errorf("%w: %w", errRedis, err)
		}
		if err := v.note(verb, subject, detail); err != nil {
			return err
		}
	}
	return nil
}

var errRedis = &problem{http.StatusServiceUnavailable, "Redis does not answer."}
