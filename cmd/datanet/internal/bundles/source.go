// Package bundles exports audit bundles: blocks from an organisation's peer, and what belongs to them from its gateway, as
// far as the gateway and the holders' may give it.
//
// Life of an export: the blocks come first. They are replayed, and say which settlements there are, from which snapshots
// their receipts were computed, and which contents these hold. Leaves of the snapshots are written from the blocks; leaves
// of uses, receipts and contents are asked for one by one, each a part of the bundle once it is whole. What is refused stays
// out and is told. In the end the blocks that came meanwhile follow, since each release of a content is a transaction. An
// export that is interrupted goes on where it stopped.
package bundles

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// silence is how long a peer may keep quiet before the export gives up. Repeating it goes on where it ended.
const silence = 30 * time.Second

// Source is where a bundle comes from.
type Source struct {
	Peer               *fabric.Client
	Channel, Chaincode string
	Gateway            *client.Client // nil: blocks only
	// Progress is told what is done, how much of it and of how much; it may be nil.
	Progress func(what string, done, all uint64)
}

// Wish says what a bundle is to hold.
type Wish struct {
	From, To uint64 // To is 0 for all that there is
	State    bool   // whether a range begins with the state before it
	Receipts bool   // leaves and receipts of settlements, and leaves of their snapshots
	Contents bool   // with the receipts: the contents of these snapshots
	Models   []string
	// Texts gives the text of a use by its receipt's id, as EVIDENCE/1, when a party to the use has handed it over; nil: there
	// are none.
	Texts func(receipt merkle.Hash) ([]byte, error)
}

// Exported is what became of an export.
type Exported struct {
	Bundle  string `json:"bundle"`
	Channel string `json:"channel"`
	Genesis string `json:"genesis"`
	First   uint64 `json:"first"`
	Height  uint64 `json:"height"`
	Tip     string `json:"tip"` // NUMBER:HASH, as verify takes it; "" when no block was new
	Parts   *Parts `json:"parts,omitempty"`
}

// Export writes a bundle to a folder, or adds to the one that is there.
func (s *Source) Export(ctx context.Context, folder string, wish Wish) (_ *Exported, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, done, err := s.begin(ctx, folder, wish)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := s.copy(ctx, w, wish.To, done); err != nil {
		return nil, err
	}
	if wish.Receipts {
		if done.Parts, err = s.parts(ctx, folder, w, wish); err != nil {
			return nil, err
		}
		if err := s.copy(ctx, w, wish.To, done); err != nil { // releases were recorded meanwhile
			return nil, err
		}
	}
	done.Height = w.Next()
	return done, nil
}

// begin opens the bundle, with what a range begins with.
func (s *Source) begin(ctx context.Context, folder string, wish Wish) (*bundle.Writer, *Exported, error) {
	height, err := s.Peer.Height(ctx)
	if err != nil {
		return nil, nil, err
	}
	to := wish.To
	if to == 0 {
		to = height
	}
	if wish.From >= to || to > height {
		return nil, nil, &RangeError{height, wish.From, to}
	}
	zero, err := s.block(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	genesis := hex.EncodeToString(protoutil.BlockHeaderHash(zero.GetHeader()))
	want := bundle.Manifest{Channel: s.Channel, Chaincode: s.Chaincode, Genesis: genesis, First: wish.From, Unproved: []string{}}
	if wish.From > 0 {
		rests := "the state and the configuration to begin with, which rest on the blocks before " + fmt.Sprint(wish.From)
		if !wish.State {
			rests = "everything that rests on blocks before " + fmt.Sprint(wish.From) + ": state, conflicts, policies of keys, the rules, conservation, and the configuration to begin with"
		}
		want.Unproved = append(want.Unproved, rests)
	}
	want.Unproved = append(want.Unproved, fmt.Sprintf("whatever blocks come after the last one (the peer had %d at the last export)", height))
	w, err := bundle.Create(folder, want)
	if err != nil {
		return nil, nil, err
	}
	if wish.To != 0 && w.Next() > wish.To {
		return nil, nil, fmt.Errorf("%s has blocks up to %d already: choose another folder to end before %d", folder, w.Next()-1, wish.To)
	}
	if wish.From > 0 && !w.HasBase() {
		if err := s.base(ctx, w, wish.From); err != nil {
			return nil, nil, err
		}
	}
	if wish.From > 0 && wish.State && !w.HasState() {
		if err := s.before(ctx, w, wish.From); err != nil {
			return nil, nil, err
		}
	}
	return w, &Exported{Bundle: folder, Channel: s.Channel, Genesis: genesis, First: wish.From}, nil
}

// RangeError is a range that the peer does not have.
type RangeError struct{ Height, From, To uint64 }

func (e *RangeError) Error() string {
	return fmt.Sprintf("the peer has blocks 0 to %d, and from %d to %d is asked", e.Height-1, e.From, e.To)
}

func (s *Source) progress(what string, done, all uint64) {
	if s.Progress != nil {
		s.Progress(what, done, all)
	}
}

// block fetches one block.
func (s *Source) block(ctx context.Context, number uint64) (*common.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	blocks, err := s.Peer.Blocks(ctx, number)
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
func (s *Source) base(ctx context.Context, w *bundle.Writer, from uint64) error {
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
func (s *Source) before(ctx context.Context, w *bundle.Writer, from uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	blocks, err := s.Peer.Blocks(ctx, 0)
	if err != nil {
		return fmt.Errorf("ask the peer for its blocks: %w", err)
	}
	replayed := replay.New(s.Chaincode)
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	var commit []byte
	for replayed.Height() < from {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-quiet.C:
			return fmt.Errorf("the peer sent nothing for %s: repeat the command", silence)
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
			quiet.Reset(silence)
			s.progress("blocks replayed", replayed.Height(), from)
		}
	}
	return w.State(func(out io.Writer) error { return replayed.Dump(out, commit) })
}

// copy appends blocks up to a height, 0 for the peer's.
func (s *Source) copy(ctx context.Context, w *bundle.Writer, to uint64, done *Exported) error {
	if to == 0 {
		var err error
		if to, err = s.Peer.Height(ctx); err != nil {
			return err
		}
	}
	if w.Next() >= to {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := w.Next()
	blocks, err := s.Peer.Blocks(ctx, first)
	if err != nil {
		return fmt.Errorf("ask the peer for blocks from %d: %w", first, err)
	}
	return w.Follow(ctx, blocks, to, silence, func(block *common.Block) {
		done.Tip = fmt.Sprintf("%d:%x", block.GetHeader().GetNumber(), protoutil.BlockHeaderHash(block.GetHeader()))
		s.progress("blocks exported", w.Next()-first, to-first)
	})
}
