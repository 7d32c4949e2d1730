package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// walkBlock is one block of commands of the README's walk-through.
type walkBlock struct {
	script string
	shown  []string // the lines after #>
}

func walkThrough(t *testing.T) []walkBlock {
	t.Helper()
	_, rest, found := strings.Cut(readme(t), "<!-- the walk-through:")
	text, _, closed := strings.Cut(rest, "<!-- end of the walk-through -->")
	if !found || !closed {
		t.Fatal("the README has no marked walk-through")
	}
	var blocks []walkBlock
	for _, m := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(text, -1) {
		var b walkBlock
		for line := range strings.Lines(m[1]) {
			if shown, ok := strings.CutPrefix(line, "#> "); ok {
				b.shown = append(b.shown, strings.TrimSpace(shown))
				continue
			}
			b.script += line
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// asks reports whether the block only looks, and so may be repeated until what
// it waits for has happened.
func (b walkBlock) asks() bool { return !strings.Contains(b.script, " -d ") }

// missing is the first line that the README shows and out does not have, after
// the ones before it; "" when all are there.
func (b walkBlock) missing(out string) string {
	for _, line := range b.shown {
		parts := strings.Split(line, "…")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		at := regexp.MustCompile(strings.Join(parts, ".*")).FindStringIndex(out)
		if at == nil {
			return line
		}
		if !strings.HasPrefix(line, "…") {
			out = out[at[1]:]
		}
	}
	return ""
}

// The README's calls work against dev as they stand, and print what it shows.
func TestReadmeWalkThrough(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*runDeadline)
	defer cancel()
	dev := shell{}.start(t, "dev", "--listen-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	phones := dev.stderr.await(ctx, t, `Simulated WeChat: (\S+)`)[1]
	dev.stderr.await(ctx, t, "Running")
	key := dev.stdout.await(ctx, t, `Bearer (wxn_[\w-]+)`)[1]
	door := dev.stdout.await(ctx, t, `api +http://(\S+)/docs`)[1]
	console := dev.stdout.await(ctx, t, `console +(http://\S+/admin/) +user admin, password (\S+)`)

	state := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := walkThrough(t)
	if len(blocks) < 8 {
		t.Fatalf("only %d blocks were found", len(blocks))
	}
	for i, b := range blocks {
		script := strings.NewReplacer("KEY=wxn_…", "KEY="+key, "PHONES=http://127.0.0.1:…/_sim/", "PHONES="+phones,
			"127.0.0.1:8080", door, "CONSOLE=http://127.0.0.1:9090/admin/", "CONSOLE="+console[1], "PASSWORD=…", "PASSWORD="+console[2],
		).Replace(b.script)
		for {
			out := runBlock(ctx, t, state, script)
			missing := b.missing(out)
			if missing == "" {
				break
			}
			if !b.asks() || ctx.Err() != nil {
				t.Fatalf("block %d does not print %q:\n%s\n%s", i+1, missing, b.script, out)
			}
		}
	}
	if code := dev.stop(ctx, t); code != exitOK {
		t.Errorf("dev: exit code %d, stderr:\n%s", code, &dev.stderr)
	}
}

// runBlock runs commands in a shell that knows what the blocks before it set.
func runBlock(ctx context.Context, t *testing.T, state, script string) string {
	t.Helper()
	whole := fmt.Sprintf("set -u\nsource %[1]s\n%[2]s\n{ declare -f; for v in KEY DOOR PHONES CONSOLE PASSWORD ID OPENID; do [ -v $v ] && declare -p $v; done; } >%[1]s\nexit 0\n", state, script)
	cmd := exec.CommandContext(ctx, "bash", "-c", whole)
	cmd.Dir, cmd.WaitDelay = filepath.Dir(state), time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s\n%s", err, script, out)
	}
	return string(out)
}
