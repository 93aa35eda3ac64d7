// Command usage measures paid use of a model over HTTP: a client, the consumer's gateway, the host's gateway and a trivial
// server behind the model, beside the same without payment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/process"
)

type settings struct {
	requests    int
	clients     int
	window      int
	repetitions int
	tokens      int
	stream      bool
	json        string
	profile     string
}

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // as datanet gateway serve does
	}
	process.Main(command())
}

func command() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "usage", Short: "Measure paid use of a model through two gateways",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), s, c.OutOrStdout(), c.ErrOrStderr()) },
	}
	f := c.Flags()
	f.IntVar(&s.requests, "requests", 10_000, "requests of a burst")
	f.IntVar(&s.clients, "clients", 64, "clients, each of which sends its next request when the last is answered")
	f.IntVar(&s.window, "window", 4, "how many answers of a session may be unvouched")
	f.IntVar(&s.repetitions, "repetitions", 3, "bursts of each case")
	f.IntVar(&s.tokens, "tokens", 40, "tokens of an answer")
	f.BoolVar(&s.stream, "stream", false, "ask for streams")
	f.StringVar(&s.json, "json", "", "also write the figures to this file, as JSON rows")
	f.StringVar(&s.profile, "profile", "", "write processor profiles of the last bursts, of everything but Fabric, to this file (paid) and FILE.unpaid")
	return c
}

// run measures and prints.
func run(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	if s.requests < 1 || s.clients < 1 || s.window < 1 || s.repetitions < 1 || s.tokens < 1 {
		return errors.New("all counts are at least 1")
	}
	dir, err := os.MkdirTemp("", "datanet-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the network: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log, err := os.OpenFile(filepath.Join(dir, "gateways.log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the gateways' log: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	b, err := start(ctx, s, dir, slog.New(slog.NewJSONHandler(log, nil)), func(text string) { fmt.Fprintln(progress, text) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	r, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if err := r.print(out); err != nil {
		return err
	}
	return figure.Write(s.json, r.rows)
}

// profiled runs something under a processor profile.
func profiled(file io.Writer, do func() error) error {
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("make the profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return do()
}
