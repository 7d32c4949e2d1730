package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func binding(user, openID string) store.Binding {
	return store.Binding{App: testApp, UserID: user, OpenID: openID}
}

// wantBound checks who has which openid in testApp; "" means unbound.
func (f *fixture) wantBound(what string, want map[string]string) {
	f.Helper()
	for user, openID := range want {
		b, err := f.Resolve(f.ctx, testApp, user)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			f.Fatal(err)
		}
		if b.OpenID != openID {
			f.Errorf("%s: %s has %q, want %q", what, user, b.OpenID, openID)
		}
	}
}

func testBind(f *fixture) {
	if _, err := f.Resolve(f.ctx, testApp, "u1"); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("resolve a stranger: %v, want ErrNotFound", err)
	}
	first := store.Binding{App: testApp, UserID: "u1", OpenID: "o1", UnionID: "union"}
	f.diff("created", store.Bound{Created: 2}, f.bind(first, binding("u2", "o2")))
	f.diff("unchanged", store.Bound{Unchanged: 2}, f.bind(first, binding("u2", "o2")))
	f.diff("no union id keeps it", store.Bound{Unchanged: 1}, f.bind(binding("u1", "o1")))

	got := must[store.Binding](f)(f.Resolve(f.ctx, testApp, "u1"))
	f.diff("binding", first, got, cmpopts.IgnoreFields(store.Binding{}, "UpdatedAt"))
	f.wantIn("updated_at", got.UpdatedAt, time.Now(), 0)

	f.diff("changed", store.Bound{Changed: 1}, f.bind(binding("u1", "o3")))
	if b := must[store.Binding](f)(f.Resolve(f.ctx, testApp, "u1")); b.OpenID != "o3" || b.UnionID != "" {
		f.Errorf("binding %+v; the union id belonged to the former openid", b)
	}

	f.bind(store.Binding{App: "wx2", UserID: "u1", OpenID: "o1"}, store.Binding{App: "wx1", UserID: "u1", OpenID: "o1"})
	var apps []string
	for _, b := range must[[]store.Binding](f)(f.Bindings(f.ctx, "u1")) {
		apps = append(apps, b.App)
	}
	f.diff("apps of a user", []string{testApp, "wx1", "wx2"}, apps)
	if none := must[[]store.Binding](f)(f.Bindings(f.ctx, "nobody")); len(none) != 0 {
		f.Errorf("bindings of nobody: %v", none)
	}

	for name, b := range map[string]store.Binding{
		"no app": {UserID: "u", OpenID: "o"}, "no user": {App: testApp, OpenID: "o"}, "no openid": {App: testApp, UserID: "u"},
		"NUL": binding("secret\x00", "o"), "bad UTF-8": binding("secret\xff", "o"), "long": binding("u", strings.Repeat("secret", 1000)),
	} {
		if _, err := f.Bind(f.ctx, []store.Binding{b}); err == nil || errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
			f.Errorf("%s: %v, want an ordinary error without the value", name, err)
		}
	}
	f.diff("nothing", store.Bound{}, f.bind())
}

func testBindMoves(f *fixture) {
	f.bind(binding("u1", "o1"), binding("u2", "o2"))
	f.diff("to a new user", store.Bound{Moved: 1}, f.bind(binding("u3", "o1")))
	f.wantBound("to a new user", map[string]string{"u1": "", "u2": "o2", "u3": "o1"})
	f.diff("to a bound user", store.Bound{Moved: 1}, f.bind(binding("u2", "o1")))
	f.wantBound("to a bound user", map[string]string{"u2": "o1", "u3": ""})
	f.bind(binding("u3", "o2"))
	f.diff("swap", store.Bound{Moved: 2}, f.bind(binding("u3", "o1"), binding("u2", "o2")))
	f.wantBound("swap", map[string]string{"u2": "o2", "u3": "o1"})
	f.diff("chain", store.Bound{Moved: 1, Changed: 1}, f.bind(binding("u2", "o9"), binding("u4", "o2")))
	f.wantBound("chain", map[string]string{"u2": "o9", "u4": "o2"})
	f.diff("another app", store.Bound{Created: 1}, f.bind(store.Binding{App: "wx2", UserID: "u9", OpenID: "o9"}))
	f.wantBound("another app", map[string]string{"u2": "o9"})
}

// testBindContradictions: the last of a slice wins.
func testBindContradictions(f *fixture) {
	f.diff("same user", store.Bound{Created: 1}, f.bind(binding("u1", "o1"), binding("u1", "o2")))
	f.wantBound("same user", map[string]string{"u1": "o2"})
	f.diff("same openid", store.Bound{Moved: 1}, f.bind(binding("u2", "o2"), binding("u3", "o2")))
	f.wantBound("same openid", map[string]string{"u1": "", "u2": "", "u3": "o2"})
	f.diff("same line", store.Bound{Unchanged: 1}, f.bind(binding("u3", "o2"), binding("u3", "o2")))
}

// testBindWakes: what waited for a binding is queued by it, in a new delivery.
func testBindWakes(f *fixture) {
	wait := func(user string, reason store.Reason) uuid.UUID {
		n := f.accept(row(func(n *store.Notification) { n.OpenID, n.UserID = "", user }))
		if !f.move(store.Move{ID: n.ID, Generation: 1, State: store.Waiting, Reason: reason}) {
			f.Fatal("move to waiting")
		}
		return n.ID
	}
	woken, other := wait("u1", store.ReasonUnbound), wait("u2", store.ReasonUnbound)
	f.bind(binding("u3", "o3"))
	consent := wait("u3", store.ReasonNoConsent)
	f.bind(binding("u1", "o1"), binding("u3", "o3"))
	n := f.get(woken)
	if n.State != store.Queued || n.Generation != 2 || n.Reason != "" || n.HandoverAt.IsZero() {
		f.Errorf("woken: %+v", n)
	}
	if _, l := f.claim(n); l.Address != "o1" {
		f.Errorf("woken and sent to %q", l.Address)
	}
	for _, id := range []uuid.UUID{consent, other} {
		if n := f.get(id); n.State != store.Waiting || n.Generation != 1 {
			f.Errorf("what waits for something else became %s", n.State)
		}
	}
}

func testBindMany(f *fixture) {
	const chunk, chunks = 5000, 2
	start := time.Now()
	for c := range chunks {
		bindings := make([]store.Binding, chunk)
		for i := range bindings {
			bindings[i] = binding(fmt.Sprintf("user-%d-%d", c, i), fmt.Sprintf("openid-%d-%d", c, i))
		}
		f.diff("bound", store.Bound{Created: chunk}, f.bind(bindings...))
		if c == 0 {
			f.diff("bound again", store.Bound{Unchanged: chunk}, f.bind(bindings...))
		}
	}
	f.Logf("bind of 3 x %d: %s", chunk, time.Since(start))
}
