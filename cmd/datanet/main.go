// Command datanet is the one program for people who work with a Datanet network.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/hyperledger/fabric-lib-go/common/flogging"
)

func main() {
	// Fabric's packages log every connection as soon as they are imported.
	flogging.ActivateSpec("error")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run performs a command line and returns the exit code.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(arguments)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if asJSON, _ := root.PersistentFlags().GetBool("json"); asJSON {
		return reportJSON(stderr, err)
	}
	return report(stderr, err)
}
