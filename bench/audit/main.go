// Command audit measures how fast an audit bundle is verified, beside the bare cost of the signatures in it, measured in
// the same run on as many cores.
//
//	go run ./bench/audit FOLDER [--make N | --uses N] [--ordering bft|raft] [--keys ed25519|ecdsa-p256] [--workers N] [--json FILE] [--cpuprofile FILE]
//
// With --uses it is made of paid uses, with receipts, texts and contents, and what these take is compared with the bare
// recomputation of the same receipts.
//
// FOLDER is a bundle, such as the one that bench --ledger leaves of a real network. With --make it is made first, unless it
// is there, of a market on the in-memory ledger whose members sign with real keys: blocks of the same form, without the
// hours that a busy machine needs for a network.
package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/bench/figure"
	"github.com/datanet-consortium/datanet/bench/process"
	"github.com/datanet-consortium/datanet/network"
)

type settings struct {
	size     int
	uses     int
	together int
	corpus   int
	ordering string
	keys     string
	workers  int
	json     string
	profile  string
}

// figures are what is measured. Processor time says the same as time, but does not depend on what else the machine does.
type figures struct {
	verify.Stats
	Transactions         int
	ProcessorSeconds     float64
	BareProcessorSeconds float64
	ProcessorRatio       float64
	PeakGB               float64
}

func main() {
	process.Main(command())
}

func command() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "audit FOLDER", Short: "Measure how fast an audit bundle is verified",
		Args: cobra.ExactArgs(1), SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, args []string) error { return run(c, args[0], s) },
	}
	f := c.Flags()
	f.IntVar(&s.size, "make", 0, "make the bundle of so many transactions in memory, unless it is there")
	f.IntVar(&s.uses, "uses", 0, "make the bundle of so many paid uses with receipts, texts and contents, unless it is there")
	f.IntVar(&s.together, "together", 5000, "uses of a settlement, with --uses")
	f.IntVar(&s.corpus, "corpus", 1_000_000, "tokens of the corpus, about, with --uses")
	f.StringVar(&s.ordering, "ordering", "bft", "ordering service of such a bundle: bft or raft")
	f.StringVar(&s.keys, "keys", string(network.Ed25519), "algorithm of its members' keys: ed25519 or ecdsa-p256")
	f.IntVar(&s.workers, "workers", 0, "signatures checked at once (default: one for each core)")
	f.StringVar(&s.json, "json", "", "also write the figures to this file")
	f.StringVar(&s.profile, "cpuprofile", "", "write a processor profile of the verification to this file")
	return c
}

func run(c *cobra.Command, folder string, s settings) (err error) {
	if err := makeBundle(folder, s, c.ErrOrStderr()); err != nil {
		return err
	}
	r, err := bundle.Open(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	debug.SetGCPercent(verify.GCPercent)
	options := verify.Options{Measure: true, Workers: s.workers}
	if _, err := hex.Decode(options.Genesis[:], []byte(r.Manifest.Genesis)); err != nil { // this is about speed, not about trust
		return fmt.Errorf("read the genesis hash: %w", err)
	}
	if s.profile != "" {
		file, err := os.Create(s.profile)
		if err != nil {
			return fmt.Errorf("write a profile: %w", err)
		}
		if err := pprof.StartCPUProfile(file); err != nil {
			return fmt.Errorf("write a profile: %w", err)
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, file.Close())
		}()
	}
	began := process.Time()
	held := &stretch{}
	options.Progress = func(done, all uint64) {
		if done == all {
			held.begin()
		}
	}
	report, err := verify.Run(c.Context(), r, options)
	if err != nil {
		return err
	}
	held.end()
	took, peak := process.Time()-began, process.Peak()
	began = process.Time()
	share, err := report.MeasureSignatures()
	if err != nil {
		return err
	}
	alone := float64(process.Time()-began) / share
	figures := figures{Stats: report.Stats, Transactions: report.Transactions, ProcessorSeconds: took.Seconds(), BareProcessorSeconds: alone / 1e9,
		ProcessorRatio: alone / float64(took), PeakGB: peak}
	for i, f := range report.Findings {
		if i < 10 {
			fmt.Fprintln(c.ErrOrStderr(), f)
		}
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%d blocks, %d transactions %v, %d rules run again, %d findings\n", report.Height-report.First, report.Transactions, report.Verdicts,
		report.Rerun, report.Count())
	fmt.Fprintf(out, "%.2f s, %.0f transactions/s with %d workers; %d signatures alone %.2f s, a ratio of %.0f %%\n", figures.Seconds, figures.PerSecond,
		figures.Workers, figures.Signatures, figures.BareSeconds, 100*figures.Ratio)
	fmt.Fprintf(out, "processor time %.2f s, of signatures alone %.2f s, a ratio of %.0f %%; peak memory %.2f GB\n", figures.ProcessorSeconds,
		figures.BareProcessorSeconds, 100*figures.ProcessorRatio, figures.PeakGB)
	name := fmt.Sprintf("%d transactions", report.Transactions)
	rows := []figure.Row{
		{Case: name, Metric: "verified", Value: figures.PerSecond, Unit: "transactions/s"},
		{Case: name, Metric: "ratio to bare signature checks", Value: 100 * figures.Ratio, Unit: "%"},
		{Case: name, Metric: "processor time", Value: figures.ProcessorSeconds, Unit: "s"},
		{Case: name, Metric: "processor time of bare signature checks", Value: figures.BareProcessorSeconds, Unit: "s"},
		{Case: name, Metric: "ratio to bare signature checks, by processor time", Value: 100 * figures.ProcessorRatio, Unit: "%"},
		{Case: name, Metric: "peak memory", Value: figures.PeakGB, Unit: "GB"},
	}
	if report.Held != nil && report.Held.Recomputed > 0 {
		bare, err := recompute(c.Context(), folder)
		if err != nil {
			return err
		}
		rows = append(rows, compare(out, report.Held, held, bare)...)
	}
	return figure.Write(s.json, rows)
}

// makeBundle makes a bundle unless it is there, and forgets what that took of memory.
func makeBundle(folder string, s settings, progress io.Writer) error {
	if _, err := os.Stat(filepath.Join(folder, "manifest.json")); !errors.Is(err, os.ErrNotExist) || s.size+s.uses == 0 {
		return nil
	}
	keys, err := os.MkdirTemp("", "datanet-keys-")
	if err != nil {
		return fmt.Errorf("make a folder for keys: %w", err)
	}
	defer os.RemoveAll(keys)
	if s.uses > 0 {
		err = makePaid(folder, keys, s, progress)
	} else {
		err = makeLedger(folder, keys, s, progress)
	}
	debug.FreeOSMemory()
	return errors.Join(err, process.ForgetPeak())
}
