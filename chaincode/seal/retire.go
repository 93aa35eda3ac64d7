package seal

import (
	"maps"
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// MaxRetiredPages bounds the pages whose leaves one transaction retires: each is read whole.
const MaxRetiredPages = 32

// Retire is the request that makes tombstones of contributions that have left, from the next snapshot on.
type Retire struct {
	Datanet       string   `json:"datanet"`
	Contributions []string `json:"contributions"` // ids; those that were never sealed are settled too
}

func (r Retire) Validate() error { return validBatch(r.Datanet, r.Contributions) }

func (r Retire) Reads(ledger.Caller) []ledger.Key {
	keys := []ledger.Key{HeadKey(r.Datanet), contribution.LeaversKey(r.Datanet)}
	for _, id := range r.Contributions {
		keys = append(keys, contribution.Key(r.Datanet, id), placeKey(r.Datanet, id))
	}
	return keys
}

// Retirement is the event of retired leaves.
type Retirement struct {
	Contributions []string `json:"contributions"`
	Head          Head     `json:"head"`
}

func retire(tx ledger.Tx, req Retire) (Head, error) {
	if err := mustSequence(tx, req.Datanet); err != nil {
		return Head{}, err
	}
	h, found, err := Load(tx, req.Datanet)
	if err != nil {
		return Head{}, err
	}
	if !found {
		h.Datanet = req.Datanet
	}
	left, err := contribution.Left(tx, req.Datanet)
	if err != nil {
		return Head{}, err
	}
	if err := tx.Prefetch(left.Reads(req.Datanet, req.Contributions)...); err != nil {
		return Head{}, err
	}
	var settled []string
	byPage := map[int][]Retired{}
	for i, id := range req.Contributions {
		c, err := contribution.Load(tx, contribution.Named{Datanet: req.Datanet, ID: id})
		if err != nil {
			return Head{}, ledger.AsFault(err).At(at(i))
		}
		place, sealed, err := ledger.Load[Place](tx, placeKey(req.Datanet, id))
		if err != nil {
			return Head{}, err
		}
		waits, err := left.Waits(tx, c.Name())
		if err != nil {
			return Head{}, err
		}
		if !waits {
			if sealed && place.From > 0 {
				continue // done already
			}
			return Head{}, ledger.Refuse(ledger.CodeState, "contribution %s is %s and has not left the seal", id, c.State).At(at(i))
		}
		settled = append(settled, id)
		if !sealed {
			continue
		}
		place.From = h.Snapshots + 1
		if err := ledger.Save(tx, placeKey(req.Datanet, id), place); err != nil {
			return Head{}, err
		}
		number := int(place.Position / PageSize)
		byPage[number] = append(byPage[number], Retired{ID: id, Index: int(place.Position % PageSize), From: place.From, Records: c.Records, Tokens: c.Tokens})
		h.Records, h.Tokens = h.Records-c.Records, h.Tokens-c.Tokens
		h.Terms = count(h.Terms, c.DatanetVersion, c.Licence, -1)
	}
	if len(settled) == 0 {
		return h, nil
	}
	if len(byPage) > MaxRetiredPages {
		return Head{}, ledger.Invalid("contributions", "they stand on %d pages, one transaction retires leaves of at most %d", len(byPage), MaxRetiredPages)
	}
	if err := contribution.Settle(tx, req.Datanet, settled); err != nil {
		return Head{}, err
	}
	if found {
		if err := prepare(tx, &h); err != nil {
			return Head{}, err
		}
		if err := retirePages(tx, &h, byPage); err != nil {
			return Head{}, err
		}
		if err := ledger.Save(tx, HeadKey(h.Datanet), h); err != nil {
			return Head{}, err
		}
	}
	tx.Emit("seal.retired/1", Retirement{Contributions: settled, Head: h})
	return h, nil
}

func retirePages(tx ledger.Tx, h *Head, byPage map[int][]Retired) error {
	numbers := slices.Sorted(maps.Keys(byPage))
	var keys []ledger.Key
	for _, number := range numbers {
		keys = append(keys, pageKeys(h.Datanet, number)...)
	}
	if err := tx.Prefetch(keys...); err != nil {
		return err
	}
	for _, number := range numbers {
		p, err := checked(tx, *h, number)
		if err != nil {
			return err
		}
		for _, leaf := range byPage[number] {
			if !p.holds(leaf.ID, leaf.Index) {
				return ledger.Refuse(ledger.CodeState, "contribution %s is not where its place says, on page %d", leaf.ID, number)
			}
		}
		p.retired = append(p.retired, byPage[number]...)
		h.Pages[number] = p.root(h.Snapshots + 1)
		if err := saveRetired(tx, *h, p); err != nil {
			return err
		}
	}
	return nil
}
