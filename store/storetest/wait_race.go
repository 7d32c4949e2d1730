package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func testWaitRace(f *fixture) { testPairWaitRace(f, f) }

// testPairWaitRace lets a notification begin to wait at the moment at which what
// it waits for comes, from another process: whichever is first, it does not wait
// when both are done.
func testPairWaitRace(a, b *fixture) {
	const rounds, each = 5, 5
	user := func(n *store.Notification) { n.OpenID, n.UserID = "", "user-of-"+n.ID.String() }
	openID := func(n *store.Notification) { n.OpenID = "openid-of-" + n.ID.String() }
	template := func(n *store.Notification) { n.TemplateID = "template-of-" + n.ID.String() }
	move := func(reason store.Reason) func(store.Notification) store.Batch {
		return func(n store.Notification) store.Batch {
			return store.Batch{Moves: []store.Move{{ID: n.ID, Generation: 1, State: store.Waiting, Reason: reason}}}
		}
	}
	consent := func(n store.Notification) error {
		_, err := b.RecordConsents(b.ctx, []store.ConsentEvent{accepted(n.OpenID, n.TemplateID)})
		return err
	}
	resume := func(n store.Notification) error {
		_, err := b.ResumeTemplate(b.ctx, n.App, n.TemplateID)
		return err
	}
	empty := func(n store.Notification) {
		b.answered(consentEvent(n.OpenID, n.TemplateID, store.ConsentReject, from(store.ConsentChange, -time.Minute)))
	}
	refusal := func(n store.Notification) store.Batch {
		return store.Batch{Settlements: []store.Settlement{settlement(a.look(n.ID), store.Waiting, "refused", parked)}}
	}
	for name, race := range map[string]struct {
		edit func(*store.Notification)
		// prepare comes before both sides; the claim it makes is settled.
		prepare func(store.Notification)
		waits   func(store.Notification) store.Batch
		comes   func(store.Notification) error
	}{
		"binding": {user, func(store.Notification) {}, move(store.ReasonUnbound), func(n store.Notification) error {
			_, err := b.Bind(b.ctx, []store.Binding{binding(n.UserID, "openid-of-"+n.UserID)})
			return err
		}},
		"consent":        {openID, func(store.Notification) {}, move(store.ReasonNoConsent), consent},
		"consent, known": {openID, empty, move(store.ReasonNoConsent), consent},
		"refusal":        {openID, func(n store.Notification) { a.claim(n) }, refusal, consent},
		"refusal, known": {openID, func(n store.Notification) { empty(n); a.claim(n) }, refusal, consent},
		"resume": {template, func(n store.Notification) {
			_, l := a.claim(a.accept(row(func(o *store.Notification) { o.TemplateID = n.TemplateID })))
			a.mustSettle(settlement(l, store.Dead, "template", func(s *store.Settlement) { s.PauseTemplate = true }))
		}, move(store.ReasonTemplatePaused), resume},
		"resume, settled": {template, func(n store.Notification) {
			_, l := a.claim(a.accept(row(func(o *store.Notification) { o.TemplateID = n.TemplateID })))
			a.claim(n)
			a.mustSettle(settlement(l, store.Dead, "template", func(s *store.Settlement) { s.PauseTemplate = true }))
		}, func(n store.Notification) store.Batch {
			return store.Batch{Settlements: []store.Settlement{settlement(a.look(n.ID), store.Waiting, "busy", func(s *store.Settlement) {
				s.Reason = store.ReasonTemplatePaused
			})}}
		}, resume},
	} {
		for range rounds {
			var (
				ids   []uuid.UUID
				waits store.Batch
				come  []func() error
			)
			for range each {
				n := a.accept(func(acc *store.Acceptance) {
					acc.Notification.Wait = time.Hour
					race.edit(&acc.Notification)
				})
				race.prepare(n)
				batch := race.waits(n)
				waits.Moves, waits.Settlements = append(waits.Moves, batch.Moves...), append(waits.Settlements, batch.Settlements...)
				ids, come = append(ids, n.ID), append(come, func() error { return race.comes(n) })
			}
			errs := together(append(come, func() error {
				_, err := a.Commit(a.ctx, waits)
				return err
			}))
			for _, err := range errs {
				if err != nil {
					a.Fatalf("%s: %v", name, err)
				}
			}
			for _, id := range ids {
				if n := a.get(id); n.State == store.Waiting {
					a.Fatalf("%s: waits for %s, which is there", name, n.Reason)
				}
			}
		}
	}
}

// together calls all at once and returns their errors.
func together(calls []func() error) []error {
	var (
		begin sync.WaitGroup
		wg    sync.WaitGroup
		errs  = make([]error, len(calls))
	)
	begin.Add(len(calls))
	for i, call := range calls {
		wg.Go(func() {
			begin.Done()
			begin.Wait()
			if err := call(); err != nil {
				errs[i] = fmt.Errorf("call %d: %w", i, err)
			}
		})
	}
	wg.Wait()
	return errs
}
