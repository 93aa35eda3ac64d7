package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/datanet-consortium/datanet/gateway/client"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
	"github.com/datanet-consortium/datanet/test-network/supervisor"
)

// Exit codes. They are part of the interface: scripts decide by them.
const (
	exitSuccess = 0
	exitFailure = 1
	exitUsage   = 2
	exitAbsent  = 3
	exitUnwell  = 4
	exitUnknown = 5
	exitRefused = 6
)

// usageError is a mistake in the command line or in a file that it names.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errUnwell says that the network runs but needs attention. What is wrong has been printed.
var errUnwell = errors.New("the network needs attention")

// report prints an error and returns the exit code for it.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitSuccess
	}
	fmt.Fprintln(stderr, "datanet:", err)
	var (
		usage      usageError
		none       *testnetwork.NoNetworkError
		notRunning *supervisor.NotRunningError
		away       *client.UnreachableError
		unknown    *client.UnknownError
		refusal    *client.Problem
	)
	switch {
	// Cobra has no type for an unknown command.
	case errors.As(err, &usage), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.As(err, &unknown):
		return exitUnknown
	case errors.As(err, &none), errors.As(err, &notRunning), errors.As(err, &away):
		return exitAbsent
	case errors.As(err, &refusal) && !refusal.Retryable && refusal.Status < 500:
		return exitRefused
	case errors.Is(err, errUnwell):
		return exitUnwell
	default:
		return exitFailure
	}
}
