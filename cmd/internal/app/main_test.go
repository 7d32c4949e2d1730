package app_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// buildDir holds the binary that the tests with real processes run.
var buildDir string

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "wxnotify-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// binary is the program, built once for all tests of a run.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir, "wxnotify")
	out, err := exec.Command("go", "build", "-o", path, module+"/cmd/wxnotify").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, bytes.TrimSpace(out))
	}
	return path, nil
})
