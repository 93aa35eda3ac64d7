//go:build !linux && !darwin

package process

import (
	"errors"
	"os"
	"os/exec"
)

// startBound refuses: here nothing would end the children of a parent that is killed.
func startBound(*exec.Cmd) (ended func(), err error) {
	return nil, errors.New("the local network runs on Linux and macOS only")
}

// killGroup kills a child.
func killGroup(child *os.Process) error { return child.Kill() }
