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
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/cmd/datanet/internal/bundles"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/network/pki"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

func newAuditExport() *cobra.Command {
	var file, texts string
	var from origin
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
The peer is that of --org in the local network of --dir, asked as the first user of --org; without
--gateway and --identity so is the gateway. Anywhere else --peer names the peer, --peer-ca the
authority of its TLS certificate, and --org the organisation of --identity, which the peer must let
read.

Exit codes, beside those of all commands: 13 some of what was asked for was not given, 14 of the
contents or of the receipts nothing was. Either way the bundle is whole and can be verified, and
repeating the command asks again for what is not in it.`,
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
			result, err := export(command, from, args[0], wish)
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
				err = printJSON(command.OutOrStdout(), result)
			} else {
				err = writeExported(command.OutOrStdout(), result)
			}
			if err == nil {
				err = refusals(result.Parts)
			}
			return err
		},
	}
	flags := command.Flags()
	flags.String("dir", ".datanet", "state folder of the network")
	flags.StringVar(&from.mspID, "org", "", "MSP ID of the organisation whose peer is asked (default: the regulator's)")
	flags.StringVar(&from.peer, "peer", "", "HOST:PORT of a peer that is not of a local network")
	flags.StringVar(&from.authority, "peer-ca", "", "PEM file of the authority of the peer's TLS certificate")
	flags.StringVar(&from.channel, "channel", "datanet", "channel of --peer")
	flags.StringVar(&from.chaincode, "chaincode", "datanet", "chaincode on the channel of --peer")
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

// origin is the peer that is asked: one of a local network, or any other.
type origin struct{ mspID, peer, authority, channel, chaincode string }

// connect opens a connection to the peer, and tells how to reach the gateway.
func (o origin) connect(command *cobra.Command) (*bundles.Source, func() (*client.Client, error), io.Closer, error) {
	if o.peer == "" {
		return o.local(command)
	}
	p, err := chosen(command)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case p.Identity == "" || o.mspID == "" || o.authority == "":
		return nil, nil, nil, usageError{errors.New("--peer needs --identity, the MSP ID of its organisation as --org, and the authority of the peer's certificate as --peer-ca")}
	case command.Flags().Changed("dir"):
		return nil, nil, nil, usageError{errors.New("give --peer or --dir, not both")}
	}
	identity, err := pki.LoadIdentity(p.Identity, o.mspID)
	if err != nil {
		return nil, nil, nil, usageError{err}
	}
	authority, err := os.ReadFile(o.authority)
	if err != nil {
		return nil, nil, nil, usageError{fmt.Errorf("--peer-ca: %w", err)}
	}
	source, conn, err := reach(o.peer, authority, identity, o.channel, o.chaincode)
	return source, func() (*client.Client, error) { return connect(command) }, conn, err
}

func (o origin) local(command *cobra.Command) (*bundles.Source, func() (*client.Client, error), io.Closer, error) {
	dir, err := stateDir(command)
	if err != nil {
		return nil, nil, nil, err
	}
	state, err := testnetwork.Open(dir)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w (a peer elsewhere is named by --peer)", err)
	}
	if o.mspID == "" {
		o.mspID = state.Topology().Regulator.MSPID
	}
	org, material, err := state.Organization(o.mspID)
	if err != nil {
		return nil, nil, nil, usageError{err}
	}
	if len(org.Users) == 0 {
		return nil, nil, nil, fmt.Errorf("%s has no user in the topology who could read its peer", o.mspID)
	}
	user := org.Users[0].Name
	identity, err := state.User(o.mspID, user)
	if err != nil {
		return nil, nil, nil, err
	}
	source, conn, err := reach(org.PeerAddress(), material.TLSCA.PEM, identity, state.Topology().Channel, state.Topology().Chaincode.Name)
	return source, func() (*client.Client, error) { return exportGateway(command, state, o.mspID, user) }, conn, err
}

func reach(peer string, authority []byte, identity fabric.Identity, channel, chaincode string) (*bundles.Source, io.Closer, error) {
	conn, err := fabric.Dial(peer, authority)
	if err != nil {
		return nil, nil, usageError{err}
	}
	source := &bundles.Source{Channel: channel, Chaincode: chaincode}
	if source.Peer, err = fabric.Connect(conn, identity, channel, chaincode); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return source, conn, nil
}

// export connects to an organisation's peer, and to its gateway where that is needed.
func export(command *cobra.Command, from origin, folder string, wish bundles.Wish) (*bundles.Exported, error) {
	source, gateway, conn, err := from.connect(command)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if wish.Receipts {
		if source.Gateway, err = gateway(); err != nil {
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

// incompleteError says that a bundle was made without some of what was asked for. What and why has been printed.
type incompleteError struct {
	refused int
	none    []bundle.Kind
}

func refusals(p *bundles.Parts) error {
	if p == nil || len(p.Refused) == 0 {
		return nil
	}
	return incompleteError{refused: len(p.Refused), none: p.None()}
}

func (e incompleteError) Error() string {
	message := document.Count(e.refused, "part") + " of what was asked for not given"
	for _, kind := range e.none {
		message += fmt.Sprintf("; no %s at all", kind)
	}
	return message
}

func (e incompleteError) exitCode() int {
	if len(e.none) > 0 {
		return exitNoneGiven
	}
	return exitSomeGiven
}

// mostReasons is how many reasons for refusals are printed.
const mostReasons = 10

func writeExported(out io.Writer, result *bundles.Exported) error {
	var b strings.Builder
	fmt.Fprintf(&b, "blocks %d to %d of channel %s in %s\n", result.First, result.Height-1, result.Channel, result.Bundle)
	if p := result.Parts; p != nil {
		fmt.Fprintf(&b, "%s of %s with their receipts, %d with a text; %s; %s\n", document.Count(p.Settlements, "settlement"), document.Count(p.Uses, "use"), p.Texts,
			document.Count(p.Snapshots, "snapshot"), document.Count(p.Contents, "content"))
		reasons := p.Reasons()
		for _, r := range reasons[:min(len(reasons), mostReasons)] {
			fmt.Fprintf(&b, "not given: %s", printable(r.First.Part))
			if r.Others > 0 {
				fmt.Fprintf(&b, " and %s", document.Count(r.Others, "other"))
			}
			fmt.Fprintf(&b, ": %s\n", printable(r.First.Why))
		}
		if more := len(reasons) - mostReasons; more > 0 {
			fmt.Fprintf(&b, "and others for %s\n", document.Count(more, "other reason"))
		}
		if len(p.Refused) > len(reasons) || len(reasons) > mostReasons {
			b.WriteString("(--json lists each)\n")
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
