package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// gcHeadroom is what may be allocated before memory is collected, however little
	// is in use. By Go's own rule, as much as is in use, a worker that has little in
	// use and makes much garbage, as one with 200 calls in flight that end at once,
	// spends an eighth of its CPU on that. At a thousand in flight more than that is in
	// use, and Go's rule holds: it is not to take more memory there.
	gcHeadroom = 24 << 20
	// gcLeast is Go's default for GOGC, gcMost what is enough: below 6 MB in use there
	// is no load.
	gcLeast, gcMost = 100, 400
)

// paceGC keeps the collector from running for little until stop, unless GOGC or
// GOMEMLIMIT says how it is to run.
func (p *program) paceGC() (stop func()) {
	if p.setsGC() {
		return func() {}
	}
	g := &gcPacer{headroom: gcHeadroom, percent: gcLeast}
	g.follow()
	return g.stop
}

// setsGC reports whether the environment says how the collector is to run.
func (p *program) setsGC() bool {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		if value, _ := p.lookupEnv(name); value != "" {
			return true
		}
	}
	return false
}

// gcPacer sets the collector's percentage anew after every collection.
type gcPacer struct {
	headroom uint64

	mu      sync.Mutex
	percent int
	stopped bool
}

// gcCycle is garbage as soon as it is made, so its cleanup tells of a collection.
type gcCycle struct{ of *gcPacer }

func (g *gcPacer) follow() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return
	}
	// To set it stops the world for a moment: not for a little.
	if next := gcPercent(scanned(), g.headroom); next < g.percent*9/10 || next > g.percent*11/10 {
		g.percent = next
		debug.SetGCPercent(next)
	}
	runtime.AddCleanup(&gcCycle{of: g}, func(g *gcPacer) { g.follow() }, g)
}

func (g *gcPacer) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	debug.SetGCPercent(gcLeast)
}

// gcPercent is how much of what the collector scans may be allocated until it runs
// again.
func gcPercent(scanned, headroom uint64) int {
	percent := headroom * 100 / max(scanned, 1)
	return int(min(max(percent, gcLeast), gcMost))
}

// scanned is what the last collection found in use, with stacks and globals.
func scanned() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(s)
	var sum uint64
	for _, one := range s {
		if one.Value.Kind() == metrics.KindUint64 {
			sum += one.Value.Uint64()
		}
	}
	return sum
}
