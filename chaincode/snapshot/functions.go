package snapshot

import (
	"strconv"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// Listing asks for a page of a datanet's snapshots.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// RevisionListing asks for a page of a snapshot's revisions.
type RevisionListing struct {
	Named
	ledger.PageRequest
}

// Inclusion asks for the proof that a contribution is in a snapshot.
type Inclusion struct {
	Named
	Contribution string `json:"contribution"` // its id
}

func (i Inclusion) Validate() error {
	if err := i.Named.Validate(); err != nil {
		return err
	}
	return ledger.ValidID("contribution", i.Contribution)
}

// Proof is an inclusion proof of RFC 6962 against the root of a snapshot's latest revision.
type Proof struct {
	Revision int           `json:"revision"`
	Root     merkle.Hash   `json:"root"`
	Count    int64         `json:"count"`    // leaves of the tree
	Position int64         `json:"position"` // of the leaf, from 0
	Leaf     merkle.Hash   `json:"leaf"`
	Path     []merkle.Hash `json:"path"`   // from the leaf upwards
	Erased   bool          `json:"erased"` // the leaf is a tombstone
}

// Due is a snapshot that holds erased contributions and has not been revised since.
type Due struct {
	Number   int    `json:"number"`
	Revision int    `json:"revision"`
	Erased   []Gone `json:"erased"`
}

// Functions are the snapshot functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("snapshot:Take", "Takes the next snapshot of an own datanet: everything that is sealed.", ledger.For(ledger.Curator), take),
		ledger.Command("snapshot:Revise", "Makes a revision of a snapshot in which erased contributions are tombstones.", ledger.For(ledger.Curator), revise),
		ledger.Query("snapshot:Get", "Shows a snapshot in its latest revision.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Snapshot, error) { return Load(r, req) }),
		ledger.Query("snapshot:List", "Lists a datanet's snapshots.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Snapshot], error) {
				return ledger.List(r, keysOf(req.Datanet), req.PageRequest, ledger.Value[Snapshot])
			}),
		ledger.Query("snapshot:Revisions", "Lists a snapshot's revisions.", ledger.Anyone,
			func(r ledger.Lister, req RevisionListing) (ledger.Page[Revision], error) {
				return ledger.List(r, revisionsOf(req.Named), req.PageRequest, ledger.Value[Revision])
			}),
		ledger.Query("snapshot:Prove", "Proves that a contribution is in a snapshot.", ledger.Anyone, prove),
		ledger.Query("snapshot:Gone", "Lists the contributions of a snapshot that have left the datanet since.", ledger.Anyone,
			func(r ledger.Lister, req Leavers) (ledger.Page[Gone], error) { return gonePage(r, req) }),
		ledger.Query("snapshot:Stale", "Lists snapshots that hold erased contributions and are not revised yet.", ledger.Anyone, stale),
	}
}

// Leavers asks for a page of the contributions that have left.
type Leavers struct {
	Named
	ledger.PageRequest
}

// gonePage lists by position, which is also the cursor: it stays good when others leave.
func gonePage(r ledger.Lister, req Leavers) (ledger.Page[Gone], error) {
	page := ledger.Page[Gone]{Items: []Gone{}}
	limit, err := req.Size()
	if err != nil {
		return page, err
	}
	from := int64(0)
	if req.Cursor != "" {
		if from, err = strconv.ParseInt(req.Cursor, 10, 64); err != nil || from < 0 {
			return page, ledger.Invalid("cursor", "not a cursor of this list")
		}
	}
	s, err := Load(r, req.Named)
	if err != nil {
		return page, err
	}
	gone, err := AllWithdrawn(r, s)
	if err != nil {
		return page, err
	}
	for _, g := range gone {
		switch {
		case g.Position < from:
		case len(page.Items) < limit:
			page.Items = append(page.Items, g)
		default:
			page.Next = strconv.FormatInt(g.Position, 10)
			return page, nil
		}
	}
	return page, nil
}

// stale looks at a page of the datanet's snapshots, so a page of the answer may be short while there are more.
func stale(r ledger.Lister, req Listing) (ledger.Page[Due], error) {
	snapshots, err := ledger.List(r, keysOf(req.Datanet), req.PageRequest, ledger.Value[Snapshot])
	page := ledger.Page[Due]{Items: []Due{}, Next: snapshots.Next}
	if err != nil {
		return page, err
	}
	for _, s := range snapshots.Items {
		erased, err := Stale(r, s)
		if err != nil {
			return page, err
		}
		if len(erased) > 0 {
			page.Items = append(page.Items, Due{Number: s.Number, Revision: s.Revision, Erased: erased})
		}
	}
	return page, nil
}

func prove(r ledger.Lister, req Inclusion) (Proof, error) {
	s, err := Load(r, req.Named)
	if err != nil {
		return Proof{}, err
	}
	name := contribution.Named{Datanet: req.Datanet, ID: req.Contribution}
	place, sealed, err := seal.PlaceOf(r, name)
	if err != nil {
		return Proof{}, err
	}
	if !sealed || place.Position >= s.Count {
		return Proof{}, ledger.Refuse(ledger.CodeNotFound, "contribution %s is not in snapshot %d", req.Contribution, s.Number).At("contribution")
	}
	if err := seal.Stands(r, name, place); err != nil {
		return Proof{}, err
	}
	number, index := int(place.Position/seal.PageSize), int(place.Position%seal.PageSize)
	leaves, err := seal.Leaves(r, s.Datanet, number, s.Number, s.Count, s.Erased)
	if err != nil {
		return Proof{}, err
	}
	if merkle.Root(leaves) != s.Pages[number] {
		return Proof{}, ledger.Refuse(ledger.CodeState, "page %d of %s is not the one of which the snapshot names the root", number, s.Datanet)
	}
	inPage, err := merkle.Prove(leaves, index)
	if err != nil {
		return Proof{}, err
	}
	above, err := merkle.Prove(s.Pages, number)
	if err != nil {
		return Proof{}, err
	}
	return Proof{Revision: s.Revision, Root: s.Root, Count: s.Count, Position: place.Position, Leaf: leaves[index],
		Path: append(append([]merkle.Hash{}, inPage...), above...), Erased: leaves[index] == attribution.ErasedLeaf()}, nil
}
