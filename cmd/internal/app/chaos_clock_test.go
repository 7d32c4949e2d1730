package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// clockVariable sets the clock of shiftedBinary off, in seconds.
const clockVariable = "WXNOTIFY_TEST_CLOCK"

// shiftedBinary is the program with a wall clock that may be wrong. Go asks the
// kernel for the time without libc, so libfaketime does not reach it, and a time
// namespace has a monotonic clock of its own but no wall clock: hence the
// program is built with a time.Now that adds the seconds of clockVariable.
// Timers and deadlines are monotonic and stay right, as on a real machine.
func shiftedBinary(t *testing.T) string {
	t.Helper()
	path, err := builtShifted()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var builtShifted = sync.OnceValues(func() (string, error) {
	// The standard library that is built, which need not be where this test's
	// own was.
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOROOT: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	original := filepath.Join(dir, "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("read the standard library: %w", err)
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if n := strings.Count(string(source), now); n != 1 {
		return "", fmt.Errorf("time.Now of %s is not as expected: %d matches", runtime.Version(), n)
	}
	files := map[string]string{
		"time.go": strings.Replace(string(source), now, now+"\tsec += wrong\n", 1),
		"wrong.go": `package time

import "syscall"

// wrong is how many seconds the wall clock is ahead.
var wrong = func() int64 {
	text, _ := syscall.Getenv("` + clockVariable + `")
	n, _ := atoi(text)
	return int64(n)
}()
`,
	}
	overlay := map[string]map[string]string{"Replace": {}}
	for name, text := range files {
		path := filepath.Join(buildDir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay["Replace"][filepath.Join(dir, name)] = path
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	listPath, path := filepath.Join(buildDir, "overlay.json"), filepath.Join(buildDir, "wxnotify-shifted")
	if err := os.WriteFile(listPath, list, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-overlay", listPath, "-o", path, module+"/cmd/wxnotify").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program with a shifted clock: %w\n%s", err, bytes.TrimSpace(out))
	}
	return path, nil
})
