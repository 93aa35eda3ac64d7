// Command bench measures what the ledger's transactions cost on a real local network.
//
// It starts a network of its own in a temporary folder, whose chaincode serves the ledger's rules together with the
// yardstick, and prints one table. All rows come from the same network in the same run: bursts of all cases follow each
// other, several times over, and each figure is the median of a case's bursts. What counts is the ratio to the first
// row, a transaction that does nothing, since a burst keeps the whole machine busy.
//
// With --ledger it measures nothing, but makes a large ledger of the same transactions, those of the yardstick excepted,
// and leaves it as an audit bundle.
//
//	go run ./bench [--ordering bft|raft] [--keys ed25519|ecdsa-p256] [--repetitions N] [--transactions N] [--json FILE]
package main

import (
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/bench/process"
)

// settings are the command's flags, explained there.
type settings struct {
	ordering     string
	topology     string
	keys         string
	repetitions  int
	transactions int
	inFlight     int
	payees       int
	sessions     int
	json         string
	dir          string
	sealed       int
	only         []string
	ledger       string
	size         int
}

func main() {
	process.Main(command())
}

func command() *cobra.Command {
	var s settings
	c := &cobra.Command{
		Use: "bench", Short: "Measure what the ledger's transactions cost on a local network",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(c *cobra.Command, _ []string) error {
			if s.ledger != "" {
				return makeLedger(c.Context(), s, c.OutOrStdout(), c.ErrOrStderr())
			}
			return run(c.Context(), s, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&s.ordering, "ordering", "bft", "ordering service of the local network: bft or raft")
	f.StringVar(&s.topology, "topology", "", "measure the consortium of this file instead of the local network's")
	f.StringVar(&s.keys, "keys", "", "keys of all members' identities: ed25519 or ecdsa-p256 (the topology's if empty)")
	f.IntVar(&s.repetitions, "repetitions", 3, "bursts of each case")
	f.IntVar(&s.transactions, "transactions", 600, "transactions of a burst")
	f.IntVar(&s.inFlight, "in-flight", 300, "transactions under way at once")
	f.IntVar(&s.payees, "payees", 500, "payees of a batch, and accounts over which the uniform cases spread")
	f.IntVar(&s.sessions, "sessions", 1000, "sessions of a settlement")
	f.IntVar(&s.sealed, "sealed", 3000, "leaves up to which a datanet grows, to measure what sealing costs (0: not)")
	f.StringVar(&s.json, "json", "", "also write the figures to this file, as JSON rows")
	f.StringVar(&s.dir, "dir", "", "keep the network's folder, with its logs, here")
	f.StringArrayVar(&s.only, "only", nil, "measure only the no-op and this row, by its name, or sealing; may be repeated")
	f.StringVar(&s.ledger, "ledger", "", "measure nothing, but make a large ledger and export it as an audit bundle into this folder")
	f.IntVar(&s.size, "size", 100_000, "transactions of that ledger, at least")
	return c
}
