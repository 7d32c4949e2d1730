package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
	"github.com/wxnotify/wxnotify/store/postgres"
)

// lists are the questions people ask, those that find nothing among them: an
// index that does not fit answers the others soon enough, and reads everything
// for these.
func (f *flatCalls) lists() []flatCall {
	calls := []flatCall{{"get", func(b *testing.B) func(context.Context, *postgres.Store) error {
		id := f.accept(b, nil)[0].Notification.ID
		return func(ctx context.Context, s *postgres.Store) error {
			_, _, err := s.Get(ctx, id)
			return err
		}
	}}}
	dead := []store.State{store.Dead}
	for _, l := range []struct {
		name   string
		filter store.Filter
	}{
		{"newest", store.Filter{}},
		{"fifty days back", store.Filter{Before: store.Cursor{CreatedAt: time.Now().Add(-50 * 24 * time.Hour), ID: uuid.Max}}},
		{"one day", store.Filter{Since: time.Now().Add(-31 * 24 * time.Hour), Until: time.Now().Add(-30 * 24 * time.Hour)}},
		{"user", store.Filter{UserID: "user-100"}},
		{"user of an app", store.Filter{UserID: "user-100", App: "wx1"}},
		{"no such user", store.Filter{UserID: "nobody"}},
		{"no such openid", store.Filter{OpenID: "nobody"}},
		{"template", store.Filter{TemplateID: "template-3"}},
		{"no such template", store.Filter{TemplateID: "nothing"}},
		{"app", store.Filter{App: "wx1"}},
		{"rare app", store.Filter{App: "wx3"}},
		{"no such app", store.Filter{App: "wx0"}},
		{"ref", store.Filter{Producer: "api", Ref: "ref-1000"}},
		{"ref of any producer", store.Filter{Ref: "ref-1000"}},
		{"rare producer", store.Filter{Producer: "batch"}},
		{"no such producer", store.Filter{Producer: "none"}},
		{"waiting", store.Filter{States: []store.State{store.Waiting}}},
		{"waiting of an app", store.Filter{States: []store.State{store.Waiting}, App: "wx1"}},
		{"cancelled", store.Filter{States: []store.State{store.Cancelled}}},
		{"open", store.Filter{States: []store.State{store.Queued, store.Sending, store.Retrying, store.InDoubt, store.Waiting}}},
		{"dead", store.Filter{States: dead}},
		{"dead letters", store.DeadLetters()},
		{"dead, fault", store.Filter{States: dead, Class: store.ClassFault}},
		{"refused", store.Filter{Class: store.ClassRefused}},
		{"fault of a rare app", store.Filter{States: dead, Class: store.ClassFault, App: "wx3"}},
		{"fault, reason", store.Filter{States: dead, Class: store.ClassFault, Reason: store.ReasonPage}},
		{"fault, no such errcode", store.Filter{States: dead, Class: store.ClassFault, Errcode: 1}},
		{"class alone", store.Filter{Class: store.ClassFault}},
		{"reason alone", store.Filter{Reason: store.ReasonPage}},
		{"errcode alone", store.Filter{Errcode: 41030}},
		{"no such errcode", store.Filter{Errcode: 1}},
	} {
		calls = append(calls, flatCall{"list/" + l.name, func(*testing.B) func(context.Context, *postgres.Store) error {
			return func(ctx context.Context, s *postgres.Store) error {
				_, err := s.List(ctx, l.filter)
				return err
			}
		}})
	}
	return calls
}
