// Package approval is how independent validators decide on a contribution.
//
// Submission opens a slot for every eligible organisation: the datanet's validating organisations but the
// contributor's. Only that organisation's peer, together with enough others to make a majority of the members, can
// write it. A validator of the organisation votes into it, once. When the quorum of equal votes stands, or approval is
// out of reach, anyone finalises; the outcome is final. A tie decides nothing while another slot is open; when none is,
// approval is out of reach and the contribution is rejected. A revision gets slots of its own.
//
// Votes read the contribution and write their own slot, so simultaneous votes never conflict. Finalising writes the
// contribution: a vote held back loses. A completed vote earns, whichever way it went, by its slot alone: there is no
// counter.
package approval

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
)

// Choice is a validator's vote.
type Choice string

const (
	Approve Choice = "approve"
	Reject  Choice = "reject"
)

// Reason is why, as a code: no free text of a person reaches the ledger.
type Reason string

// Sound is the reason of every vote to approve, and of no other.
const Sound Reason = "sound"

// Reasons lists the codes.
var Reasons = []Reason{Sound, "duplicate", "derived", "low-quality", "off-topic", "licence", "provenance", "personal-data",
	"counts-differ", "fingerprint-differs", "other"}

// Verdict is what a validator finds.
type Verdict struct {
	Choice Choice `json:"choice"`
	Score  int    `json:"score"` // quality, 0 to 100
	Reason Reason `json:"reason"`
	Report string `json:"report"` // SHA-256 of the automatic report that the validator saw, hex
}

func (v Verdict) validate() error {
	if v.Choice != Approve && v.Choice != Reject {
		return ledger.Invalid("choice", "must be approve or reject")
	}
	if v.Score < 0 || v.Score > 100 {
		return ledger.Invalid("score", "must be from 0 to 100")
	}
	if !slices.Contains(Reasons, v.Reason) {
		return ledger.Invalid("reason", "must be one of %v", Reasons)
	}
	if (v.Choice == Approve) != (v.Reason == Sound) {
		return ledger.Invalid("reason", "%s is the reason to approve, the others are reasons to reject", Sound)
	}
	return ledger.ValidDigest("report", v.Report)
}

// Slot is an eligible organisation's place for its vote on a revision; Validator is "" until there is one.
type Slot struct {
	contribution.Named
	Revision  int            `json:"revision"`
	MSP       string         `json:"msp"`
	Validator ledger.Account `json:"validator"`
	Verdict
	Tx string `json:"tx,omitzero"`
}

// Votes are the slots of a contribution's revision, in the order of the organisations.
type Votes struct {
	Slots []Slot `json:"slots"`
}

// Listing asks for a page of the slots of all revisions of a contribution.
type Listing struct {
	contribution.Named
	ledger.PageRequest
}

func (l Listing) Validate() error { return l.Named.Validate() }

// Functions are the approval functions.
func Functions() []*ledger.Function {
	validator, anyRole := ledger.For(ledger.Validator), ledger.For(ledger.Roles...)
	return []*ledger.Function{
		ledger.Command("approval:Vote", "Votes on a contribution for the caller's organisation.", validator, voteOne),
		ledger.Command("approval:VoteBatch", "Votes on several contributions for the caller's organisation, all or none.", validator, voteBatch),
		ledger.Command("approval:Finalise", "Records the outcome when the votes decide.", anyRole, finaliseOne),
		ledger.Command("approval:FinaliseBatch", "Records the outcomes of several votes, all or none.", anyRole, finaliseBatch),
		ledger.Query("approval:Votes", "Shows the votes on the latest revision of a contribution.", ledger.Anyone,
			func(r ledger.Lister, req contribution.Named) (Votes, error) {
				c, err := contribution.Load(r, req)
				if err != nil {
					return Votes{}, err
				}
				slots, err := read(r, c)
				return Votes{Slots: slots}, err
			}),
		ledger.Query("approval:History", "Lists the votes on all revisions of a contribution.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Slot], error) {
				return ledger.List(r, slotsOf(req.Named), req.PageRequest, ledger.Value[Slot])
			}),
	}
}
