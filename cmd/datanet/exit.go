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
	return exitCode(err)
}

// failure is an error as programs read it.
type failure struct {
	Error string `json:"error"`
	Exit  int    `json:"exit"`
	// Problem is what the gateway said, and Key with which a write is repeated whose outcome is not known.
	Problem     *client.Problem `json:"problem,omitempty"`
	Key         string          `json:"key,omitempty"`
	Transaction string          `json:"transaction,omitempty"`
}

// reportJSON is report for programs.
func reportJSON(stderr io.Writer, err error) int {
	if err == nil {
		return exitSuccess
	}
	f := failure{Error: err.Error(), Exit: exitCode(err)}
	var unknown *client.UnknownError
	if errors.As(err, &unknown) {
		f.Key, f.Transaction = unknown.Key, unknown.Transaction
	}
	errors.As(err, &f.Problem)
	if printJSON(stderr, f) != nil {
		fmt.Fprintln(stderr, "datanet:", err)
	}
	return f.Exit
}

func exitCode(err error) int {
	var (
		usage      usageError
		none       *testnetwork.NoNetworkError
		notRunning *supervisor.NotRunningError
		away       *client.UnreachableError
		unknown    *client.UnknownError
		refusal    *client.Problem
	)
	var found findingsError
	var damaged damagedError
	var incomplete incompleteError
	switch {
	case errors.As(err, &incomplete):
		return incomplete.exitCode()
	case errors.As(err, &found):
		return found.exitCode()
	case errors.As(err, &damaged):
		return exitForged
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
