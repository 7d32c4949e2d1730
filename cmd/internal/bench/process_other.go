//go:build !linux

package bench

import (
	"os"
	"os/exec"
	"runtime"
)

func setGroup(*exec.Cmd) {}

// interrupt kills where a process cannot be asked.
func interrupt(p *os.Process) {
	if runtime.GOOS == "windows" {
		_ = p.Kill() // it may have ended
		return
	}
	_ = p.Signal(os.Interrupt)
}
