// Command gateway measures the gateway on a local network: reads, writes, uploads and downloads over its HTTP interface,
// each beside a yardstick of the same run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/bench/process"
)

type settings struct {
	ordering      string
	contributions int
	reads         int
	writes        int
	repetitions   int
	megabytes     int
	json          string
	profile       string
}

func main() {
	process.Main(command())
}

func command() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "gateway", Short: "Measure reads, writes and content of a gateway on a local network",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error { return run(c.Context(), s, c.OutOrStdout(), c.ErrOrStderr()) },
	}
	f := c.Flags()
	f.StringVar(&s.ordering, "ordering", "bft", "ordering service of the local network: bft or raft")
	f.IntVar(&s.contributions, "contributions", 5000, "contributions on the ledger while it is read")
	f.IntVar(&s.reads, "reads", 5000, "reads of a burst")
	f.IntVar(&s.writes, "writes", 300, "writes of a burst of 64 clients; fewer clients make fewer")
	f.IntVar(&s.repetitions, "repetitions", 3, "bursts of each case")
	f.IntVar(&s.megabytes, "megabytes", 256, "size of the content that is uploaded and downloaded (0: none)")
	f.StringVar(&s.json, "json", "", "also write the figures to this file, as JSON rows")
	f.StringVar(&s.profile, "profile", "", "write a processor profile of the reads, of gateway and clients, to this file")
	return c
}

// run measures and prints.
func run(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	if s.contributions < 1 || s.reads < 1 || s.writes < 64 || s.repetitions < 1 || s.megabytes < 0 {
		return errors.New("--contributions, --reads and --repetitions are at least 1, --writes at least 64")
	}
	dir, err := os.MkdirTemp("", "datanet-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the network: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	say := func(text string) { fmt.Fprintln(progress, text) }
	b, err := start(ctx, s, dir, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	var r report
	for _, part := range []func(context.Context, *report) error{b.reads, b.writes, b.contents} {
		if err := part(ctx, &r); err != nil {
			return err
		}
	}
	if err := r.print(out, b.heading()); err != nil {
		return err
	}
	return r.writeJSON(s.json)
}

// profiled runs something under the processor profile that the settings ask for.
func (s settings) profiled(do func() error) (err error) {
	if s.profile == "" {
		return do()
	}
	file, err := os.Create(s.profile)
	if err != nil {
		return fmt.Errorf("make the profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("make the profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return do()
}
