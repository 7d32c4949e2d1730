package worker

import (
	"context"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// claim is the right to send, or a newer look.
type claim struct {
	ok    bool
	look  store.Look
	owner uuid.UUID
	asked time.Time
}

// age is how long ago the claim was asked for, at worst: a process that was
// stopped or a machine that was suspended shows in one of the two clocks.
func (c *claim) age() time.Duration {
	now := time.Now()
	return max(now.Sub(c.asked), now.Round(0).Sub(c.asked.Round(0)))
}

// get asks for the claim; found is false when there is no row.
func (c *claim) get(ctx context.Context, from *committer, asked store.Claim) (found bool, err error) {
	c.ok, found, err = from.claim(ctx, asked, &c.look)
	return found, err
}

// lookAgain reads the row, which is another than was thought.
func (c *claim) lookAgain(d *delivery) error {
	look, err := d.look()
	if err == nil {
		c.look = *look
	}
	return err
}

// claim returns nil and an answer when there is nothing to go on with. When the
// result is not nil the caller must call sends.Done.
func (d *delivery) claim(app *app, look *store.Look) (*claim, error) {
	w := d.s.w
	w.sends.Add(1)
	c := &claim{owner: uuid.New(), asked: time.Now()}
	ctx, span := w.tracer.Start(d.ctx, spanClaim)
	asked := store.Claim{ID: d.id, Generation: d.generation, Owner: c.owner, Lease: w.cfg.SendTimeout + 2*leaseMargin}
	found, err := c.get(ctx, w.committer, asked)
	app.ahead.claimed(time.Since(c.asked))
	fail(span, err, "the claim failed")
	span.End()
	switch {
	case err != nil:
		w.sends.Done()
		d.log().Error("not claimed", zap.Error(err))
		return nil, d.later(30*time.Second, "the claim failed")
	case !found && d.expected:
		if err = c.lookAgain(d); err != nil {
			w.sends.Done()
			return nil, err
		}
		return c, nil
	case !found:
		w.sends.Done()
		return nil, nil // erased under our hands: nothing to send
	}
	if !c.ok {
		return c, nil
	}
	switch {
	case d.expected && (!d.fits(look, &c.look) || app.quiet(&c.look) > 0):
		// The row is another than the task says. It decides how to go on.
		_ = d.giveBack(c, "")
		c.ok = false
		if err = c.lookAgain(d); err != nil {
			w.sends.Done()
			return nil, err
		}
	case !d.fits(look, &c.look), c.age() > leaseMargin, app.quiet(&c.look) > 0:
		// The user was bound anew, so another openid's slot is needed; the commit
		// took so long that the lease might end before the answer; or quiet hours
		// have begun since the look, and the next look puts it off.
		defer w.sends.Done()
		return nil, d.giveBack(c, "the claim came too late")
	}
	return c, nil
}

// giveBack ends a claim that nothing was sent under.
func (d *delivery) giveBack(c *claim, why string) error {
	ok, err := d.s.w.committer.release(d.ctx, store.Release{ID: d.id, Seq: c.look.Seq, Owner: c.owner, Requeue: d.raw})
	if err != nil || !ok {
		d.log().Error("claim not given back; it ends as a doubt", zap.Error(err))
	}
	if d.raw {
		return nil
	}
	return &handBackError{after: time.Second, why: why}
}
