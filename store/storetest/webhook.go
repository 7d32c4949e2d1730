package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

// hooked lets the producer p be told of the events.
func hooked(events ...store.WebhookEvent) func(*store.Acceptance) {
	return func(a *store.Acceptance) {
		a.Notification.Producer, a.Notification.Ref = "p", a.Notification.ID.String()
		a.Notification.ContentHash = []byte("hash")
		a.Webhook = store.NewWebhookSet(events...)
	}
}

// taken takes what is due for the producer p.
func (f *fixture) taken(lease time.Duration) []store.WebhookDelivery {
	f.Helper()
	return must[[]store.WebhookDelivery](f)(f.TakeWebhooks(f.ctx, "p", lease, 100))
}

func testWebhookEvents(f *fixture) {
	all := hooked(store.WebhookEvents...)
	refused := func(s *store.Settlement) { s.Class, s.Reason = store.ClassRefused, store.ReasonNotSubscribed }
	tests := []struct {
		name  string
		event store.WebhookEvent // "" for none
		end   func(n store.Notification)
		hooks func(*store.Acceptance)
	}{
		{"sent", store.WebhookSent, func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Sent, "ok"))
		}, all},
		{"failed", store.WebhookFailed, func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Dead, "rejected"))
		}, all},
		{"refused", store.WebhookRefused, func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Dead, "refused", refused))
		}, all},
		{"expired", store.WebhookExpired, func(n store.Notification) {
			f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Expired, Reason: store.ReasonTooOld})
		}, all},
		{"cancelled", "", func(n store.Notification) {
			f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Cancelled, Reason: store.ReasonByAdmin})
		}, all},
		{"retried", "", func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Retrying, "busy"))
		}, all},
		{"not asked for", "", func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Sent, "ok"))
		}, hooked(store.WebhookFailed)},
		{"without a webhook", "", func(n store.Notification) {
			_, l := f.claim(n)
			f.mustSettle(settlement(l, store.Sent, "ok"))
		}, hooked()},
	}
	for _, tt := range tests {
		n := f.accept(tt.hooks)
		tt.end(n)
		got := f.taken(time.Minute)
		var want []store.WebhookDelivery
		if tt.event != "" {
			now := f.get(n.ID)
			want = []store.WebhookDelivery{{
				Producer: "p", Event: tt.event, At: now.UpdatedAt, NotificationID: n.ID, Ref: n.Ref, TemplateID: n.TemplateID,
				State: now.State, Reason: now.Reason, Errcode: now.Errcode, Try: 1,
			}}
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.WebhookDelivery{}, "ID"), cmpopts.EquateEmpty()); diff != "" {
			f.Errorf("%s: deliveries (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A notification that was replayed ends again, and each end is told.
func testWebhookReplay(f *fixture) {
	n := f.accept(hooked(store.WebhookEvents...))
	_, l := f.claim(n)
	f.mustSettle(settlement(l, store.Dead, "rejected"))
	f.move(store.Move{ID: n.ID, Generation: n.Generation, State: store.Queued, Replay: true, MaxAge: time.Hour})
	_, l = f.claim(f.get(n.ID))
	f.mustSettle(settlement(l, store.Sent, "ok"))
	var events []store.WebhookEvent
	for _, d := range f.taken(time.Minute) {
		events = append(events, d.Event)
	}
	want := []store.WebhookEvent{store.WebhookFailed, store.WebhookSent}
	if diff := cmp.Diff(want, events, cmpopts.SortSlices(func(a, b store.WebhookEvent) bool { return a < b })); diff != "" {
		f.Errorf("events (-want +got):\n%s", diff)
	}
}

func testWebhookTries(f *fixture) {
	for range 3 {
		_, l := f.claim(f.accept(hooked(store.WebhookSent)))
		f.mustSettle(settlement(l, store.Sent, "ok"))
	}
	if got := must[[]store.WebhookDelivery](f)(f.TakeWebhooks(f.ctx, "other", time.Minute, 100)); len(got) != 0 {
		f.Errorf("another producer got %d", len(got))
	}
	first := must[[]store.WebhookDelivery](f)(f.TakeWebhooks(f.ctx, "p", 0, 2))
	if len(first) != 2 {
		f.Fatalf("took %d with a limit of 2", len(first))
	}
	// A lease of zero is over at once: all three are due.
	again := f.taken(time.Minute)
	if len(again) != 3 || len(f.taken(time.Minute)) != 0 {
		f.Fatalf("took %d after the lease, want 3, and nothing within it", len(again))
	}
	tries := map[uuid.UUID]int{}
	for _, d := range again {
		tries[d.ID] = d.Try
	}
	if tries[first[0].ID] != 2 || tries[first[1].ID] != 2 {
		f.Errorf("tries %v, want 2 for those that were taken before", tries)
	}
	settle := func(results ...store.WebhookResult) {
		if err := f.SettleWebhooks(f.ctx, results); err != nil {
			f.Fatal(err)
		}
	}
	// The result of a try whose lease was over changes nothing.
	settle(store.WebhookResult{ID: first[0].ID, Try: 1}, store.WebhookResult{ID: first[1].ID, Try: 1, Again: time.Microsecond})
	if got := f.taken(time.Minute); len(got) != 0 {
		f.Errorf("a late result made %d due", len(got))
	}
	var rest []store.WebhookResult
	for _, d := range again {
		r := store.WebhookResult{ID: d.ID, Try: d.Try}
		if d.ID == first[0].ID {
			r.Again = time.Microsecond
		}
		rest = append(rest, r)
	}
	settle(rest...)
	f.eventually("the failed one is due again", func() bool {
		got := f.taken(0)
		return len(got) == 1 && got[0].ID == first[0].ID
	})
	if n := must[int](f)(f.DeleteWebhooks(f.ctx, time.Hour, 10)); n != 0 {
		f.Errorf("%d deleted that are younger", n)
	}
	if n := must[int](f)(f.DeleteWebhooks(f.ctx, 0, 10)); n != 1 || len(f.taken(0)) != 0 {
		f.Errorf("%d deleted, want the one that is left", n)
	}
}
