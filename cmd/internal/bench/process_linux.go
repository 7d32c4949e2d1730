package bench

import (
	"os"
	"os/exec"
	"syscall"
)

// setGroup also ends the child when this process is killed.
func setGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
}

func interrupt(p *os.Process) { _ = p.Signal(os.Interrupt) } // it may have ended
