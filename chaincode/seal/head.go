package seal

import (
	"slices"

	"github.com/datanet-consortium/datanet/attribution/merkle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

const (
	// PageSize is how many leaves a page holds: a power of two, so that pages are subtrees of the whole tree.
	PageSize = 1 << 10
	// MaxLeaves bounds a datanet: its head and its snapshots name every page.
	MaxLeaves = 1 << 22
)

// Head is what a datanet's sequencer has sealed so far.
type Head struct {
	Datanet   string        `json:"datanet"`
	Count     int64         `json:"count"`     // leaves, retired ones too
	Pages     []merkle.Hash `json:"pages"`     // the root of each page, as the next snapshot will have it
	Records   int64         `json:"records"`   // of the live leaves
	Tokens    int64         `json:"tokens"`    // of the live leaves
	Terms     []Terms       `json:"terms"`     // the live leaves by the terms that they stand under, ascending by version
	Snapshots int           `json:"snapshots"` // how many have been taken
	Slots     []string      `json:"slots"`     // the members over which the head is guarded
	Tx        string        `json:"tx"`        // that wrote it last
}

// Load reads a datanet's head and checks its guard; found is false before anything is sealed.
func Load(r ledger.Reader, datanet string) (h Head, found bool, err error) {
	if h, found, err = ledger.Load[Head](r, HeadKey(datanet)); err != nil || !found {
		return h, false, err
	}
	return h, true, ledger.MustBeGuarded(r, HeadKey(datanet), ledger.Owner(datanet), h.Slots)
}

// prepare brings a head that is about to be written up to date. It is guarded over the members of today: when they
// change, so does the guard.
func prepare(tx ledger.Tx, h *Head) error {
	members, err := member.Load(tx)
	if err != nil {
		return err
	}
	if !slices.Equal(h.Slots, members.Members) {
		h.Slots = members.Members
		tx.Guard(HeadKey(h.Datanet), ledger.SlotPolicy(ledger.Owner(h.Datanet), h.Slots))
	}
	h.Tx = tx.TxID()
	return nil
}

// Advance writes a head that has one snapshot more. It emits no event.
func Advance(tx ledger.Tx, h Head) (Head, error) {
	h.Snapshots++
	if err := prepare(tx, &h); err != nil {
		return h, err
	}
	return h, ledger.Save(tx, HeadKey(h.Datanet), h)
}

func mustSequence(tx ledger.Tx, datanet string) error {
	if caller := tx.Caller(); ledger.Owner(datanet) != caller.MSP {
		return ledger.Refuse(ledger.CodeForbidden, "only curators of %s seal %s", ledger.Owner(datanet), datanet)
	}
	return nil
}

// Live is the number of leaves that are not retired.
func (h Head) Live() int64 {
	var n int64
	for _, t := range h.Terms {
		n += t.Plain + t.Own
	}
	return n
}
