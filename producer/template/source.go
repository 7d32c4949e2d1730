package template

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/wxnotify/wxnotify/store"
)

// SourceStore is what a Source needs of a store; store/postgres and store/sqlite
// have it.
type SourceStore interface {
	// Templates are those of every app for "", gone ones among them.
	Templates(ctx context.Context, app string) ([]store.Template, error)
	TemplateSyncs(ctx context.Context) ([]store.TemplateSync, error)
	PausedTemplates(ctx context.Context, app string) ([]store.TemplatePause, error)
}

// DefaultRefresh is how old a Catalog gets. It is three small statements, and a
// template that was added in WeChat's console waits for the next sync anyhow.
const DefaultRefresh = 5 * time.Second

const (
	// loadTimeout bounds one look at the store.
	loadTimeout = 5 * time.Second
	// retryPause is how long a failed look answers for those that wait.
	retryPause = time.Second
)

// SourceConfig is what a Source is made of.
type SourceConfig struct {
	// Store is required.
	Store SourceStore
	// Entries are the settings file's.
	Entries []Entry
	// Strict is STRICT_TEMPLATES. Default: StrictAuto.
	Strict Strict
	// Refresh is how old the Catalog may be. Default: DefaultRefresh.
	Refresh time.Duration
	// Logger gets the warnings about the settings file, and one line when the
	// store goes away and one when it is back. Default: none.
	Logger *zap.Logger
}

// Source keeps a current Catalog. While the store is away the last one stays. It
// is safe for concurrent use.
type Source struct {
	cfg  SourceConfig
	last atomic.Pointer[Catalog]
	wake chan struct{}

	mu       sync.Mutex // held while the store is read
	file     file       // the settings file's part
	contents *Contents  // of the last look; nil before the first
	err      error      // of the last look
	failedAt time.Time  // when err came about
	warnings []string   // that were logged
}

// file is what the settings file says.
type file struct {
	entries []Entry
	strict  Strict
}

// check reports every fault.
func (f file) check() []error {
	var faults []error
	if !oneOf(f.strict, StrictAuto, StrictTrue, StrictFalse) {
		faults = append(faults, errors.New("Strict is none of auto, true, false"))
	}
	for _, bad := range CheckEntries(f.entries) {
		faults = append(faults, fmt.Errorf("entry %d: %s %s", bad.Index, bad.Key, bad.Problem))
	}
	return faults
}

// NewSource makes a Source. [Source.Run] keeps it current.
func NewSource(c SourceConfig) (*Source, error) {
	var faults []error
	if c.Store == nil {
		faults = append(faults, errors.New("no Store"))
	}
	if c.Refresh < 0 {
		faults = append(faults, errors.New("a negative Refresh"))
	}
	f := file{c.Entries, c.Strict}
	if faults = append(faults, f.check()...); len(faults) > 0 {
		return nil, fmt.Errorf("template source: %w", errors.Join(faults...))
	}
	if c.Refresh == 0 {
		c.Refresh = DefaultRefresh
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return &Source{cfg: c, file: f, wake: make(chan struct{}, 1)}, nil
}

// Reload prepares to put other settings in the place of Entries and Strict; apply
// does it, also while the store is away. An error names every fault, and nothing
// has changed.
func (s *Source) Reload(entries []Entry, strict Strict) (apply func(), err error) {
	f := file{entries, strict}
	if faults := f.check(); len(faults) > 0 {
		return nil, fmt.Errorf("template source: %w", errors.Join(faults...))
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.file = f; s.contents != nil {
			s.publish()
		}
	}, nil
}

// Catalog returns the current Catalog, at the cost of reading a pointer. Only
// while none could be read yet does it ask the store, and fails when that is
// away: without the synced labels a door would refuse what it should take.
func (s *Source) Catalog(ctx context.Context) (*Catalog, error) {
	if c := s.last.Load(); c != nil {
		return c, nil
	}
	if err := s.load(ctx, false); err != nil {
		return nil, err
	}
	return s.last.Load(), nil
}

// Refresh reads the store now.
func (s *Source) Refresh(ctx context.Context) error { return s.load(ctx, true) }

// Wake lets Run read the store soon. It does not block.
func (s *Source) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Err is why the last look at the store failed; nil when it did not.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Run keeps the Catalog current until ctx is done.
func (s *Source) Run(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Refresh)
	defer tick.Stop()
	for {
		_ = s.load(ctx, true) // logged there, and told by Err
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// load reads the store, unless another call has meanwhile and again is false.
func (s *Source) load(ctx context.Context, again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !again && s.last.Load() != nil {
		return nil
	}
	if !again && s.err != nil && time.Since(s.failedAt) < retryPause {
		return s.err // who waited here for another's look does not repeat it
	}
	looking, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	contents, err := s.read(looking)
	switch {
	case err != nil && s.err == nil && ctx.Err() == nil:
		s.cfg.Logger.Warn("cannot read the templates; the last ones stay", zap.Error(err))
	case err == nil && s.err != nil:
		s.cfg.Logger.Info("the templates can be read again")
	}
	if s.err = err; err != nil {
		s.failedAt = time.Now()
		return err
	}
	s.contents = contents
	s.publish()
	return nil
}

// publish makes the Catalog of what was read and of the settings file.
func (s *Source) publish() {
	contents := *s.contents
	contents.Entries, contents.Strict = s.file.entries, s.file.strict
	c := NewCatalog(contents)
	if w := c.Warnings(); !slices.Equal(w, s.warnings) {
		for _, text := range w {
			s.cfg.Logger.Warn("the catalog of templates", zap.String("problem", text))
		}
		s.warnings = w
	}
	s.last.Store(c)
}

// read reads the store's part.
func (s *Source) read(ctx context.Context) (*Contents, error) {
	// The syncs first: a list that is saved in between may be known before its
	// sync is, never the other way round, which would refuse its templates.
	syncs, err1 := s.cfg.Store.TemplateSyncs(ctx)
	templates, err2 := s.cfg.Store.Templates(ctx, "")
	pauses, err3 := s.cfg.Store.PausedTemplates(ctx, "")
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("read the templates: %w", err)
	}
	return &Contents{Templates: templates, Syncs: syncs, Pauses: pauses}, nil
}
