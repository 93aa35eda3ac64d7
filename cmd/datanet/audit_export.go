package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/bundles"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

func newAuditExport() *cobra.Command {
	var mspID, file, texts string
	var wish bundles.Wish
	command := &cobra.Command{
		Use:   "export FOLDER",
		Short: "Write the ledger's blocks to a bundle, with receipts and contents that you may have",
		Long: `Streams the blocks that an organisation's peer holds into a folder, as verify reads it.
Repeating the command adds what is new, also after an interruption. With --file the bundle is
packed into one file as well.

With --from the bundle holds a range; it then begins with the configuration in force and the state
before it, for which all earlier blocks are read and replayed, and the manifest says what a range
leaves unproved.

With --receipts the bundle also has the leaves and receipts of every settlement, which the gateways
of hosts show to members and to the regulator, and the leaves of the snapshots behind them. With
--contents it has the contents of these snapshots too, in clear: the gateway asks a holder for each,
the holder's gateway records the release on the ledger, and what the rules do not allow, or what is
erased, stays out; with --to also what was not released by then. Verify looks for these releases, to
the organisation of the gateway, which the manifest names; it rebuilds the corpora and computes
receipts again wherever a text is there: those that --texts names, which a party to the use kept
(datanet chat --keep) and handed over.
Without --gateway and --identity the gateway and first user of --org in the local network are taken.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			wish.Receipts = wish.Receipts || wish.Contents
			if texts != "" {
				if !wish.Receipts {
					return usageError{errors.New("--texts go with --receipts")}
				}
				if info, err := os.Stat(texts); err != nil || !info.IsDir() {
					return usageError{fmt.Errorf("--texts: there is no folder %s", texts)}
				}
				wish.Texts = bundles.TextsIn(texts)
			}
			if len(wish.Models) > 0 && !wish.Receipts {
				return usageError{errors.New("--model goes with --receipts")}
			}
			for _, name := range wish.Models {
				if _, err := modelNamed(name); err != nil {
					return usageError{err}
				}
			}
			dir, err := stateDir(command)
			if err != nil {
				return err
			}
			state, err := testnetwork.Open(dir)
			if err != nil {
				return err
			}
			result, err := export(command, state, mspID, args[0], wish)
			if err != nil {
				return err
			}
			if file != "" {
				if err := packFile(args[0], file); err != nil {
					return err
				}
				result.Bundle = file
			}
			if wantsJSON(command) {
				return printJSON(command.OutOrStdout(), result)
			}
			return writeExported(command.OutOrStdout(), result)
		},
	}
	flags := command.Flags()
	flags.String("dir", ".datanet", "state folder of the network")
	flags.StringVar(&mspID, "org", "", "MSP ID of the organisation whose peer is asked (default: the regulator's)")
	flags.StringVar(&file, "file", "", "pack the bundle into this file as well")
	flags.Uint64Var(&wish.From, "from", 0, "first block")
	flags.BoolVar(&wish.State, "state", true, "begin a range with the state before it")
	flags.Uint64Var(&wish.To, "to", 0, "block to end before (default: the peer's height)")
	flags.BoolVar(&wish.Receipts, "receipts", false, "with the leaves and receipts of settlements")
	flags.BoolVar(&wish.Contents, "contents", false, "with the contents that receipts were computed from, in clear; implies --receipts")
	flags.StringSliceVar(&wish.Models, "model", nil, "receipts and contents of this model only, as NAME@VERSION; may be repeated")
	flags.StringVar(&texts, "texts", "", "folder of texts that parties to uses have handed over")
	gatewayFlags(command)
	return command
}

// export connects to an organisation's peer, and to its gateway where that is needed.
func export(command *cobra.Command, state *testnetwork.State, mspID, folder string, wish bundles.Wish) (*bundles.Exported, error) {
	if mspID == "" {
		mspID = state.Topology().Regulator.MSPID
	}
	org, material, err := state.Organization(mspID)
	if err != nil {
		return nil, usageError{err}
	}
	if len(org.Users) == 0 {
		return nil, fmt.Errorf("%s has no user in the topology who could read its peer", mspID)
	}
	user := org.Users[0].Name
	identity, err := state.User(mspID, user)
	if err != nil {
		return nil, err
	}
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	source := &bundles.Source{Channel: state.Topology().Channel, Chaincode: state.Topology().Chaincode.Name}
	if source.Peer, err = fabric.Connect(conn, identity, source.Channel, source.Chaincode); err != nil {
		return nil, err
	}
	if wish.Receipts {
		if source.Gateway, err = exportGateway(command, state, mspID, user); err != nil {
			return nil, err
		}
		defer source.Gateway.Close()
	}
	shown := &workProgress{out: command.ErrOrStderr()}
	defer shown.finish()
	source.Progress = shown.show
	result, err := source.Export(command.Context(), folder, wish)
	var outside *bundles.RangeError
	if errors.As(err, &outside) {
		return nil, usageError{err}
	}
	return result, err
}

// exportGateway is the gateway that flags choose, or that of a user of the local network.
func exportGateway(command *cobra.Command, state *testnetwork.State, mspID, user string) (*client.Client, error) {
	for _, name := range []string{"gateway", "identity", "api-key-file"} {
		if command.Flags().Changed(name) {
			return connect(command)
		}
	}
	_, material, err := state.Organization(mspID)
	if err != nil {
		return nil, err
	}
	var o client.Options
	if o.Gateway, err = state.GatewayURL(mspID); err != nil {
		return nil, err
	}
	if o.Identity, err = client.LoadIdentity(material.UserMSPDir(user)); err != nil {
		return nil, err
	}
	if o.Roots, err = client.ReadRoots(material.GatewayTLS().CAFile); err != nil {
		return nil, err
	}
	return newClient(command, o)
}

// mostRefusals is how many refusals are printed.
const mostRefusals = 10

func writeExported(out io.Writer, result *bundles.Exported) error {
	var b strings.Builder
	fmt.Fprintf(&b, "blocks %d to %d of channel %s in %s\n", result.First, result.Height-1, result.Channel, result.Bundle)
	if p := result.Parts; p != nil {
		fmt.Fprintf(&b, "%d settlements of %d uses with their receipts, %d with a text; %d snapshots; %d contents\n", p.Settlements, p.Uses, p.Texts, p.Snapshots, p.Contents)
		for i, r := range p.Refused {
			if i == mostRefusals {
				fmt.Fprintf(&b, "and %d more were not given: see --json\n", len(p.Refused)-mostRefusals)
				break
			}
			fmt.Fprintf(&b, "not given: %s: %s\n", printable(r.Part), printable(r.Why))
		}
	}
	fmt.Fprintf(&b, "To verify: datanet audit verify %s --genesis HASH, with the genesis hash from another source; this network's is\n%s\n", result.Bundle, result.Genesis)
	_, err := io.WriteString(out, b.String())
	return err
}

// packFile packs a bundle beside its place and puts it there at once.
func packFile(folder, path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("pack the bundle: %w", err)
	}
	err = bundle.Pack(folder, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("pack the bundle: %w", err), os.Remove(file.Name()))
	}
	return nil
}

// workProgress is a bar on a terminal, and nothing elsewhere. Each kind of work has one.
type workProgress struct {
	out  io.Writer
	what string
	bar  *progressbar.ProgressBar
}

func (p *workProgress) show(what string, done, all uint64) {
	if !isTerminal(p.out) {
		return
	}
	if p.bar == nil || p.what != what {
		p.finish()
		p.what = what
		p.bar = progressbar.NewOptions64(int64(all), progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(int64(done)) // a bar that cannot be drawn is no reason to stop
}

func (p *workProgress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
