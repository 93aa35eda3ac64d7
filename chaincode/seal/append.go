package seal

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// MaxBatch bounds the contributions of one transaction.
const MaxBatch = PageSize

// Append is the request that seals approved contributions after those that are sealed.
type Append struct {
	Datanet       string   `json:"datanet"`
	From          int64    `json:"from"`          // how many leaves are sealed so far
	Contributions []string `json:"contributions"` // ids, in the order of sealing
}

func (a Append) Validate() error {
	if err := validBatch(a.Datanet, a.Contributions); err != nil {
		return err
	}
	if a.From < 0 || a.From+int64(len(a.Contributions)) > MaxLeaves {
		return ledger.Invalid("from", "a datanet has at most %d leaves", int64(MaxLeaves))
	}
	return nil
}

func validBatch(datanet string, ids []string) error {
	if err := ledger.ValidName("datanet", datanet); err != nil {
		return err
	}
	if len(ids) == 0 || len(ids) > MaxBatch {
		return ledger.Invalid("contributions", "from 1 to %d", MaxBatch)
	}
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		if err := ledger.ValidID(at(i), id); err != nil {
			return err
		}
		if seen[id] {
			return ledger.Invalid(at(i), "%s stands twice", id)
		}
		seen[id] = true
	}
	return nil
}

func at(i int) string { return fmt.Sprintf("contributions.%d", i) }

func (a Append) Reads(ledger.Caller) []ledger.Key {
	keys := []ledger.Key{HeadKey(a.Datanet), datanet.Key(a.Datanet)}
	for number := int(a.From / PageSize); number < PagesOf(a.From+int64(len(a.Contributions))); number++ {
		keys = append(keys, pageKeys(a.Datanet, number)...)
	}
	for _, id := range a.Contributions {
		keys = append(keys, contribution.Key(a.Datanet, id), placeKey(a.Datanet, id))
	}
	return keys
}

// Place is where a contribution is sealed.
type Place struct {
	Position int64 `json:"position"` // of its leaf, from 0
	First    int   `json:"first"`    // number of the first snapshot with the leaf
	// From, once the leaf is retired, is the number of the first snapshot without it: First when none ever had it.
	From int    `json:"from,omitzero"`
	Tx   string `json:"tx"` // that sealed it
}

// Appended is the event of an appended batch.
type Appended struct {
	From          int64    `json:"from"`
	Contributions []string `json:"contributions"`
	Head          Head     `json:"head"`
}

func appendLeaves(tx ledger.Tx, req Append) (Head, error) {
	if err := mustSequence(tx, req.Datanet); err != nil {
		return Head{}, err
	}
	h, found, err := Load(tx, req.Datanet)
	if err != nil {
		return Head{}, err
	}
	if !found {
		if _, err := datanet.Load(tx, "datanet", req.Datanet); err != nil {
			return Head{}, err
		}
		h = Head{Datanet: req.Datanet, Pages: []merkle.Hash{}, Terms: []Terms{}}
	}
	if req.From != h.Count {
		done, err := repeated(tx, h, req)
		if err == nil && !done {
			err = ledger.Refuse(ledger.CodeState, "%d leaves are sealed, the request goes on after %d", h.Count, req.From).At("from")
		}
		return h, err
	}
	if err := prepare(tx, &h); err != nil {
		return Head{}, err
	}
	var open *page
	for i, id := range req.Contributions {
		c, leaf, err := mayEnter(tx, req.Datanet, id)
		if err != nil {
			return Head{}, ledger.AsFault(err).At(at(i))
		}
		if open == nil || open.size() == PageSize {
			if open, err = next(tx, &h, open); err != nil {
				return Head{}, err
			}
		}
		if err := open.add(id, leaf); err != nil {
			return Head{}, err
		}
		place := Place{Position: h.Count, First: h.Snapshots + 1, Tx: tx.TxID()}
		if err := ledger.Save(tx, placeKey(req.Datanet, id), place); err != nil {
			return Head{}, err
		}
		h.Count, h.Records, h.Tokens = h.Count+1, h.Records+c.Records, h.Tokens+c.Tokens
		h.Terms = count(h.Terms, c.DatanetVersion, c.Licence, 1)
	}
	if err := finish(tx, &h, open); err != nil {
		return Head{}, err
	}
	tx.Emit("seal.appended/1", Appended{From: req.From, Contributions: req.Contributions, Head: h})
	return h, ledger.Save(tx, HeadKey(h.Datanet), h)
}

// next finishes a full page and opens the one on which leaf number Count will stand.
func next(tx ledger.Tx, h *Head, full *page) (*page, error) {
	if err := finish(tx, h, full); err != nil {
		return nil, err
	}
	if number := int(h.Count / PageSize); number < len(h.Pages) {
		return checked(tx, *h, number)
	}
	return &page{number: len(h.Pages), new: true}, nil
}

// finish writes a page and puts its root into the head.
func finish(tx ledger.Tx, h *Head, p *page) error {
	if p == nil {
		return nil
	}
	root := p.root(h.Snapshots + 1)
	if p.new {
		h.Pages = append(h.Pages, root)
	} else {
		h.Pages[p.number] = root
	}
	return saveLeaves(tx, *h, p)
}

// mayEnter reports why a contribution cannot be sealed, and computes its leaf.
func mayEnter(r ledger.Reader, datanet, id string) (c contribution.Contribution, leaf merkle.Hash, err error) {
	if c, err = contribution.Load(r, contribution.Named{Datanet: datanet, ID: id}); err != nil {
		return c, leaf, err
	}
	if c.State != contribution.Approved {
		return c, leaf, ledger.Refuse(ledger.CodeState, "contribution %s is %s", id, c.State)
	}
	place, sealed, err := ledger.Load[Place](r, placeKey(datanet, id))
	if err != nil {
		return c, leaf, err
	}
	if sealed {
		return c, leaf, ledger.Refuse(ledger.CodeState, "contribution %s is sealed already, as leaf %d", id, place.Position)
	}
	var commitment merkle.Hash
	if _, err := hex.Decode(commitment[:], []byte(c.Commitment)); err != nil {
		return c, leaf, fmt.Errorf("commitment of %s: %w", id, err)
	}
	leaf, err = attribution.SnapshotLeaf(id, string(c.Contributor), commitment)
	return c, leaf, err
}

// repeated tells whether exactly these contributions stand at these positions already.
func repeated(r ledger.Reader, h Head, req Append) (bool, error) {
	if req.From+int64(len(req.Contributions)) > h.Count {
		return false, nil
	}
	var standing []string
	for number := int(req.From / PageSize); number < PagesOf(req.From+int64(len(req.Contributions))); number++ {
		p, err := readPage(r, h.Datanet, number)
		if err != nil {
			return false, err
		}
		for i := range p.size() {
			standing = append(standing, p.id(i))
		}
	}
	begin := int(req.From % PageSize)
	return slices.Equal(standing[begin:][:len(req.Contributions)], req.Contributions), nil
}
