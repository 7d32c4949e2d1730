package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/term"
)

// errNotConfirmed ends a command whose question was not answered with yes.
var errNotConfirmed = errors.New("not sent: the answer was not yes")

// askYes asks on the terminal whether to go on; anything but yes is
// errNotConfirmed. Without a terminal there is nobody to ask: a script has to
// say --yes.
func (p *program) askYes(ctx context.Context, question string) error {
	if f, ok := p.stdin.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return usagef("stdin is no terminal, so nobody can be asked: give --yes if that is what you want")
	}
	p.printf("%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		// It ends with the process when the question is never answered; the end of
		// the input is a no.
		line, _ := bufio.NewReader(p.stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case text := <-answer:
		if text == "y" || text == "yes" {
			return nil
		}
		return errNotConfirmed
	case <-ctx.Done():
		return ctx.Err()
	}
}
