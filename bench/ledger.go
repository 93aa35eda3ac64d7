package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/bench/load"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
)

// makeLedger fires bursts of all rows but the yardstick's, and seals, until there are enough transactions, and exports
// the blocks. Its output is the hash of the genesis block.
func makeLedger(ctx context.Context, s settings, out, progress io.Writer) (err error) {
	topology, err := topologyOf(s)
	if err != nil {
		return err
	}
	dir := s.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "datanet-ledger-"); err != nil {
			return fmt.Errorf("make a folder for the network: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	say := func(text string) { fmt.Fprintln(progress, text) }
	c, err := start(ctx, s, dir, topology, rulesOnly, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.grow(ctx, s, say); err != nil {
		return err
	}
	genesis, err := c.export(ctx, s.ledger)
	if err == nil {
		fmt.Fprintln(out, genesis)
	}
	return err
}

// largeOnes is how many transactions with many payments, contributions or sessions are made in a turn: each takes as long as
// dozens of others.
const largeOnes = 5

// grow makes transactions until there are as many as wanted, those that prepare others too.
func (c *consortium) grow(ctx context.Context, s settings, say func(string)) error {
	generator, err := load.NewGenerator(ctx, c.followers...)
	if err != nil {
		return err
	}
	w, err := newWorkload(ctx, c, generator, s)
	if err != nil {
		return err
	}
	p, err := newPool(ctx, c, generator)
	if err != nil {
		return err
	}
	rows := slices.Concat(w.rows(s), p.rows(s), newMarket(p, c.payees, s.sessions).rows(s))
	started, sealed := time.Now(), 0
	for turn := 1; generator.Valid() < s.size; turn++ {
		for _, row := range rows {
			began, before, burst := time.Now(), generator.Valid(), row.burst
			if burst.InFlight < s.inFlight {
				burst.Attempts = min(burst.Attempts, largeOnes)
			}
			if row.before != nil {
				if err := row.before(ctx, burst.Attempts); err != nil {
					return fmt.Errorf("prepare %s: %w", row.name, err)
				}
			}
			result, err := generator.Fire(ctx, burst)
			if err != nil {
				return fmt.Errorf("%s: %w", row.name, err)
			}
			if result.Failed > 0 {
				say(fmt.Sprintf("%s: %d failed: %v", row.name, result.Failed, result.Failure))
			}
			say(fmt.Sprintf("%-30s %5d in %.1f s", row.name, generator.Valid()-before, time.Since(began).Seconds()))
		}
		if sealed, err = p.sealMore(ctx, s.transactions/2, sealed, turn); err != nil {
			return fmt.Errorf("seal: %w", err)
		}
		say(fmt.Sprintf("%d transactions, %.0f a second", generator.Valid(), float64(generator.Valid())/time.Since(started).Seconds()))
	}
	return nil
}

// sealMore has contributions approved, seals them after those that are sealed, and takes a snapshot.
func (p *pool) sealMore(ctx context.Context, count, sealed, number int) (int, error) {
	ids, err := p.approved(ctx, count)
	if err != nil {
		return sealed, err
	}
	for some := range slices.Chunk(ids, seal.MaxBatch) {
		if _, err := soon(ctx, p.curator, call("seal:Append", seal.Append{Datanet: p.datanet, From: int64(sealed), Contributions: some})); err != nil {
			return sealed, err
		}
		sealed += len(some)
	}
	_, err = soon(ctx, p.curator, call("snapshot:Take", snapshot.Named{Datanet: p.datanet, Number: number}))
	return sealed, err
}

// silence is how long a peer may keep quiet while it sends its blocks.
const silence = time.Minute

// export writes all blocks of one peer to a bundle.
func (c *consortium) export(ctx context.Context, folder string) (genesis string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	follower := c.followers[len(c.followers)-1]
	height, err := follower.Height(ctx)
	if err != nil {
		return "", err
	}
	blocks, err := follower.Blocks(ctx, 0)
	if err != nil {
		return "", err
	}
	first, open := <-blocks
	if !open {
		return "", errors.New("the peer sends no blocks")
	}
	genesis = hex.EncodeToString(protoutil.BlockHeaderHash(first.GetHeader()))
	topology := c.network.State().Topology()
	w, err := bundle.Create(folder, bundle.Manifest{Channel: topology.Channel, Chaincode: topology.Chaincode.Name, Genesis: genesis,
		Unproved: []string{fmt.Sprintf("whatever blocks come after the last one (the peer had %d)", height)}})
	if err != nil {
		return "", err
	}
	if err := w.Append(first); err != nil {
		return "", errors.Join(err, w.Close())
	}
	return genesis, errors.Join(w.Follow(ctx, blocks, height, silence, nil), w.Close())
}
