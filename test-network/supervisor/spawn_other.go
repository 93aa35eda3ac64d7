//go:build !linux && !darwin

package supervisor

import (
	"context"
	"errors"
	"os"
)

// Started is never called: Spawn starts nothing.
func Started() *os.File { return os.Stdout }

// Spawn fails: the local network needs Linux or macOS.
func Spawn(context.Context, string, string, []string, func(Event)) error {
	return errors.New("the local network runs on Linux and macOS only")
}
