package bundles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/attribution/use"
	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/audit/parts"
	"github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/audit/verify"
	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// Parts is what a bundle got beside blocks.
type Parts struct {
	Snapshots   int `json:"snapshots"`
	Contents    int `json:"contents"`
	Settlements int `json:"settlements"`
	Uses        int `json:"uses"`
	Texts       int `json:"texts"`
	// Refused is what was asked for and not given.
	Refused []Refusal `json:"refused"`
}

// Refusal is a part that stays out.
type Refusal struct {
	Kind bundle.Kind `json:"kind"`
	Part string      `json:"part"`
	Why  string      `json:"why"`
}

// Reason is why parts were refused: the first of them, and how many others of the kind for the same.
type Reason struct {
	First  Refusal
	Others int
}

// Reasons are the refusals, each reason once for a kind.
func (p *Parts) Reasons() (reasons []Reason) {
	known := map[[2]string]int{}
	for _, r := range p.Refused {
		kind := [2]string{string(r.Kind), r.Why}
		if i, told := known[kind]; told {
			reasons[i].Others++
			continue
		}
		known[kind] = len(reasons)
		reasons = append(reasons, Reason{First: r})
	}
	return reasons
}

// None lists the kinds of which something was asked for and nothing is in the bundle.
func (p *Parts) None() (kinds []bundle.Kind) {
	for _, k := range []struct {
		kind bundle.Kind
		got  int
	}{{bundle.Content, p.Contents}, {bundle.Settlement, p.Settlements}} {
		if k.got == 0 && slices.ContainsFunc(p.Refused, func(r Refusal) bool { return r.Kind == k.kind }) {
			kinds = append(kinds, k.kind)
		}
	}
	return kinds
}

const (
	// flushEvery is after how many parts the manifest names them.
	flushEvery = 64
	// attempts is how often a part is asked for whose stream breaks.
	attempts = 3
)

// collector asks for the parts of one export.
type collector struct {
	*Source
	w        *bundle.Writer
	wish     Wish
	reason   access.Reason
	got      *Parts
	asked    uint64
	all      uint64
	unsaved  int
	inBundle uint64 // height of the blocks that were replayed
	msp      string // of the organisation that asks
}

func (s *Source) parts(ctx context.Context, folder string, w *bundle.Writer, wish Wish) (*Parts, error) {
	if s.Gateway == nil {
		return nil, errors.New("receipts and contents come from a gateway, and none is chosen")
	}
	c := &collector{Source: s, w: w, wish: wish, got: &Parts{Refused: []Refusal{}}, inBundle: w.Next()}
	who, err := s.Gateway.WhoAmI(ctx)
	if err != nil {
		return nil, err
	}
	c.msp = who.Organisation
	plan, err := c.plan(ctx, folder)
	if err != nil {
		return nil, err
	}
	if c.reason = access.Holding; slices.Contains(who.Roles, ledger.Regulator) {
		c.reason = access.Audit
	}
	c.all = uint64(len(plan.Settlements))
	if wish.Contents {
		c.all += uint64(len(plan.Contents))
	}
	if plan.Unordered > 0 && wish.Contents {
		c.got.Refused = append(c.got.Refused, Refusal{bundle.Content, report.Count(plan.Unordered, "content"), "registered before the range, so that the order is not known"})
	}
	if err := c.snapshots(plan); err != nil {
		return nil, err
	}
	if err := c.contents(ctx, plan); err != nil {
		return nil, err
	}
	if err := c.settlements(ctx, plan); err != nil {
		return nil, err
	}
	w.Receipts(&bundle.Receipts{Before: c.inBundle, Models: wish.Models})
	return c.got, w.Flush()
}

// plan finds in the blocks that are there what is to be asked for.
func (c *collector) plan(ctx context.Context, folder string) (_ *verify.Plan, err error) {
	if err := c.w.Flush(); err != nil {
		return nil, err
	}
	r, err := bundle.Open(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return verify.NewPlan(ctx, r, c.msp, c.wish.Models, func(done, all uint64) { c.progress("blocks replayed", done, all) })
}

func (c *collector) snapshots(plan *verify.Plan) error {
	var names [][]string
	for _, s := range plan.Snapshots {
		name := []string{s.Datanet, strconv.Itoa(s.Number)}
		names = append(names, name)
		err := c.w.Part(bundle.Snapshot, name, func(out io.Writer) error {
			w, err := parts.NewSnapshot(out, uint32(s.Revision))
			for _, l := range s.Leaves {
				if err == nil {
					err = w.Leaf(l)
				}
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("write snapshot %d of %s: %w", s.Number, s.Datanet, err)
		}
		c.got.Snapshots++
	}
	return c.w.Arrange(bundle.Snapshot, names)
}

func (c *collector) contents(ctx context.Context, plan *verify.Plan) error {
	if c.wish.Contents {
		if err := c.w.Holder(c.msp); err != nil {
			return err
		}
	}
	var names [][]string
	for _, p := range plan.Contents {
		if !c.wish.Contents || p.Erasing { // one that was exported before leaves the bundle
			continue
		}
		name := []string{p.Datanet, p.ID}
		if c.wish.To > 0 && !p.Had {
			c.refused(bundle.Content, name, errLater)
			c.tell()
			continue
		}
		names = append(names, name)
		if !c.w.HasPart(bundle.Content, name...) {
			path := client.Path("datanets", p.Datanet, "contributions", p.ID, "opening")
			err := c.store(ctx, bundle.Content, name, path, url.Values{"reason": {string(c.reason)}}, func(in io.Reader, out io.Writer) error { return copyContent(p, in, out) })
			if err != nil {
				return err
			}
		}
		if c.w.HasPart(bundle.Content, name...) {
			c.got.Contents++
		}
		c.tell()
	}
	return c.w.Arrange(bundle.Content, names)
}

func (c *collector) settlements(ctx context.Context, plan *verify.Plan) error {
	var names [][]string
	for _, p := range plan.Settlements {
		name := []string{p.Host, p.ID}
		names = append(names, name)
		if !c.w.HasPart(bundle.Settlement, name...) || c.wish.Texts != nil {
			texts := 0
			err := c.store(ctx, bundle.Settlement, name, client.Path("audit", "hosts", p.Host, "claims", p.ID, "uses"), nil, func(in io.Reader, out io.Writer) (err error) {
				texts, err = c.copySettlement(p, in, out)
				return err
			})
			if err != nil {
				return err
			}
			c.got.Texts += texts
		}
		if c.w.HasPart(bundle.Settlement, name...) {
			c.got.Settlements++
			c.got.Uses += int(p.Uses)
		}
		c.tell()
	}
	return c.w.Arrange(bundle.Settlement, names)
}

func (c *collector) tell() {
	c.asked++
	c.progress("parts exported", c.asked, c.all)
}

// store asks the gateway for a part and stores what copying lets through. What the gateway refuses, or gives otherwise than the
// ledger says, is noted; one that cannot be reached ends the export, which goes on here when it is repeated.
func (c *collector) store(ctx context.Context, kind bundle.Kind, name []string, path string, query url.Values, copying func(io.Reader, io.Writer) error) error {
	for attempt := 1; ; attempt++ {
		err := c.w.Part(kind, name, func(out io.Writer) error {
			in, err := c.Gateway.Stream(ctx, path, query)
			if err != nil {
				return err
			}
			return errors.Join(copying(in, out), in.Close())
		})
		var problem *client.Problem
		var broken *client.UnreachableError
		switch {
		case err == nil:
			if c.unsaved++; c.unsaved%flushEvery == 0 {
				return c.w.Flush()
			}
			return nil
		case errors.As(err, &problem), errors.Is(err, errOther), errors.Is(err, parts.ErrForm):
			c.refused(kind, name, err)
			return nil
		case ctx.Err() == nil && errors.As(err, &broken) && attempt < attempts:
			continue
		}
		return fmt.Errorf("%s %s of %s: %w", kind, name[1], name[0], err)
	}
}

func (c *collector) refused(kind bundle.Kind, name []string, why error) {
	c.got.Refused = append(c.got.Refused, Refusal{kind, fmt.Sprintf("%s %s of %s", kind, name[1], name[0]), why.Error()})
}

// errLater is a content whose release would be recorded in a block that the bundle is not to have.
var errLater = errors.New("its release would be recorded after the block with which the bundle is to end")

// errOther is a part that is not what the blocks say.
var errOther = errors.New("what the gateway gives is not what the ledger says")

// copyContent copies a content, if it opens its commitment.
func copyContent(p verify.PlannedContent, in io.Reader, out io.Writer) error {
	var tree merkle.Frontier
	records := int64(0)
	salt, err := parts.ReadContent(io.TeeReader(in, out), func(record []byte) error {
		if records++; records > p.Records {
			return fmt.Errorf("%w: it has more than %d records", errOther, p.Records)
		}
		tree.Append(merkle.Leaf(record))
		return nil
	})
	if err == nil && attribution.CommitRoot(salt, tree.Root()) != p.Commitment {
		err = errOther
	}
	return err
}

// copySettlement copies a settlement and adds the texts that there are.
func (c *collector) copySettlement(p verify.PlannedSettlement, in io.Reader, out io.Writer) (texts int, err error) {
	var w *parts.Settlement
	uses := int64(0)
	err = parts.SettlementReader{
		Scope: func(s parts.Scope) (err error) {
			_, moves, err := s.Moves()
			for _, m := range moves {
				uses += int64(m.After.N - m.Before.N)
			}
			if err == nil && uses != p.Uses {
				err = fmt.Errorf("%w: it has %s, not %d", errOther, report.Count(uses, "use"), p.Uses)
			}
			if err == nil {
				w, err = parts.NewSettlement(out, s)
			}
			return err
		},
		Peaks: func(_ int, _ use.Move, peaks []merkle.Hash) error { return w.Peaks(peaks) },
		Use: func(_ int, _ uint64, u parts.Use) error {
			if c.wish.Texts != nil {
				leaf, err := use.DecodeLeaf(u.Leaf)
				if err == nil {
					u.Evidence, err = c.wish.Texts(leaf.Receipt)
				}
				if err != nil {
					return err
				}
				if u.Evidence != nil {
					texts++
				}
			}
			return w.Use(u)
		},
	}.Read(in)
	return texts, err
}
