package bench

import (
	"os"
	"path/filepath"
	"testing"
)

// Not parallel: a process has one profile of its CPU at a time.
func TestProfileLeavesThreeFiles(t *testing.T) { //nolint:paralleltest // see above
	prefix := filepath.Join(t.TempDir(), "run")
	stop, err := Profile(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cpu", "allocs", "block"} {
		if info, err := os.Stat(prefix + "-" + name + ".pprof"); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v; want a profile", name, info, err)
		}
	}
	if _, err := Profile(filepath.Join(prefix, "nowhere")); err == nil {
		t.Error("no error where nothing can be written")
	}
}
