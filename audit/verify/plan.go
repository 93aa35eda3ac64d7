package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/hyperledger/fabric/protoutil"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/chaincode/memledger/replay"
)

// Plan is what an export asks gateways for, to go with the blocks of a bundle. The blocks are believed.
type Plan struct {
	Settlements []PlannedSettlement // of the blocks, in their order
	Snapshots   []PlannedSnapshot   // from which the receipts of these were computed
	Contents    []PlannedContent    // that are live in them, in the order of registration
	// Unordered is how many more contents there are whose registration is in no block of the bundle.
	Unordered int
}

// PlannedSettlement is a settlement with uses.
type PlannedSettlement struct {
	Host, ID, Model string
	Uses            int64
}

// PlannedSnapshot is the latest revision of a snapshot.
type PlannedSnapshot struct {
	Datanet          string
	Number, Revision int
	Leaves           []parts.Leaf
}

// PlannedContent is a contribution.
type PlannedContent struct {
	Datanet, ID, Contributor string
	Commitment               merkle.Hash
	Records                  int64
	Erasing                  bool // its erasure was asked for: no gateway gives it any more
	Had                      bool // the blocks show that the one who asks may have it already
}

// NewPlan replays a bundle's blocks and finds what belongs to the settlements of models, as NAME@VERSION; none means all. The
// organisation that asks is named by its MSP ID. A model that the blocks do not have is an error.
func NewPlan(ctx context.Context, r *bundle.Reader, msp string, models []string, progress func(done, all uint64)) (*Plan, error) {
	f, err := replayed(ctx, r, progress)
	if err != nil {
		return nil, fmt.Errorf("replay the bundle's blocks: %w", err)
	}
	for _, m := range models {
		name, version, _ := strings.Cut(m, "@")
		if f.state.Get(composite("model", name, version)) == nil {
			return nil, fmt.Errorf("there is no model %s in the blocks of the bundle", m)
		}
	}
	p := &Plan{}
	var sources []named
	for _, s := range f.settled {
		c, _, err := find[claimed](f, "claim", s.host, s.claim)
		if err != nil {
			return nil, err
		}
		if len(models) > 0 && !slices.Contains(models, c.model()) {
			continue
		}
		p.Settlements = append(p.Settlements, PlannedSettlement{s.host, s.claim, c.model(), c.Uses})
		card, _, err := find[carded](f, "rate-card", c.Model.Name, c.Model.Version, fmt.Sprintf("%06d", c.Model.Card))
		if err != nil {
			return nil, err
		}
		sources = lineage(append(sources, card.Snapshots...))
	}
	for _, n := range sources {
		if err := p.snapshot(f, n, msp); err != nil {
			return nil, fmt.Errorf("snapshot %d of %s: %w", n.Number, n.Datanet, err)
		}
	}
	p.order(f)
	return p, nil
}

// replayed follows a bundle's blocks without checking anybody's signature.
func replayed(ctx context.Context, r *bundle.Reader, progress func(done, all uint64)) (*facts, error) {
	state := replay.New(r.Manifest.Chaincode)
	if r.Manifest.First > 0 {
		base, err := r.Base()
		if err != nil {
			return nil, err
		}
		state = nil
		err = r.State(func(in io.Reader) (err error) {
			state, _, err = replay.Restore(r.Manifest.Chaincode, in, base)
			return err
		})
		if err != nil || state == nil {
			return nil, either(err, errors.New("the range has no state to begin with"))
		}
	}
	f := newFacts(r.Manifest.Chaincode, state)
	for block, err := range r.Blocks() {
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return nil, err
		}
		prepared, err := state.Prepare(block)
		if err != nil {
			return nil, err
		}
		changes, err := state.Apply(prepared)
		if err != nil {
			return nil, err
		}
		f.changed(block.GetHeader().GetNumber(), changes, func(int) string { return "" })
		f.events(block)
		if progress != nil {
			progress(state.Height()-r.Manifest.First, r.Manifest.Height-r.Manifest.First)
		}
	}
	return f, nil
}

// events notes those of a block's valid transactions.
func (f *facts) events(block *common.Block) {
	verdicts := verdictsOf(block)
	for i, data := range block.GetData().GetData() {
		if i >= len(verdicts) || peer.TxValidationCode(verdicts[i]) != peer.TxValidationCode_VALID {
			continue
		}
		envelope, err := protoutil.GetEnvelopeFromBlock(data)
		if err != nil {
			continue
		}
		header, err := protoutil.ChannelHeader(envelope)
		if err != nil || common.HeaderType(header.GetType()) != common.HeaderType_ENDORSER_TRANSACTION {
			continue
		}
		action, err := protoutil.GetActionFromEnvelopeMsg(envelope)
		if err != nil || action.GetChaincodeId().GetName() != f.chaincode {
			continue
		}
		event, err := protoutil.UnmarshalChaincodeEvents(action.GetEvents())
		if err == nil {
			f.event(event, place{block.GetHeader().GetNumber(), i, header.GetTxId()})
		}
	}
}

func (p *Plan) snapshot(f *facts, n named, msp string) error {
	stands, err := f.leaves(n)
	if err != nil || stands == nil {
		return either(err, errors.New("the ledger does not have it"))
	}
	one := PlannedSnapshot{Datanet: n.Datanet, Number: n.Number, Revision: stands.revision()}
	for _, l := range stands.list {
		if !l.in(one.Revision) {
			one.Leaves = append(one.Leaves, parts.Leaf{})
			continue
		}
		c, _, err := find[registered](f, "contribution", n.Datanet, l.id)
		if err != nil {
			return err
		}
		had, err := f.had(msp, n.Datanet, l.id, c.Contributor)
		if err != nil {
			return err
		}
		one.Leaves = append(one.Leaves, parts.Leaf{ID: l.id, Account: c.Contributor, Commitment: c.Commitment})
		p.Contents = append(p.Contents, PlannedContent{Datanet: n.Datanet, ID: l.id, Contributor: c.Contributor, Commitment: c.Commitment, Records: c.Records,
			Erasing: c.State == "erasing" || c.State == "erased", Had: had})
	}
	p.Snapshots = append(p.Snapshots, one)
	return nil
}

// order puts the contents into that of their registration, each once.
func (p *Plan) order(f *facts) {
	slices.SortFunc(p.Contents, func(a, b PlannedContent) int { return strings.Compare(a.Datanet+"\x00"+a.ID, b.Datanet+"\x00"+b.ID) })
	all := slices.CompactFunc(p.Contents, func(a, b PlannedContent) bool { return a.Datanet == b.Datanet && a.ID == b.ID })
	p.Contents = slices.DeleteFunc(all, func(c PlannedContent) bool {
		_, known := f.registered[composite("contribution", c.Datanet, c.ID)]
		if !known {
			p.Unordered++
		}
		return !known
	})
	slices.SortFunc(p.Contents, func(a, b PlannedContent) int {
		return f.registered[composite("contribution", a.Datanet, a.ID)].compare(f.registered[composite("contribution", b.Datanet, b.ID)])
	})
}
