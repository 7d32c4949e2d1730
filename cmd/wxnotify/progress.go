package main

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// progressEvery is how often a progress line is drawn: often enough to look
// alive, rarely enough to cost nothing over ssh.
const progressEvery = 100 * time.Millisecond

// progress is one line on a terminal that is written over and over. Where
// stderr is no terminal it writes nothing. It belongs to one goroutine.
type progress struct {
	p     *program
	shown bool
	on    bool
	last  time.Time
}

func (p *program) newProgress() *progress {
	return &progress{p: p, on: isTerminal(p.stderr)}
}

// isTerminal reports whether a person watches w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// show draws the line, unless it was drawn just now.
func (g *progress) show(text func() string) {
	if !g.on || time.Since(g.last) < progressEvery {
		return
	}
	g.last, g.shown = time.Now(), true
	g.p.printf("\r\x1b[K%s", text())
}

// clear removes the line, so that other text can be written.
func (g *progress) clear() {
	if g.shown {
		g.p.printf("\r\x1b[K")
		g.shown = false
	}
}
