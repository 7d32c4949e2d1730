package app

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
)

// traceNoteInterval is the least time between two lines about traces: a
// collector that is away fails every few seconds.
const traceNoteInterval = time.Minute

// maxTraceNote bounds a line, in bytes: a collector may answer with a page.
const maxTraceNote = 300

// minTraceSecret is how long the value of a header must be to be a secret: to
// mask a shorter one would spoil every text.
const minTraceSecret = 4

// anyURL finds addresses, which may have a user's password or a key in them.
var anyURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"]+`)

// traceNotes writes down what OpenTelemetry's libraries complain of: one line in
// a while, with how many there were since the last one, and without the secrets
// that the variables have. It is safe for concurrent use.
type traceNotes struct {
	logger  *zap.Logger
	now     func() time.Time
	secrets []string

	mu      sync.Mutex
	next    time.Time
	skipped int
}

func newTraceNotes(logger *zap.Logger, getenv func(string) string) *traceNotes {
	n := &traceNotes{logger: logger, now: time.Now}
	for _, name := range []string{envHeaders, envTracesHeaders} {
		for pair := range strings.SplitSeq(getenv(name), ",") {
			_, value, _ := strings.Cut(pair, "=")
			if value = strings.TrimSpace(value); len(value) < minTraceSecret {
				continue
			}
			n.secrets = append(n.secrets, value)
			if plain, err := url.PathUnescape(value); err == nil && plain != value {
				n.secrets = append(n.secrets, plain)
			}
		}
	}
	return n
}

// Handle implements otel.ErrorHandler.
func (n *traceNotes) Handle(err error) {
	if err != nil {
		n.note(err.Error())
	}
}

func (n *traceNotes) note(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	if now.Before(n.next) {
		n.skipped++
		return
	}
	n.logger.Warn("traces not exported", zap.String("why", n.redact(text)), zap.Int("more", n.skipped))
	n.next, n.skipped = now.Add(traceNoteInterval), 0
}

// redact takes addresses and the values of headers out of a text.
func (n *traceNotes) redact(text string) string {
	for _, s := range n.secrets {
		text = strings.ReplaceAll(text, s, masked)
	}
	text = strings.Join(strings.Fields(anyURL.ReplaceAllString(text, masked)), " ")
	if len(text) > maxTraceNote {
		text = strings.ToValidUTF8(text[:maxTraceNote], "") + "…"
	}
	return text
}

// logr is a logger for OpenTelemetry's libraries that takes errors only.
func (n *traceNotes) logr() logr.Logger { return logr.New(traceSink{n}) }

// traceSink is the sink of that logger. The values that come with an error stay
// out: one may be a header as it was given.
type traceSink struct{ notes *traceNotes }

// Init implements logr.LogSink.
func (traceSink) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink.
func (traceSink) Enabled(int) bool { return false }

// Info implements logr.LogSink.
func (traceSink) Info(int, string, ...any) {}

// Error implements logr.LogSink.
func (s traceSink) Error(err error, msg string, _ ...any) {
	if err != nil {
		msg += ": " + err.Error()
	}
	s.notes.note(msg)
}

// WithValues implements logr.LogSink.
func (s traceSink) WithValues(...any) logr.LogSink { return s }

// WithName implements logr.LogSink.
func (s traceSink) WithName(string) logr.LogSink { return s }
