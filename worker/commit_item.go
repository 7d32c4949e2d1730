package worker

import (
	"sync"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/wxnotify/wxnotify/store"
)

// itemKind is what an item asks for.
type itemKind int

const (
	claimItem itemKind = iota
	settlementItem
	releaseItem
	moveItem
)

// item is one entry of a batch and the place for its answer. Items are used again,
// since each message needs two: whoever waits for one frees it, and nobody touches
// it between its answer and that.
type item struct {
	what itemKind
	span trace.Span // under which the caller waits
	done chan struct{}

	claim      store.Claim
	settlement store.Settlement
	release    store.Release
	move       store.Move

	claimed store.Claimed
	settled store.Settled
	ok      bool
	err     error
}

var itemPool = sync.Pool{New: func() any { return &item{done: make(chan struct{}, 1)} }}

func newItem(what itemKind) *item {
	it := itemPool.Get().(*item)
	it.what = what
	return it
}

// free forgets what the item was about.
func (it *item) free() {
	*it = item{done: it.done}
	itemPool.Put(it)
}

// answer ends the wait for the item.
func (it *item) answer(err error) {
	it.err = err
	it.done <- struct{}{}
}

func (it *item) id() uuid.UUID {
	switch it.what {
	case claimItem:
		return it.claim.ID
	case settlementItem:
		return it.settlement.ID
	case releaseItem:
		return it.release.ID
	case moveItem:
		return it.move.ID
	}
	return uuid.Nil
}

func batchOf(items []*item) store.Batch {
	var b store.Batch
	var n [moveItem + 1]int
	for _, it := range items {
		n[it.what]++
	}
	if n[claimItem] > 0 {
		b.Claims = make([]store.Claim, 0, n[claimItem])
	}
	if n[settlementItem] > 0 {
		b.Settlements = make([]store.Settlement, 0, n[settlementItem])
	}
	for _, it := range items {
		switch it.what {
		case claimItem:
			b.Claims = append(b.Claims, it.claim)
		case settlementItem:
			b.Settlements = append(b.Settlements, it.settlement)
		case releaseItem:
			b.Releases = append(b.Releases, it.release)
		case moveItem:
			b.Moves = append(b.Moves, it.move)
		}
	}
	return b
}

func answer(items []*item, res store.Results) {
	var claims, settlements, releases, moves int
	for _, it := range items {
		switch it.what {
		case claimItem:
			it.claimed = res.Claims[claims]
			claims++
		case settlementItem:
			it.settled = res.Settlements[settlements]
			settlements++
		case releaseItem:
			it.ok = res.Releases[releases]
			releases++
		case moveItem:
			it.ok = res.Moves[moves]
			moves++
		}
		it.answer(nil)
	}
}
