package corpus

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/payout"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/query"
)

// survey is a corpus as the ledger has it, without what is erased here.
type survey struct {
	revisions []Revision
	registered
	destroyed []contribution.Named
}

// registered are contributions in the order in which the ledger registered them.
type registered []contribution.Contribution

// survey asks the ledger what the corpus of snapshots is.
func (l *Library) survey(ctx context.Context, snapshots []snapshot.Named) (*survey, error) {
	s := &survey{}
	seen := map[contribution.Named]bool{}
	for _, n := range snapshots {
		taken, leaves, err := l.leaves(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("snapshot %d of %s: %w", n.Number, n.Datanet, err)
		}
		s.revisions = append(s.revisions, Revision{Named: n, Revision: taken.Revision, Root: taken.Root})
		for _, leaf := range leaves {
			name := contribution.Named{Datanet: n.Datanet, ID: leaf.ID}
			if seen[name] {
				continue
			}
			seen[name] = true
			c, destroyed, err := l.standing(ctx, name, leaf.Hash)
			switch {
			case err != nil:
				return nil, fmt.Errorf("contribution %s of %s: %w", leaf.ID, n.Datanet, err)
			case destroyed:
				s.destroyed = append(s.destroyed, name)
			default:
				s.registered = append(s.registered, c)
			}
		}
	}
	return s, l.order(ctx, s.registered)
}

// leaves are a snapshot's leaves that are no tombstones in its latest revision, checked against its root.
func (l *Library) leaves(ctx context.Context, n snapshot.Named) (taken snapshot.Snapshot, live []seal.Leaf, err error) {
	if taken, err = query.Ask[snapshot.Snapshot](ctx, l.Ledger, "snapshot:Get", n); err != nil {
		return taken, nil, err
	}
	var hashes []merkle.Hash
	for number := range seal.PagesOf(taken.Count) {
		page, err := query.Ask[seal.Page](ctx, l.Ledger, "seal:Page", seal.PageName{Datanet: n.Datanet, Page: number})
		if err != nil {
			return taken, nil, err
		}
		for _, leaf := range page.Leaves {
			position := int64(len(hashes))
			if position == taken.Count {
				break
			}
			if _, erased := slices.BinarySearch(taken.Erased, position); erased || leaf.From != 0 && leaf.From <= n.Number {
				hashes = append(hashes, attribution.ErasedLeaf())
				continue
			}
			hashes = append(hashes, leaf.Hash)
			live = append(live, leaf)
		}
	}
	if attribution.SnapshotRoot(hashes) != taken.Root {
		return taken, nil, errors.New("what is sealed does not give its root")
	}
	return taken, live, nil
}

// standing is a contribution with a live leaf; destroyed tells that its content is gone, here or everywhere.
func (l *Library) standing(ctx context.Context, n contribution.Named, leaf merkle.Hash) (c contribution.Contribution, destroyed bool, err error) {
	if c, err = query.Ask[contribution.Contribution](ctx, l.Ledger, "contribution:Get", n); err != nil {
		return c, false, err
	}
	var commitment merkle.Hash
	if raw, err := hex.DecodeString(c.Commitment); err != nil || copy(commitment[:], raw) != len(commitment) {
		return c, false, errors.New("its commitment is no digest")
	}
	if is, err := attribution.SnapshotLeaf(c.ID, string(c.Contributor), commitment); err != nil || is != leaf {
		return c, false, errors.Join(errors.New("its leaf is another one"), err)
	}
	info, err := l.Store.Find(ctx, n, c.Commitment)
	switch {
	case errors.Is(err, content.ErrErased):
		return c, true, nil
	case err != nil && !errors.Is(err, content.ErrNotFound):
		return c, false, err
	}
	held := err == nil && info.State == content.Ready
	return c, c.State == contribution.Erased || c.State == contribution.Erasing && !held, nil
}

// order puts contributions into the order in which the ledger registered them in the revision that stands: by block, by
// transaction, and in one transaction as its event lists them.
func (l *Library) order(ctx context.Context, list registered) error {
	type place struct {
		block           uint64
		position, among int
	}
	places := map[contribution.Named]place{}
	looked := map[string]bool{}
	for _, c := range list {
		if looked[c.Tx] {
			continue
		}
		looked[c.Tx] = true
		tx, err := l.Transactions.Transaction(ctx, c.Tx)
		if err != nil {
			return fmt.Errorf("find the registration of contribution %s of %s: %w", c.ID, c.Datanet, err)
		}
		var changed contribution.Changed
		if err := ledger.DecodeAnswer(tx.Payload, &changed); err != nil {
			return fmt.Errorf("read the event of transaction %s: %w", c.Tx, err)
		}
		for i, one := range changed.Contributions {
			places[one.Name()] = place{tx.Block, tx.Position, i}
		}
	}
	for _, c := range list {
		if _, known := places[c.Name()]; !known {
			return fmt.Errorf("transaction %s does not register contribution %s of %s", c.Tx, c.ID, c.Datanet)
		}
	}
	slices.SortFunc(list, func(a, b contribution.Contribution) int {
		p, q := places[a.Name()], places[b.Name()]
		return cmp.Or(cmp.Compare(p.block, q.block), cmp.Compare(p.position, q.position), cmp.Compare(p.among, q.among))
	})
	return nil
}

func datanetsOf(list []Contribution) []payout.Datanet {
	var datanets []payout.Datanet
	for _, c := range list {
		i, known := slices.BinarySearchFunc(datanets, c.Datanet, func(d payout.Datanet, name string) int { return cmp.Compare(d.Name, name) })
		if !known {
			datanets = slices.Insert(datanets, i, payout.Datanet{Name: c.Datanet})
		}
		datanets[i].Tokens += c.Tokens
	}
	return datanets
}
