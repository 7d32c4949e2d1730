package storetest

import (
	"time"

	"github.com/wxnotify/wxnotify/store"
)

func push(key byte, edits ...func(*store.Push)) store.Push {
	p := store.Push{Key: store.PushKey{0: key, 31: 1}, App: testApp, Kind: store.PushEvent, Body: []byte{'{', 0, 0xff, '}'}}
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

func (f *fixture) receive(pushes ...store.Push) []bool {
	f.Helper()
	return must[[]bool](f)(f.ReceivePushes(f.ctx, pushes))
}

func (f *fixture) take(kind store.PushKind, limit int) []store.Push {
	f.Helper()
	return must[[]store.Push](f)(f.TakePushes(f.ctx, kind, lease, limit))
}

func testInbox(f *fixture) {
	forward := func(p *store.Push) { p.Kind = store.PushForward }
	f.diff("new", []bool{true, true, false}, f.receive(push(1), push(2), push(1)))
	f.diff("again", []bool{false, true, true}, f.receive(push(2), push(3), push(4, forward)))
	if got := f.receive(); len(got) != 0 {
		f.Errorf("no pushes: %v", got)
	}

	once := func(p store.Push) store.Push { p.Tries = 1; return p }
	f.diff("the first two", []store.Push{once(push(1)), once(push(2))}, f.take(store.PushEvent, 2))
	f.diff("the rest", []store.Push{once(push(3))}, f.take(store.PushEvent, 10))
	f.diff("while they are held", 0, len(f.take(store.PushEvent, 10)))
	f.diff("the other kind", []store.Push{once(push(4, forward))}, f.take(store.PushForward, 10))

	finish := func(keys ...store.PushKey) {
		f.Helper()
		if err := f.FinishPushes(f.ctx, keys); err != nil {
			f.Fatal(err)
		}
	}
	finish()
	finish(push(1).Key, push(1).Key, push(2).Key, push(9).Key)
	finish(push(1).Key)
	f.diff("finished ones again", []bool{false, false}, f.receive(push(1), push(2)))
	if n := must[int](f)(f.DeletePushes(f.ctx, time.Hour, 10)); n != 0 {
		f.Errorf("deleted %d that came just now", n)
	}
	if n := must[int](f)(f.DeletePushes(f.ctx, 0, 1)); n != 1 {
		f.Errorf("deleted %d, want the limit", n)
	}
	if n := must[int](f)(f.DeletePushes(f.ctx, 0, 10)); n != 1 {
		f.Errorf("deleted %d, want the one that was finished and not those that are not", n)
	}
	f.diff("forgotten ones", []bool{true, false, false}, f.receive(push(1), push(3), push(4)))
}

// testInboxLease: what is not finished is handed out again.
func testInboxLease(f *fixture) {
	f.receive(push(1))
	for tries := 1; tries <= 3; tries++ {
		f.eventually("the lease to be over", func() bool {
			got := must[[]store.Push](f)(f.TakePushes(f.ctx, store.PushEvent, time.Millisecond, 10))
			if len(got) == 0 {
				return false
			}
			want := push(1)
			want.Tries = tries
			f.diff("taken", []store.Push{want}, got)
			return true
		})
	}
}

func testInboxChecked(f *fixture) {
	for name, edit := range map[string]func(*store.Push){
		"no key":       func(p *store.Push) { p.Key = store.PushKey{} },
		"no app":       func(p *store.Push) { p.App = "" },
		"no kind":      func(p *store.Push) { p.Kind = "" },
		"another kind": func(p *store.Push) { p.Kind = "x" },
		"no body":      func(p *store.Push) { p.Body = nil },
		"a large body": func(p *store.Push) { p.Body = make([]byte, store.MaxPushBody+1) },
	} {
		if _, err := f.ReceivePushes(f.ctx, []store.Push{push(1), push(2, edit)}); err == nil {
			f.Errorf("%s was taken", name)
		}
	}
	f.diff("what was refused left nothing", []bool{true}, f.receive(push(1)))
}

// testPairInbox lets two processes take: each push is handed out once.
func testPairInbox(a, b *fixture) {
	const pushes = 120
	for i := range pushes {
		a.receive(push(byte(i), func(p *store.Push) { p.Key[1] = 1 }))
	}
	taken := make(chan store.PushKey, 2*pushes)
	both(a, b, 20, func(f *fixture, _ int) error {
		got, err := f.TakePushes(f.ctx, store.PushEvent, lease, 10)
		for _, p := range got {
			taken <- p.Key
		}
		return err
	})
	close(taken)
	seen := map[store.PushKey]bool{}
	for key := range taken {
		if seen[key] {
			a.Error("one push was handed out twice")
		}
		seen[key] = true
	}
	if len(seen) != pushes {
		a.Errorf("%d pushes were handed out, want %d", len(seen), pushes)
	}
}
