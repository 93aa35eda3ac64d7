// Package contribution registers contributions to datanets: commitments and counts, never content.
//
// This is the first, thin form: fingerprints, provenance, licences, withdrawal and erasure are not there yet.
package contribution

import (
	"slices"

	"github.com/datanet-consortium/datanet/chaincode/account"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
)

// State of a contribution.
type State string

const (
	Pending  State = "pending"
	Approved State = "approved"
	Rejected State = "rejected"
)

// MaxRecords bounds the records of one contribution.
const MaxRecords = 1_000_000

// Submit is the request that registers a contribution.
type Submit struct {
	Datanet    string `json:"datanet"`
	ID         string `json:"id"`
	Commitment string `json:"commitment"` // to the records, salted; hex
	Descriptor string `json:"descriptor"` // commitment to the descriptor, salted; hex
	Records    int64  `json:"records"`    // validators recount them
	Tokens     int64  `json:"tokens"`     // canonical tokens; validators recount them
}

func (s Submit) Validate() error {
	if err := (Named{s.Datanet, s.ID}).Validate(); err != nil {
		return err
	}
	if err := ledger.ValidDigest("commitment", s.Commitment); err != nil {
		return err
	}
	if err := ledger.ValidDigest("descriptor", s.Descriptor); err != nil {
		return err
	}
	if s.Records < 1 || s.Records > MaxRecords {
		return ledger.Invalid("records", "must be from 1 to %d", MaxRecords)
	}
	if s.Tokens < 1 || s.Tokens > 1<<40 {
		return ledger.Invalid("tokens", "must be positive")
	}
	return nil
}

func (s Submit) Reads(c ledger.Caller) []ledger.Key {
	return []ledger.Key{Key(s.Datanet, s.ID), datanet.Key(s.Datanet), account.Key(c.Account())}
}

// Contribution is a registered contribution.
type Contribution struct {
	Submit
	Contributor ledger.Account `json:"contributor"`
	Eligible    []string       `json:"eligible"` // organisations that may vote
	Quorum      int            `json:"quorum"`
	Slots       []string       `json:"slots"` // the members when it was submitted; the vote slots' policy is over them
	State       State          `json:"state"`
	Tx          string         `json:"tx"`
	EndTx       string         `json:"endTx,omitzero"` // that finalised it
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

// Listing asks for a page of a datanet's contributions.
type Listing struct {
	Datanet string `json:"datanet"`
	ledger.PageRequest
}

func (l Listing) Validate() error { return ledger.ValidName("datanet", l.Datanet) }

// OpenVote creates the places into which the eligible organisations vote. Package approval, which knows
// contributions, owns them.
type OpenVote func(tx ledger.Tx, c Contribution) error

// Functions are the contribution functions.
func Functions(openVote OpenVote) []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("contribution:Submit", "Registers a contribution and opens its vote.", ledger.For(ledger.Contributor),
			func(tx ledger.Tx, req Submit) (Contribution, error) { return submit(tx, req, openVote) }),
		ledger.Query("contribution:Get", "Shows a contribution.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Contribution, error) { return Load(r, req) }),
		ledger.Query("contribution:List", "Lists a datanet's contributions by id.", ledger.Anyone,
			func(r ledger.Lister, req Listing) (ledger.Page[Contribution], error) {
				return ledger.List(r, keysOf(req.Datanet), req.PageRequest, ledger.Value[Contribution])
			}),
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

// Finalise writes the outcome of the vote.
func Finalise(tx ledger.Tx, c Contribution, state State) (Contribution, error) {
	c.State, c.EndTx = state, tx.TxID()
	return c, ledger.Save(tx, Key(c.Datanet, c.ID), c)
}

func submit(tx ledger.Tx, req Submit, openVote OpenVote) (Contribution, error) {
	caller := tx.Caller()
	existing, found, err := ledger.Load[Contribution](tx, Key(req.Datanet, req.ID))
	if err != nil {
		return Contribution{}, err
	}
	if found {
		if existing.Submit != req || existing.Contributor != caller.Account() {
			return Contribution{}, ledger.Refuse(ledger.CodeExists, "contribution %s exists with other content: choose a new id", req.ID).At("id")
		}
		return existing, nil
	}
	d, err := datanet.Load(tx, "datanet", req.Datanet)
	if err != nil {
		return Contribution{}, err
	}
	if err := account.MustBeOpen(tx, "", caller.Account()); err != nil {
		return Contribution{}, err
	}
	members, err := member.Load(tx)
	if err != nil {
		return Contribution{}, err
	}
	eligible := slices.DeleteFunc(slices.Clone(d.Validators), func(msp string) bool { return msp == caller.MSP })
	c := Contribution{Submit: req, Contributor: caller.Account(), Eligible: eligible, Quorum: d.Quorum, Slots: members.Members,
		State: Pending, Tx: tx.TxID()}
	if err := openVote(tx, c); err != nil {
		return Contribution{}, err
	}
	tx.Emit("contribution.submitted/1", c)
	return c, ledger.Save(tx, Key(req.Datanet, req.ID), c)
}
