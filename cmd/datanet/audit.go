package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/bundle"
	document "github.com/datanet-consortium/datanet/audit/report"
	verification "github.com/datanet-consortium/datanet/audit/verify"
)

// Exit codes of audit verify, beside those of all commands: by the gravest finding.
const (
	exitUnclear = 10
	exitBroken  = 11
	exitForged  = 12
)

// Exit codes of audit export, beside those of all commands: the bundle is whole without what was not given.
const (
	exitSomeGiven = 13
	exitNoneGiven = 14 // of the contents, or of the receipts
)

// findingsError says that a verification found something. The findings have been printed.
type findingsError struct {
	worst verification.Severity
	count int
}

func (e findingsError) Error() string {
	return fmt.Sprintf("%s, the gravest is %q", document.Count(e.count, "finding"), e.worst)
}

func (e findingsError) exitCode() int {
	switch e.worst {
	case verification.Forged:
		return exitForged
	case verification.Broken:
		return exitBroken
	}
	return exitUnclear
}

// damagedError is a bundle of which nothing can be verified.
type damagedError struct{ error }

func (e damagedError) Unwrap() error { return e.error }

func newAudit() *cobra.Command {
	command := &cobra.Command{
		Use:   "audit",
		Short: "Ask what a regulator asks; take the ledger out of the network and verify it offline",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newAuditExport(), newAuditVerify())
	command.AddCommand(newQuestions()...)
	return command
}

func newAuditVerify() *cobra.Command {
	var genesis, tip, chaincode string
	var stats bool
	var workers int
	command := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Verify a bundle, knowing only the genesis block's hash",
		Long: `Verifies a bundle made by "datanet audit export", a folder or one file, without any
network: the chain of blocks, the orderers' signatures, every creator's and endorser's,
configuration updates, the peers' verdicts and state, each transaction against the rules,
and the conservation of credits. Take the genesis hash from someone you trust other than
who made the bundle; likewise, with --tip, the latest block that you know of, since a
bundle that was cut off is otherwise whole.

Of a bundle with contents and receipts, contents are held against the ledger's commitments,
settlements against leaves and receipts, and receipts are computed again from the contents
where a text is there; corpora are rebuilt in temporary files, of which none is left.

Exit codes: 0 no finding, 10 something cannot be judged, 11 the network did what its rules
do not allow, 12 the bundle is damaged or forged.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			options := verification.Options{Chaincode: chaincode, Measure: stats, Workers: workers}
			if genesis == "" {
				return usageError{errors.New("--genesis is needed: the hash of the genesis block, from somebody other than who made the bundle")}
			}
			if err := decodeHash(genesis, &options.Genesis); err != nil {
				return usageError{fmt.Errorf("--genesis: %w", err)}
			}
			if tip != "" {
				number, hash, _ := strings.Cut(tip, ":")
				options.Tip = &verification.Tip{}
				var err error
				if options.Tip.Number, err = strconv.ParseUint(number, 10, 64); err != nil {
					return usageError{fmt.Errorf("--tip: NUMBER:HASH is expected, not %q", tip)}
				}
				if err := decodeHash(hash, &options.Tip.Hash); err != nil {
					return usageError{fmt.Errorf("--tip: %w", err)}
				}
			}
			return auditVerify(command, args[0], options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&genesis, "genesis", "", "hash of the genesis block's header, 64 hex digits (required)")
	flags.StringVar(&tip, "tip", "", "a block that is known to exist, as NUMBER:HASH")
	flags.StringVar(&chaincode, "chaincode", "", "name of the chaincode (default: the manifest's)")
	flags.BoolVar(&stats, "stats", false, "compare the speed with that of bare signature checks")
	flags.IntVar(&workers, "workers", 0, "how many signatures are checked at once (default: one for each core)")
	return command
}

func decodeHash(text string, into *[32]byte) error {
	hash, err := hex.DecodeString(text)
	if err != nil || len(hash) != len(into) {
		return fmt.Errorf("a hash of 64 hex digits is expected, not %q", text)
	}
	copy(into[:], hash)
	return nil
}

func auditVerify(command *cobra.Command, path string, options verification.Options) error {
	reader, err := bundle.Open(path)
	if errors.Is(err, bundle.ErrDamaged) {
		return damagedError{err}
	}
	if err != nil {
		return err
	}
	defer reader.Close()
	shown := &workProgress{out: command.ErrOrStderr()}
	options.Progress = func(done, all uint64) { shown.show("blocks verified", done, all) }
	options.Parts = func(done, all int) { shown.show("parts verified", uint64(done), uint64(all)) }
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(verification.GCPercent)
	}
	report, err := verification.Run(command.Context(), reader, options)
	shown.finish()
	if err != nil {
		return err
	}
	if options.Measure {
		if _, err := report.MeasureSignatures(); err != nil {
			return err
		}
	}
	if wantsJSON(command) {
		err = printJSON(command.OutOrStdout(), report)
	} else {
		err = writeReport(command.OutOrStdout(), report, options.Measure)
	}
	if err == nil && report.Worst() != "" {
		err = findingsError{worst: report.Worst(), count: report.Count()}
	}
	return err
}

func writeReport(out io.Writer, r *verification.Report, stats bool) error {
	var b strings.Builder
	if r.Height > r.First {
		fmt.Fprintf(&b, "channel %s, blocks %d to %d, %s; the rules were run again for %d\n", printable(r.Channel), r.First, r.Height-1, document.Count(r.Transactions, "transaction"), r.Rerun)
	} else {
		b.WriteString("no block could be read\n")
	}
	if r.Genesis != "" { // a range has none
		fmt.Fprintf(&b, "genesis %s\n", r.Genesis)
	}
	if r.Tip != "" {
		fmt.Fprintf(&b, "last    %s\n", r.Tip)
	}
	if h := r.Held; h != nil {
		fmt.Fprintf(&b, `held against the ledger:
 - contents that open their commitments: %d
 - snapshots whose leaves give their roots: %d
 - settlements: %d, of %s
 - receipts held against leaf and model: %d, computed again from texts and contents: %d
 - attestors' tables that follow from receipts: %d
`, h.Contents, h.Snapshots, h.Settlements, document.Count(h.Uses, "use"), h.Receipts, h.Recomputed, h.Tables)
	}
	if stats {
		s := r.Stats
		fmt.Fprintf(&b, "%.2f s, %.0f transactions/s, %s; alone %.2f s, a ratio of %.0f %%\n", s.Seconds, s.PerSecond, document.Count(s.Signatures, "signature"), s.BareSeconds, 100*s.Ratio)
	}
	if len(r.Findings) == 0 {
		b.WriteString("no finding\n")
	} else {
		b.WriteString("findings:\n")
	}
	for _, f := range r.Findings {
		fmt.Fprintln(&b, " -", f)
	}
	if r.Suppressed > 0 {
		fmt.Fprintf(&b, " - and %d more that are not listed\n", r.Suppressed)
	}
	b.WriteString("not shown by this verification:\n")
	for _, u := range r.Unproved {
		fmt.Fprintln(&b, " -", u)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}
