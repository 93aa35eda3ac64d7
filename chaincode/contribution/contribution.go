// Package contribution registers contributions to datanets: commitments, counts, provenance and a fingerprint, never
// content.
//
//	submit ──► pending ──votes──► approved ──► sealed into snapshots
//	   ▲          │                  │
//	   │          ├──votes──► rejected ──revise──► pending, next revision
//	   │          └──withdraw──► withdrawn ◄──withdraw── approved
//	   └── any of these ──erase──► erasing ──► erased
//
// The records' Merkle root stands inside the salted commitment and never in clear: a short text could be guessed from
// it. What the chaincode cannot see is the validators' duty: that the counts are right, that the fingerprint is that of
// the content, that the share of derived text is within the datanet's limit, that the provenance is plausible.
package contribution

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
)

// State of a contribution.
type State string

const (
	Pending   State = "pending"
	Approved  State = "approved"
	Rejected  State = "rejected"
	Withdrawn State = "withdrawn" // in no new snapshot; what was trained on it keeps paying
	Erasing   State = "erasing"   // its holders are destroying the content
	Erased    State = "erased"
)

// Bounds of a contribution.
const (
	MaxRecords   = 1_000_000
	MaxTokens    = 1 << 40
	MaxRevisions = 1000
)

// Content is what a contributor says of a contribution, and can change by revising a rejected one.
type Content struct {
	MediaType   string      `json:"mediaType"`
	Commitment  string      `json:"commitment"` // to the records, salted; hex
	Descriptor  string      `json:"descriptor"` // commitment to the descriptor, salted; hex
	Records     int64       `json:"records"`    // validators recount them
	Tokens      int64       `json:"tokens"`     // canonical tokens; validators recount them
	Provenance  Provenance  `json:"provenance"`
	Fingerprint Fingerprint `json:"fingerprint"`
	// Licence, where it is given, takes the place of the datanet's, than which it must be stricter.
	Licence *licence.Licence `json:"licence,omitzero"`
}

func (c Content) validate() error {
	if !slices.Contains(MediaTypes, c.MediaType) {
		return ledger.Invalid("mediaType", "must be one of %v", MediaTypes)
	}
	if err := ledger.ValidDigest("commitment", c.Commitment); err != nil {
		return err
	}
	if err := ledger.ValidDigest("descriptor", c.Descriptor); err != nil {
		return err
	}
	if c.Records < 1 || c.Records > MaxRecords {
		return ledger.Invalid("records", "must be from 1 to %d", MaxRecords)
	}
	if c.Tokens < 1 || c.Tokens > MaxTokens {
		return ledger.Invalid("tokens", "must be from 1 to %d", int64(MaxTokens))
	}
	if err := c.Provenance.validate("provenance"); err != nil {
		return err
	}
	if c.Licence != nil {
		if err := c.Licence.Validate("licence"); err != nil {
			return err
		}
	}
	return c.Fingerprint.validate()
}

// Contribution is a registered contribution in its latest revision.
type Contribution struct {
	Submit
	Revision       int            `json:"revision"`       // from 1
	DatanetVersion int            `json:"datanetVersion"` // whose licence and policy are its terms
	Contributor    ledger.Account `json:"contributor"`
	Eligible       []string       `json:"eligible"` // organisations that may vote
	Quorum         int            `json:"quorum"`
	Slots          []string       `json:"slots"` // the members when it was submitted; the vote slots' policy is over them
	State          State          `json:"state"`
	// Moved is the fingerprint of a later epoch that took the place of the submitted one.
	Moved Fingerprint `json:"moved,omitzero"`
	// Approval tells that it was approved, whatever became of it later: its leaf may stand in snapshots.
	Approval bool   `json:"approval,omitzero"`
	Tx       string `json:"tx"`               // that submitted this revision
	EndTx    string `json:"endTx,omitzero"`   // that finalised the vote
	LeaveTx  string `json:"leaveTx,omitzero"` // that withdrew it, or began to erase it
}

// Name is what names the contribution in requests.
func (c Contribution) Name() Named { return Named{Datanet: c.Datanet, ID: c.ID} }

// holds is the fingerprint that the contribution holds while it stands.
func (c Contribution) holds() Fingerprint {
	if c.Moved != (Fingerprint{}) {
		return c.Moved
	}
	return c.Fingerprint
}

// Terms is the licence of the contribution: its own, or that of its version of the datanet, which the caller has read
// (see [datanet.LoadVersion]).
func (c Contribution) Terms(v datanet.Version) licence.Licence {
	if c.Licence != nil {
		return *c.Licence
	}
	return v.Licence
}

// Named is a request that names a contribution.
type Named struct {
	Datanet string `json:"datanet"`
	ID      string `json:"id"`
}

func (n Named) Validate() error {
	if err := ledger.ValidName("datanet", n.Datanet); err != nil {
		return err
	}
	return ledger.ValidID("id", n.ID)
}

func (n Named) Reads(ledger.Caller) []ledger.Key { return []ledger.Key{Key(n.Datanet, n.ID)} }

// Listing asks for a page of a datanet's contributions.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// OpenVote creates the places into which the eligible organisations vote. Package approval, which knows
// contributions, owns them.
type OpenVote func(tx ledger.Tx, c Contribution) error

// Changed is the event of every change: what it changed, as it stands now.
type Changed struct {
	Contributions []Contribution `json:"contributions"`
}

// Batch answers a batch, in the order of its items.
type Batch struct {
	Contributions []Contribution `json:"contributions"`
}

// Functions are the contribution functions.
func Functions(openVote OpenVote) []*ledger.Function {
	contributor, keeper := ledger.For(ledger.Contributor), ledger.For(ledger.Contributor, ledger.Operator)
	return []*ledger.Function{
		ledger.Command("contribution:Submit", "Registers a contribution and opens its vote.", contributor,
			func(tx ledger.Tx, req Submit) (Contribution, error) { return submitOne(tx, req, openVote) }),
		ledger.Command("contribution:SubmitBatch", "Registers several contributions and opens their votes, all or none.", contributor,
			func(tx ledger.Tx, req SubmitBatch) (Batch, error) { return submitBatch(tx, req, openVote) }),
		ledger.Command("contribution:Revise", "Submits an own rejected contribution again, with other content.", contributor,
			func(tx ledger.Tx, req Revise) (Contribution, error) { return revise(tx, req, openVote) }),
		ledger.Command("contribution:Withdraw", "Withdraws a contribution of the caller, or of the caller's organisation: it enters no new snapshot.", keeper, withdraw),
		ledger.Command("contribution:Refingerprint", "Moves a contribution of the caller's organisation to the fingerprint epoch in force.", keeper, refingerprint),
		ledger.Query("contribution:Get", "Shows a contribution.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Contribution, error) { return Load(r, req) }),
		ledger.Query("contribution:List", "Lists a datanet's contributions by id.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Contribution], error) {
				return ledger.List(r, keysOf(req.Datanet), req.PageRequest, ledger.Value[Contribution])
			}),
		ledger.Query("contribution:Epoch", "Shows the fingerprint epoch in force.", ledger.Anyone,
			func(r ledger.Lister, _ ledger.Nothing) (Epoch, error) { return LoadEpoch(r) }),
		ledger.Query("contribution:Fingerprint", "Shows which contribution holds a fingerprint.", ledger.Anyone,
			func(r ledger.Lister, req Fingerprint) (Registration, error) { return holder(r, req) }),
	}
}

// Load reads a contribution.
func Load(r ledger.Reader, n Named) (Contribution, error) {
	c, found, err := ledger.Load[Contribution](r, Key(n.Datanet, n.ID))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "datanet %s has no contribution %s", n.Datanet, n.ID).At("id")
	}
	return c, err
}

func save(tx ledger.Tx, c Contribution) error { return ledger.Save(tx, Key(c.Datanet, c.ID), c) }
