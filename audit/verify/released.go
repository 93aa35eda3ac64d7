package verify

import (
	"slices"

	"github.com/datanet-consortium/datanet/audit/bundle"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// The entries that say who has had a content, as far as they are read here.
type (
	gotten struct {
		Release string `json:"release"`
	}
	handed struct {
		Contributions []string       `json:"contributions"`
		To            ledger.Account `json:"to"`
	}
	gottenSnapshots struct {
		Snapshots []int `json:"snapshots"`
	}
	leafPlace struct {
		First int `json:"first"`
		From  int `json:"from"`
	}
)

// had tells whether an organisation may have a content as far as the ledger knows: it is the contributor's, or the content
// was released to it, by itself or within a snapshot.
func (f *facts) had(msp, datanet, id, contributor string) (bool, error) {
	if ledger.Account(contributor).MSP() == msp {
		return true, nil
	}
	by, found, err := find[gotten](f, "holder", datanet, id, msp)
	if err != nil {
		return false, err
	}
	if found {
		r, _, err := find[handed](f, "release", datanet, by.Release)
		if err != nil || r.To.MSP() == msp && slices.Contains(r.Contributions, id) {
			return err == nil, err
		}
	}
	within, found, err := find[gottenSnapshots](f, "snapshot-holder", datanet, msp)
	if err != nil || !found {
		return false, err
	}
	place, sealed, err := find[leafPlace](f, "sealed", datanet, id)
	return sealed && slices.ContainsFunc(within.Snapshots, func(n int) bool {
		return n >= place.First && (place.From == 0 || n < place.From)
	}), err
}

// released tells of a content that the ledger does not show to have come to the organisation which the manifest names. A
// manifest proves nothing, so neither does this: it is for people to ask.
func (h *holder) released(at Finding, p bundle.Part, contributor string) {
	had, err := h.facts.had(h.of, p.Name[0], p.Name[1], contributor)
	switch {
	case err != nil:
		h.about(at, Broken, RuleState, "who has had it: %v", err)
	case h.of == "":
		h.about(at, Unclear, RuleReleased, "the manifest names no organisation that got it")
	case !had:
		h.about(at, Unclear, RuleReleased, "the ledger has no release of it to %q, which got it as the manifest says: it was handed over without one, "+
			"released after the last block, or given to somebody else", h.of)
	}
}
