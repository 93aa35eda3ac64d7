// Package snapshot takes numbered Merkle roots over what is sealed of a datanet, which models are trained on and receipts
// name.
//
//	take ──► revision 1 ──(contributions in it are erased: stale)──revise──► revision 2, tombstones in their place
//
// A snapshot is everything that is sealed when it is taken, without what has left before. It names the root of every
// page, so that a revision recomputes only the pages that it changes. Earlier revisions stay, as roots: receipts and
// models name them.
//
// A contribution withdrawn later stays in the snapshot: what was trained on it keeps paying. But nobody gets a new
// ticket on it; see [Withdrawn].
package snapshot

import (
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// Named is a request that names a snapshot: the datanet and the number, from 1.
type Named struct {
	Datanet string `json:"datanet"`
	Number  int    `json:"number"`
}

func (n Named) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	if n.Number < 1 || n.Number > 1<<30 {
		return ledger.Invalid("number", "snapshots are numbered from 1")
	}
	return nil
}

func (n Named) Reads(ledger.Caller) []ledger.Key {
	return []ledger.Key{Key(n), seal.HeadKey(n.Datanet), contribution.LeaversKey(n.Datanet)}
}

// Snapshot is a snapshot in its latest revision.
type Snapshot struct {
	Named
	Revision int           `json:"revision"` // from 1
	Count    int64         `json:"count"`    // leaves, tombstones too
	Root     merkle.Hash   `json:"root"`     // as attribution defines it
	Records  int64         `json:"records"`  // of the live leaves
	Tokens   int64         `json:"tokens"`   // of the live leaves
	Terms    []seal.Terms  `json:"terms"`    // the live leaves by the terms that they stood under when it was taken
	Pages    []merkle.Hash `json:"pages"`    // roots
	Erased   []int64       `json:"erased"`   // positions that later revisions made tombstones, ascending
	Slots    []string      `json:"slots"`    // the members over which it is guarded
	Taken    string        `json:"taken"`    // the transaction that took it
	Tx       string        `json:"tx"`       // that made this revision
}

// Revision is one revision of a snapshot, kept for ever.
type Revision struct {
	Named
	Revision int         `json:"revision"`
	Root     merkle.Hash `json:"root"`
	Records  int64       `json:"records"`
	Tokens   int64       `json:"tokens"`
	Erased   []int64     `json:"erased"` // positions that this revision made tombstones
	Tx       string      `json:"tx"`
}

// Load reads a snapshot in its latest revision and checks its guard.
func Load(r ledger.Reader, n Named) (Snapshot, error) {
	s, found, err := ledger.Load[Snapshot](r, Key(n))
	if err != nil {
		return s, err
	}
	if !found {
		return s, ledger.Refuse(ledger.CodeNotFound, "datanet %s has no snapshot %d", n.Datanet, n.Number).At("number")
	}
	return s, ledger.MustBeGuarded(r, Key(n), ledger.Owner(n.Datanet), s.Slots)
}

// LoadRevision reads one revision of a snapshot.
func LoadRevision(r ledger.Reader, n Named, revision int) (Revision, error) {
	v, found, err := ledger.Load[Revision](r, revisionKey(n, revision))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "snapshot %d of %s has no revision %d", n.Number, n.Datanet, revision).At("revision")
	}
	return v, err
}

// take makes the next snapshot.
func take(tx ledger.Tx, req Named) (Snapshot, error) {
	if err := mustOwn(tx, req.Datanet); err != nil {
		return Snapshot{}, err
	}
	h, sealed, err := seal.Load(tx, req.Datanet)
	if err != nil {
		return Snapshot{}, err
	}
	if sealed && req.Number <= h.Snapshots {
		return Load(tx, req)
	}
	if !sealed || h.Live() == 0 {
		return Snapshot{}, ledger.Refuse(ledger.CodeState, "nothing is sealed of %s", req.Datanet)
	}
	if next := h.Snapshots + 1; req.Number != next {
		return Snapshot{}, ledger.Invalid("number", "the next snapshot is %d", next)
	}
	left, err := contribution.Left(tx, req.Datanet)
	if err != nil {
		return Snapshot{}, err
	}
	if left.Count() > 0 {
		return Snapshot{}, ledger.Refuse(ledger.CodeState, "%d contributions have left and are not retired yet: seal:Left lists them for seal:Retire", left.Count())
	}
	root := merkle.Root(h.Pages)
	if err := mustDiffer(tx, req, root); err != nil {
		return Snapshot{}, err
	}
	if h, err = seal.Advance(tx, h); err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Named: req, Revision: 1, Count: h.Count, Root: root, Records: h.Records, Tokens: h.Tokens, Terms: h.Terms, Pages: h.Pages,
		Erased: []int64{}, Slots: h.Slots, Taken: tx.TxID(), Tx: tx.TxID()}
	tx.Guard(Key(req), ledger.SlotPolicy(ledger.Owner(req.Datanet), s.Slots))
	return save(tx, s, []int64{}, "snapshot.taken/1")
}

func mustDiffer(r ledger.Reader, req Named, root merkle.Hash) error {
	if req.Number == 1 {
		return nil
	}
	before, err := Load(r, Named{req.Datanet, req.Number - 1})
	if err == nil && before.Root == root {
		err = ledger.Refuse(ledger.CodeState, "nothing has changed since snapshot %d", before.Number)
	}
	return err
}

// MaxRevisedPages bounds the pages that one revision changes: each is read whole. What is left over is still stale, and
// the next revision goes on.
const MaxRevisedPages = 32

// revise makes tombstones of the contributions that have been erased since the latest revision.
func revise(tx ledger.Tx, req Named) (Snapshot, error) {
	if err := mustOwn(tx, req.Datanet); err != nil {
		return Snapshot{}, err
	}
	s, err := Load(tx, req)
	if err != nil {
		return Snapshot{}, err
	}
	stale, err := Stale(tx, s)
	if err != nil || len(stale) == 0 {
		return s, err
	}
	var changed []int
	var erased []int64
	for _, e := range stale {
		number := int(e.Position / seal.PageSize)
		if !slices.Contains(changed, number) {
			if len(changed) == MaxRevisedPages {
				break
			}
			changed = append(changed, number)
		}
		erased = append(erased, e.Position)
		s.Records, s.Tokens = s.Records-e.Records, s.Tokens-e.Tokens
	}
	s.Erased = slices.Sorted(slices.Values(slices.Concat(s.Erased, erased)))
	s.Pages = slices.Clone(s.Pages)
	for _, number := range changed {
		leaves, err := seal.Leaves(tx, s.Datanet, number, s.Number, s.Count, s.Erased)
		if err != nil {
			return Snapshot{}, err
		}
		s.Pages[number] = merkle.Root(leaves)
	}
	s.Revision, s.Root, s.Tx = s.Revision+1, merkle.Root(s.Pages), tx.TxID()
	return save(tx, s, erased, "snapshot.revised/1")
}

func save(tx ledger.Tx, s Snapshot, erased []int64, event string) (Snapshot, error) {
	revision := Revision{Named: s.Named, Revision: s.Revision, Root: s.Root, Records: s.Records, Tokens: s.Tokens, Erased: erased, Tx: s.Tx}
	key := revisionKey(s.Named, s.Revision)
	if err := ledger.Save(tx, key, revision); err != nil {
		return s, err
	}
	tx.Guard(key, ledger.SlotPolicy(ledger.Owner(s.Datanet), s.Slots))
	tx.Emit(event, s)
	return s, ledger.Save(tx, Key(s.Named), s)
}

func mustOwn(tx ledger.Tx, datanet string) error {
	if owner := ledger.Owner(datanet); owner != tx.Caller().MSP {
		return ledger.Refuse(ledger.CodeForbidden, "only %s takes snapshots of %s", owner, datanet)
	}
	return nil
}
