package seal

import (
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Named is a request that names a datanet.
type Named struct {
	Datanet string `json:"datanet"`
}

func (n Named) Validate() error { return ledger.ValidName("datanet", n.Datanet) }

// PageName is a request that names a page, from 0.
type PageName struct {
	Datanet string `json:"datanet"`
	Page    int    `json:"page"`
}

func (n PageName) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	if n.Page < 0 || n.Page >= MaxLeaves/PageSize {
		return ledger.Invalid("page", "pages are numbered from 0 to %d", MaxLeaves/PageSize-1)
	}
	return nil
}

// Leaf is a leaf as the sequencer sealed it.
type Leaf struct {
	ID   string      `json:"id"`
	Hash merkle.Hash `json:"hash"`
	From int         `json:"from,omitzero"` // number of the first snapshot in which it is a tombstone
}

// Page is what a page holds.
type Page struct {
	PageName
	Leaves []Leaf `json:"leaves"`
}

// Functions are the seal functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("seal:Append", "Seals approved contributions of an own datanet, after those that are sealed.", ledger.For(ledger.Curator), appendLeaves),
		ledger.Command("seal:Retire", "Takes contributions that have left out of the snapshots to come.", ledger.For(ledger.Curator), retire),
		ledger.Query("seal:Get", "Shows what is sealed of a datanet.", ledger.Anyone, get),
		ledger.Query("seal:Page", "Shows the leaves of a page.", ledger.Anyone, showPage),
		ledger.Query("seal:Place", "Tells where a contribution is sealed.", ledger.Anyone,
			func(r ledger.Lister, req contribution.Named) (Place, error) {
				place, found, err := PlaceOf(r, req)
				if err == nil && !found {
					err = ledger.Refuse(ledger.CodeNotFound, "contribution %s is not sealed", req.ID).At("id")
				}
				return place, err
			}),
		ledger.Query("seal:Missing", "Lists approved contributions that are not sealed yet.", ledger.Anyone, missing),
		ledger.Query("seal:Left", "Lists contributions that have left and are not retired yet.", ledger.Anyone, contribution.LeftPage),
	}
}

// PlaceOf tells where a contribution is sealed; found is false when it is not.
func PlaceOf(r ledger.Reader, n contribution.Named) (place Place, found bool, err error) {
	return ledger.Load[Place](r, placeKey(n.Datanet, n.ID))
}

func get(r ledger.Lister, req Named) (Head, error) {
	h, found, err := Load(r, req.Datanet)
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "nothing is sealed of %s", req.Datanet).At("datanet")
	}
	return h, err
}

func showPage(r ledger.Lister, req PageName) (Page, error) {
	p, err := readPage(r, req.Datanet, req.Page)
	if err != nil {
		return Page{}, err
	}
	shown := Page{PageName: req, Leaves: make([]Leaf, p.size())}
	for i := range shown.Leaves {
		leaf := &shown.Leaves[i]
		leaf.ID = p.id(i)
		copy(leaf.Hash[:], p.leaves.Hashes[i*len(leaf.Hash):])
	}
	for _, retired := range p.retired {
		shown.Leaves[retired.Index].From = retired.From
	}
	return shown, nil
}

// missing looks at a page of the datanet's contributions and keeps those that wait to be sealed, so a page of the answer
// may be short or empty while there are more.
func missing(r ledger.Lister, req contribution.Listing) (ledger.Page[contribution.Contribution], error) {
	page, err := contribution.List(r, req)
	if err != nil {
		return page, err
	}
	keys := make([]ledger.Key, len(page.Items))
	for i, c := range page.Items {
		keys[i] = placeKey(c.Datanet, c.ID)
	}
	if err := r.Prefetch(keys...); err != nil {
		return page, err
	}
	waiting := []contribution.Contribution{}
	for i, c := range page.Items {
		place, err := r.Get(keys[i])
		if err != nil {
			return page, err
		}
		if place == nil && c.State == contribution.Approved {
			waiting = append(waiting, c)
		}
	}
	page.Items = waiting
	return page, nil
}
