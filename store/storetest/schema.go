package storetest

import (
	"errors"
	"strings"

	"github.com/google/uuid"

	"github.com/wxnotify/wxnotify/store"
)

func (f *fixture) version() (have, want int64) {
	f.Helper()
	have, want, err := f.Version(f.ctx)
	if err != nil {
		f.Fatalf("version: %v", err)
	}
	return have, want
}

// testMigrate goes down and up again, step by step.
func testMigrate(f *fixture) {
	have, want := f.version()
	if have != want || want == 0 {
		f.Fatalf("version %d of %d after migrating", have, want)
	}
	for step := want - 1; step >= 0; step-- {
		if err := f.MigrateDown(f.ctx); err != nil {
			f.Fatalf("down to %d: %v", step, err)
		}
		if have, _ := f.version(); have != step {
			f.Fatalf("version %d, want %d", have, step)
		}
	}
	if err := f.MigrateDown(f.ctx); err != nil {
		f.Errorf("down from nothing: %v", err)
	}
	var lines []string
	for range 2 { // the second time there is nothing to do
		if err := f.Migrate(f.ctx, func(s string) { lines = append(lines, s) }); err != nil {
			f.Fatalf("up: %v", err)
		}
	}
	if int64(len(lines)) != want || !strings.HasPrefix(lines[0], "applied 0001_") {
		f.Errorf("progress %q, want a line for each of %d steps", lines, want)
	}
	f.mustSettle(settlement(func() store.Look { _, l := f.claim(f.accept()); return l }(), store.Sent, "ok"))
}

func testSchemaMissing(f *fixture) {
	if err := f.Ping(f.ctx); err != nil {
		f.Errorf("ping: %v", err)
	}
	_, want := f.version()
	for range want {
		if err := f.MigrateDown(f.ctx); err != nil {
			f.Fatal(err)
		}
	}
	_, err := f.Look(f.ctx, []uuid.UUID{uuid.New()})
	_, insertErr := f.Insert(f.ctx, []store.Acceptance{acceptance()})
	for _, err := range []error{err, insertErr} {
		if !errors.Is(err, store.ErrSchema) {
			f.Errorf("without a schema: %v, want ErrSchema", err)
		}
	}
}

// testClosed: a store that was closed is unavailable, not broken.
func testClosed(f *fixture) {
	n := f.accept()
	f.Close()
	_, lookErr := f.Look(f.ctx, []uuid.UUID{n.ID})
	_, commitErr := f.Commit(f.ctx, store.Batch{Claims: []store.Claim{newClaim(n)}})
	for _, err := range []error{lookErr, commitErr, f.Ping(f.ctx)} {
		if !errors.Is(err, store.ErrUnavailable) {
			f.Errorf("closed: %v, want ErrUnavailable", err)
		}
	}
}
