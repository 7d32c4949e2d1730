package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/wxnotify/wxnotify/cmd/internal/app"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/store"
)

// importChunk is how many bindings one transaction writes: large enough that
// round trips do not count, small enough that an interrupted import loses
// little and locks nobody out for long.
const importChunk = 5000

// maxShownFaults bounds the bad lines that are listed; all are counted.
const maxShownFaults = 50

func (p *program) usersImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Bind users from a CSV file, - for stdin",
		Long: "The file is UTF-8 CSV with a header: user_id,openid and optionally unionid,app.\n" +
			"A bad line is reported by its number and left out; the exit code is then 1. The\n" +
			"import can be repeated: what is there already counts as unchanged.",
		Args: cobra.ExactArgs(1),
	}
	appName := appFlag(cmd, "appid of lines that name none (default: the default app)")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in, size, err := p.openInput(args[0])
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }() // only read
		return p.withStore(config.RoleStore, func(ctx context.Context, cfg *config.Config, s app.Store) error {
			id, err := appID(cfg, *appName)
			if err != nil {
				return err
			}
			im := &userImport{
				cfg: cfg, store: s, progress: p.newProgress(), size: size,
				report: importReport{Faults: []lineFault{}},
			}
			err = im.run(ctx, in, id)
			im.progress.clear()
			return p.reportImport(im.report, *asJSON, err)
		})(cmd, args)
	}
	return cmd
}

// openInput opens a file, or stdin for "-"; size is 0 when it is not known.
func (p *program) openInput(path string) (in io.ReadCloser, size int64, err error) {
	if path == "-" {
		return io.NopCloser(p.stdin), 0, nil
	}
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, 0, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return f, size, nil
}

// importReport is what an import did.
type importReport struct {
	boundCount
	Repeated int         `json:"repeated"` // lines that a later one overrides
	Bad      int         `json:"bad"`
	Faults   []lineFault `json:"faults"` // the first of the bad lines
}

// lineFault is a bad line; it does not repeat what stands there.
type lineFault struct {
	Line    int    `json:"line"`
	Problem string `json:"problem"`
}

// reportImport prints what was done, also when err ended the import early.
func (p *program) reportImport(r importReport, asJSON bool, err error) error {
	if errors.As(err, new(headerError)) {
		return err
	}
	for _, f := range r.Faults {
		p.printf("line %d: %s\n", f.Line, f.Problem)
	}
	if more := r.Bad - len(r.Faults); more > 0 {
		p.printf("and %s more\n", count(more, "bad line"))
	}
	var printErr error
	if asJSON {
		printErr = p.printJSON(r)
	} else {
		printErr = p.print(fmt.Sprintf("created %s  changed %s  moved %s  unchanged %s  repeated %s  bad %s\n",
			thousands(r.Created), thousands(r.Changed), thousands(r.Moved), thousands(r.Unchanged),
			thousands(r.Repeated), thousands(r.Bad)))
	}
	switch {
	case err != nil:
		return fmt.Errorf("the import stopped early and can be repeated: %w", err)
	case printErr != nil:
		return printErr
	case r.Bad > 0:
		return fmt.Errorf("%s left out", count(r.Bad, "bad line"))
	}
	return nil
}

// userImport is one import under way.
type userImport struct {
	cfg      *config.Config
	store    app.BindingStore
	progress *progress
	size     int64 // of the input; 0 when it is not known
	chunk    []store.Binding
	report   importReport
}

func (im *userImport) run(ctx context.Context, in io.Reader, defaultApp string) error {
	lines, err := newBindingLines(in, im.cfg, defaultApp)
	if err != nil {
		return err
	}
	for {
		b, line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return im.flush(ctx)
		case errors.As(err, new(badLineError)):
			im.bad(line, err)
			continue
		case err != nil:
			return err
		}
		im.chunk = append(im.chunk, b)
		if len(im.chunk) == importChunk {
			if err := im.flush(ctx); err != nil {
				return err
			}
			im.progress.show(func() string { return im.status(lines.reader) })
		}
	}
}

func (im *userImport) bad(line int, err error) {
	im.report.Bad++
	if len(im.report.Faults) < maxShownFaults {
		im.report.Faults = append(im.report.Faults, lineFault{Line: line, Problem: err.Error()})
	}
}

// flush writes the chunk and counts what became of it.
func (im *userImport) flush(ctx context.Context) error {
	if len(im.chunk) == 0 {
		return ctx.Err()
	}
	bound, err := im.store.Bind(ctx, im.chunk)
	if err != nil {
		return err
	}
	r := &im.report
	r.Created += bound.Created
	r.Changed += bound.Changed
	r.Moved += bound.Moved
	r.Unchanged += bound.Unchanged
	r.Repeated += len(im.chunk) - bound.Created - bound.Changed - bound.Moved - bound.Unchanged
	im.chunk = im.chunk[:0]
	return nil
}

func (im *userImport) status(reader *csv.Reader) string {
	r := im.report
	text := count(r.Created+r.Changed+r.Moved+r.Unchanged, "user")
	if im.size > 0 {
		text += fmt.Sprintf(", %d%%", 100*reader.InputOffset()/im.size)
	}
	return text
}
