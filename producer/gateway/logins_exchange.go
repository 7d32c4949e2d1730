package gateway

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// exchangeMemory is how long what came of a login code is kept: as long as the
// code would have been good, so that nobody has reason to come again with it.
const exchangeMemory = 5 * time.Minute

// maxExchanges bounds how many are kept, at some 200 bytes each. Beyond it the
// oldest are forgotten.
const maxExchanges = 20_000

// exchanges remembers what came of login codes, so that a login whose answer was
// lost can be repeated. Only this process knows; in another one the code was used
// before, and the user logs in anew. It is safe for concurrent use.
type exchanges struct {
	now func() time.Time

	mu    sync.Mutex
	all   map[[sha256.Size]byte]*exchanged
	order []remembered // the oldest first
}

// exchanged is one code on its way, or what came of it.
type exchanged struct {
	done    chan struct{}
	session wechat.Session
	err     error
}

type remembered struct {
	key [sha256.Size]byte
	at  time.Time
}

func newExchanges(now func() time.Time) *exchanges {
	return &exchanges{now: now, all: map[[sha256.Size]byte]*exchanged{}}
}

// do exchanges a code, unless somebody has or does. Who waits for another's
// exchange does so until ctx is done. A failure is not remembered.
func (x *exchanges) do(ctx context.Context, key [sha256.Size]byte, exchange func() (wechat.Session, error)) (wechat.Session, error) {
	x.mu.Lock()
	if e, ok := x.all[key]; ok {
		x.mu.Unlock()
		select {
		case <-e.done:
			return e.session, e.err
		case <-ctx.Done():
			return wechat.Session{}, &wechat.Error{API: wechat.APICode2Session, Kind: wechat.KindInDoubt, Msg: "gave up waiting", Err: ctx.Err()}
		}
	}
	e := &exchanged{done: make(chan struct{}), err: errAbandoned}
	x.all[key] = e
	x.mu.Unlock()

	defer func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if e.err != nil {
			delete(x.all, key)
		} else {
			x.rememberLocked(key)
		}
		close(e.done)
	}()
	e.session, e.err = exchange()
	return e.session, e.err
}

// errAbandoned is what those who wait get when the exchange panics.
var errAbandoned = &wechat.Error{API: wechat.APICode2Session, Kind: wechat.KindInDoubt, Msg: "the call was given up"}

// rememberLocked keeps a success and forgets what is old or too much.
func (x *exchanges) rememberLocked(key [sha256.Size]byte) {
	now := x.now()
	x.order = append(x.order, remembered{key, now})
	for len(x.order) > maxExchanges || now.Sub(x.order[0].at) > exchangeMemory {
		delete(x.all, x.order[0].key)
		x.order = x.order[1:]
	}
}
