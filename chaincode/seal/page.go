package seal

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

const idSize = 16

// leaves are a page's leaves, packed: a full page takes 66 kB.
type leaves struct {
	IDs    []byte `json:"ids"`    // the contributions' ids, 16 bytes each
	Hashes []byte `json:"leaves"` // 32 bytes each
}

// Retired is a leaf that is a tombstone from a snapshot on.
type Retired struct {
	ID      string `json:"id"` // of the contribution
	Index   int    `json:"index"`
	From    int    `json:"from"` // number of the first snapshot without the leaf
	Records int64  `json:"records"`
	Tokens  int64  `json:"tokens"`
}

// retirements are the retired leaves of a page, in the order of retiring.
type retirements struct {
	Leaves []Retired `json:"leaves"`
}

// page is one page as it stands on the ledger.
type page struct {
	number  int
	new     bool
	leaves  leaves
	retired []Retired
}

func (p *page) size() int { return len(p.leaves.IDs) / idSize }

func (p *page) id(index int) string { return hex.EncodeToString(p.leaves.IDs[index*idSize:][:idSize]) }

func (p *page) add(id string, leaf merkle.Hash) error {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != idSize {
		return fmt.Errorf("contribution id %q is not %d bytes in hex", id, idSize)
	}
	p.leaves.IDs, p.leaves.Hashes = append(p.leaves.IDs, raw...), append(p.leaves.Hashes, leaf[:]...)
	return nil
}

// in returns the first n leaves as a snapshot has them.
func (p *page) in(snapshot, n int) []merkle.Hash {
	hashes := make([]merkle.Hash, n)
	for i := range hashes {
		copy(hashes[i][:], p.leaves.Hashes[i*len(hashes[i]):])
	}
	for _, r := range p.retired {
		if r.From <= snapshot && r.Index < n {
			hashes[r.Index] = attribution.ErasedLeaf()
		}
	}
	return hashes
}

// root is the page's root in the snapshot that comes next.
func (p *page) root(next int) merkle.Hash { return merkle.Root(p.in(next, p.size())) }

// pageKeys are what readPage reads, for prefetching.
func pageKeys(datanet string, number int) []ledger.Key {
	return []ledger.Key{pageKey(datanet, number), retiredKey(datanet, number)}
}

func readPage(r ledger.Reader, datanet string, number int) (*page, error) {
	key := pageKey(datanet, number)
	l, found, err := ledger.Load[leaves](r, key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ledger.Refuse(ledger.CodeNotFound, "datanet %s has no page %d", datanet, number).At("page")
	}
	p := &page{number: number, leaves: l}
	n := p.size()
	if n < 1 || n > PageSize || len(l.IDs) != n*idSize || len(l.Hashes) != n*len(merkle.Hash{}) {
		return nil, fmt.Errorf("%s is not a page", key)
	}
	p.retired, err = RetiredOf(r, datanet, number)
	if slices.ContainsFunc(p.retired, func(r Retired) bool { return r.Index < 0 || r.Index >= n }) {
		return nil, fmt.Errorf("page %d of %s: a leaf is retired that it does not have", number, datanet)
	}
	return p, err
}

// RetiredOf reads the retired leaves of a page.
func RetiredOf(r ledger.Reader, datanet string, number int) ([]Retired, error) {
	list, _, err := ledger.Load[retirements](r, retiredKey(datanet, number))
	return list.Leaves, err
}

// RetiredKeys are the keys of the retired leaves of every page of a seal of count leaves, for prefetching.
func RetiredKeys(datanet string, count int64) []ledger.Key {
	keys := []ledger.Key{}
	for number := range PagesOf(count) {
		keys = append(keys, retiredKey(datanet, number))
	}
	return keys
}

// PagesOf is the number of pages that count leaves fill or begin.
func PagesOf(count int64) int { return int((count + PageSize - 1) / PageSize) }

// checked reads a page and compares it with its root in the head.
func checked(r ledger.Reader, h Head, number int) (*page, error) {
	p, err := readPage(r, h.Datanet, number)
	if err == nil && p.root(h.Snapshots+1) != h.Pages[number] {
		err = ledger.Refuse(ledger.CodeState, "page %d of %s is not the one that the head names", number, h.Datanet)
	}
	return p, err
}

// saveLeaves writes a page's leaves. A new page is guarded, and so is the list of its retired leaves, which begins empty.
func saveLeaves(tx ledger.Tx, h Head, p *page) error {
	if p.new {
		guard := ledger.SlotPolicy(ledger.Owner(h.Datanet), h.Slots)
		tx.Guard(pageKey(h.Datanet, p.number), guard)
		tx.Guard(retiredKey(h.Datanet, p.number), guard)
		if err := saveRetired(tx, h, p); err != nil {
			return err
		}
	}
	return ledger.Save(tx, pageKey(h.Datanet, p.number), p.leaves)
}

func saveRetired(tx ledger.Tx, h Head, p *page) error {
	return ledger.Save(tx, retiredKey(h.Datanet, p.number), retirements{append([]Retired{}, p.retired...)})
}

// Stands reports a contribution that is not where its place says: a majority that colludes can write a wrong place, but
// not the page.
func Stands(r ledger.Reader, n contribution.Named, place Place) error {
	p, err := readPage(r, n.Datanet, int(place.Position/PageSize))
	if err == nil && !p.holds(n.ID, int(place.Position%PageSize)) {
		err = ledger.Refuse(ledger.CodeState, "contribution %s is not leaf %d of %s", n.ID, place.Position, n.Datanet)
	}
	return err
}

func (p *page) holds(id string, index int) bool { return index < p.size() && p.id(index) == id }

// Leaves reads the leaves of one page as a snapshot of count leaves has them, the erased positions as tombstones too.
func Leaves(r ledger.Reader, datanet string, number, snapshot int, count int64, erased []int64) ([]merkle.Hash, error) {
	p, err := readPage(r, datanet, number)
	if err != nil {
		return nil, err
	}
	first := int64(number) * PageSize
	n := int(min(count-first, PageSize))
	if n < 1 || n > p.size() {
		return nil, ledger.Refuse(ledger.CodeState, "page %d of %s has %d leaves, not the %d that a snapshot counts", number, datanet, p.size(), n)
	}
	hashes := p.in(snapshot, n)
	for _, position := range erased {
		if position >= first && position < first+int64(n) {
			hashes[position-first] = attribution.ErasedLeaf()
		}
	}
	return hashes, nil
}
