package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	testnetwork "github.com/datanet-consortium/datanet/test-network"
)

// blockSilence is how long a peer may keep quiet before the export gives up. Repeating it goes on where it ended.
const blockSilence = 30 * time.Second

// exported is the result of an export, for programs.
type exported struct {
	Bundle  string `json:"bundle"`
	Channel string `json:"channel"`
	Genesis string `json:"genesis"`
	First   uint64 `json:"first"`
	Height  uint64 `json:"height"`
	Tip     string `json:"tip"` // NUMBER:HASH, as verify takes it; "" when no block was new
}

func newAuditExport() *cobra.Command {
	var mspID, file string
	var from, to uint64
	var withState bool
	command := &cobra.Command{
		Use:   "export FOLDER",
		Short: "Write the ledger's blocks to a bundle, from an organisation's own peer",
		Long: `Streams the blocks that an organisation's peer holds into a folder, as verify reads it.
Repeating the command adds what is new, also after an interruption. With --file the bundle is
packed into one file as well.

With --from the bundle holds a range; it then begins with the configuration in force and the state
before it, for which all earlier blocks are read and replayed, and the manifest says what a range
leaves unproved.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(command *cobra.Command, args []string) error {
			dir, err := stateDir(command)
			if err != nil {
				return err
			}
			state, err := testnetwork.Open(dir)
			if err != nil {
				return err
			}
			source, err := openSource(state, mspID)
			if err != nil {
				return err
			}
			defer source.close()
			result, err := source.export(command, args[0], from, to, withState)
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
			fmt.Fprintf(command.OutOrStdout(), "blocks %d to %d of channel %s in %s\nTo verify: datanet audit verify %s --genesis HASH, with the genesis hash from another source; this network's is\n%s\n",
				result.First, result.Height-1, result.Channel, result.Bundle, result.Bundle, result.Genesis)
			return nil
		},
	}
	flags := command.Flags()
	flags.String("dir", ".datanet", "state folder of the network")
	flags.StringVar(&mspID, "org", "", "MSP ID of the organisation whose peer is asked (default: the regulator's)")
	flags.StringVar(&file, "file", "", "pack the bundle into this file as well")
	flags.Uint64Var(&from, "from", 0, "first block")
	flags.BoolVar(&withState, "state", true, "begin a range with the state before it")
	flags.Uint64Var(&to, "to", 0, "block to end before (default: the peer's height)")
	return command
}

// source is a peer from which blocks are exported.
type source struct {
	state  *testnetwork.State
	client *fabric.Client
	closer []func() error
}

// openSource connects to an organisation's peer as one of its users.
func openSource(state *testnetwork.State, mspID string) (*source, error) {
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
	identity, err := state.User(mspID, org.Users[0].Name)
	if err != nil {
		return nil, err
	}
	conn, err := fabric.Dial(org.PeerAddress(), material.TLSCA.PEM)
	if err != nil {
		return nil, err
	}
	s := &source{state: state, closer: []func() error{conn.Close}}
	if s.client, err = fabric.Connect(conn, identity, state.Topology().Channel, state.Topology().Chaincode.Name); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *source) close() {
	for _, closer := range s.closer {
		_ = closer() // nothing is pending on it
	}
}

func (s *source) export(command *cobra.Command, folder string, from, to uint64, withState bool) (*exported, error) {
	ctx, cancel := context.WithCancel(command.Context())
	defer cancel()
	height, err := s.client.Height(ctx)
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = height
	}
	if from >= to || to > height {
		return nil, usageError{fmt.Errorf("the peer has blocks 0 to %d, and from %d to %d is asked", height-1, from, to)}
	}
	zero, err := s.block(ctx, 0)
	if err != nil {
		return nil, err
	}
	topology := s.state.Topology()
	genesis := hex.EncodeToString(protoutil.BlockHeaderHash(zero.GetHeader()))
	want := bundle.Manifest{Channel: topology.Channel, Chaincode: topology.Chaincode.Name, Genesis: genesis, First: from, Unproved: []string{}}
	if from > 0 {
		rests := "the state and the configuration to begin with, which rest on the blocks before " + fmt.Sprint(from)
		if !withState {
			rests = "everything that rests on blocks before " + fmt.Sprint(from) + ": state, conflicts, policies of keys, the rules, conservation, and the configuration to begin with"
		}
		want.Unproved = append(want.Unproved, rests)
	}
	want.Unproved = append(want.Unproved, fmt.Sprintf("whatever blocks come after the last one (the peer had %d at the last export)", height))
	w, err := bundle.Create(folder, want)
	if err != nil {
		return nil, err
	}
	if from > 0 && !w.HasBase() {
		if err := s.base(ctx, w, from); err != nil {
			return nil, err
		}
	}
	if from > 0 && withState && !w.HasState() {
		if err := s.before(ctx, command.ErrOrStderr(), w, from); err != nil {
			return nil, err
		}
	}
	tip, err := s.copy(ctx, command.ErrOrStderr(), w, to)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return &exported{Bundle: folder, Channel: want.Channel, Genesis: genesis, First: from, Height: w.Next(), Tip: tip}, nil
}

// block fetches one block.
func (s *source) block(ctx context.Context, number uint64) (*common.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, blockSilence)
	defer cancel()
	blocks, err := s.client.Blocks(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("ask the peer for block %d: %w", number, err)
	}
	block, open := <-blocks
	if !open {
		return nil, fmt.Errorf("the peer did not send block %d", number)
	}
	return block, nil
}

// base stores the configuration in force before a block, which that block's own metadata names.
func (s *source) base(ctx context.Context, w *bundle.Writer, from uint64) error {
	before, err := s.block(ctx, from-1)
	if err != nil {
		return err
	}
	number := uint64(0)
	if from > 1 {
		if number, err = protoutil.GetLastConfigIndexFromBlock(before); err != nil {
			return fmt.Errorf("find the configuration before block %d: %w", from, err)
		}
	}
	config, err := s.block(ctx, number)
	if err != nil {
		return err
	}
	return w.Base(config)
}

// before stores the state before a block, which takes replaying all blocks before it.
func (s *source) before(ctx context.Context, progress io.Writer, w *bundle.Writer, from uint64) error {
	shown := &blockProgress{out: progress, what: "replayed"}
	defer shown.finish()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks, err := s.client.Blocks(ctx, 0)
	if err != nil {
		return fmt.Errorf("ask the peer for its blocks: %w", err)
	}
	replayed := replay.New(s.state.Topology().Chaincode.Name)
	silence := time.NewTimer(blockSilence)
	defer silence.Stop()
	var commit []byte
	for replayed.Height() < from {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-silence.C:
			return fmt.Errorf("the peer sent nothing for %s: repeat the command", blockSilence)
		case block, open := <-blocks:
			if !open {
				return fmt.Errorf("the peer ended the stream before block %d: repeat the command", from)
			}
			if err := replayed.Block(block); err != nil {
				return fmt.Errorf("replay the blocks before block %d: %w", from, err)
			}
			if commit, err = replay.HeldCommitHash(block); err != nil && block.GetHeader().GetNumber() > 0 {
				return err
			}
			silence.Reset(blockSilence)
			shown.show(replayed.Height(), from)
		}
	}
	return w.State(func(out io.Writer) error { return replayed.Dump(out, commit) })
}

// copy appends blocks up to a height and returns the last one as NUMBER:HASH.
func (s *source) copy(ctx context.Context, progress io.Writer, w *bundle.Writer, to uint64) (tip string, err error) {
	shown := &blockProgress{out: progress, what: "exported"}
	defer shown.finish()
	if w.Next() >= to {
		return "", nil
	}
	first := w.Next()
	blocks, err := s.client.Blocks(ctx, first)
	if err != nil {
		return "", fmt.Errorf("ask the peer for blocks from %d: %w", first, err)
	}
	err = w.Follow(ctx, blocks, to, blockSilence, func(block *common.Block) {
		tip = fmt.Sprintf("%d:%x", block.GetHeader().GetNumber(), protoutil.BlockHeaderHash(block.GetHeader()))
		shown.show(w.Next()-first, to-first)
	})
	return tip, err
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

// blockProgress is a bar on a terminal, and nothing elsewhere.
type blockProgress struct {
	out  io.Writer
	what string
	bar  *progressbar.ProgressBar
}

func (p *blockProgress) show(done, all uint64) {
	if !isTerminal(p.out) {
		return
	}
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(int64(all), progressbar.OptionSetWriter(p.out), progressbar.OptionSetDescription("blocks "+p.what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	_ = p.bar.Set64(int64(done)) // a bar that cannot be drawn is no reason to stop
}

func (p *blockProgress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
