package console

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/wxnotify/wxnotify/store"
)

// seen is the notification of the path in the generation that the visitor saw:
// what happened since is not overridden.
func (v *visit) seen() (store.Notification, error) {
	n, _, err := v.notification()
	if err != nil {
		return n, err
	}
	generation, err := strconv.Atoi(v.r.PostForm.Get("generation"))
	if err != nil || generation < 0 {
		return n, badRequest("The form is incomplete.")
	}
	n.Generation = generation
	return n, nil
}

// answer shows the notification after an action, or says why there was none.
func (v *visit) answer(n store.Notification, acted []store.Acted, done string) error {
	if len(acted) != 1 {
		return fmt.Errorf("the store answered %d of 1", len(acted))
	}
	switch acted[0].Result {
	case store.ActDone:
		v.c.cfg.Wake()
	case store.ActBefore:
		done = "before"
	case store.ActNotFound:
		return errNotFound
	case store.ActInDoubt:
		return &problem{http.StatusConflict, "It is in doubt: nobody knows whether the user has the message. Tick the box to send it, perhaps a second time."}
	case store.ActNoContent:
		return &problem{http.StatusConflict, "It has nothing to send any more: edit it and give all of it."}
	case store.ActWrongState:
		return &problem{http.StatusConflict, "Its state does not allow that, or it has changed since you looked: look again."}
	}
	v.redirect(Path + "/notifications/" + n.ID.String() + "?done=" + done)
	return nil
}

func (c *Console) replay(v *visit) error {
	n, err := v.seen()
	if err != nil {
		return err
	}
	r := c.newReplay(v, n, v.r.PostForm.Get("force") != "", nil, "")
	acted, err := c.cfg.Store.Replay(v.ctx, []store.Replay{r})
	if err != nil {
		return err
	}
	return v.answer(n, acted, "replayed")
}

// newReplay replays n, as content when that is not nil; names are what was
// edited.
func (c *Console) newReplay(v *visit, n store.Notification, force bool, content *store.Content, names string) store.Replay {
	detail := names
	if force {
		if detail != "" {
			detail = "; " + detail
		}
		detail = "forced" + detail
	}
	return store.Replay{
		ID: n.ID, Generation: n.Generation, MaxAge: c.cfg.MaxAge, Force: force, Content: content,
		Actor: v.actor(), Detail: detail[:min(len(detail), maxNote)], // names are ASCII
	}
}

func (c *Console) discard(v *visit) error {
	n, err := v.seen()
	if err != nil {
		return err
	}
	acted, err := c.cfg.Store.Discard(v.ctx, []store.Discard{{ID: n.ID, Generation: n.Generation, Actor: v.actor()}})
	if err != nil {
		return err
	}
	return v.answer(n, acted, "discarded")
}

func (c *Console) settle(v *visit) error {
	n, err := v.seen()
	if err != nil {
		return err
	}
	as := store.State(v.r.PostForm.Get("as"))
	if as != store.Sent && as != store.Dead {
		return badRequest("The form is incomplete.")
	}
	s := store.DoubtSettlement{ID: n.ID, Generation: n.Generation, As: as, Actor: v.actor()}
	acted, err := c.cfg.Store.SettleDoubts(v.ctx, []store.DoubtSettlement{s})
	if err != nil {
		return err
	}
	return v.answer(n, acted, "settled")
}

func (c *Console) cancel(v *visit) error {
	n, err := v.seen()
	if err != nil {
		return err
	}
	acted, err := c.cfg.Store.Cancel(v.ctx, []store.Cancel{{ID: n.ID, Actor: v.actor()}})
	if err != nil {
		return err
	}
	return v.answer(n, acted, "cancelled")
}
