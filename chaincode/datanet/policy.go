package datanet

import (
	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Rest says to whom a datanet's pool pays what no receipt names: the uncovered part of the data's fees.
type Rest string

const (
	ByTokens        Rest = "by-tokens"        // in proportion to the tokens that each account has in the datanet
	ByContributions Rest = "by-contributions" // in proportion to the number of contributions
	Equal           Rest = "equal"            // to each contributing account the same
)

// Policy is what a datanet asks of those who validate its data and of those who use it. Where a model is trained on
// several datanets, the strictest wins.
type Policy struct {
	Validators        []string `json:"validators"`        // member organisations that validate, ascending
	Quorum            int      `json:"quorum"`            // equal votes that decide
	MaxDerivedPpm     int      `json:"maxDerivedPpm"`     // largest part of a contribution that may be derived; validators measure it
	DataPpm           int      `json:"dataPpm"`           // least part of a fee for the data, ppm
	ValidatorsPpm     int      `json:"validatorsPpm"`     // least part of a fee for the validators, ppm
	Tau               int      `json:"tau"`               // bits above chance that a span must have to be paid, 0 to 30
	AttestationQuorum int      `json:"attestationQuorum"` // validating organisations that recompute receipts
	Rest              Rest     `json:"rest"`
}

// Validate checks the policy for every possible contributor and host. Eligible to vote are all validating organisations
// but the contributor's, so the quorum must be reachable without one of them and still be more than half of all; those
// who attest are the validating organisations but the host's.
func (p Policy) Validate(field string) error {
	for i, msp := range p.Validators {
		if err := ledger.ValidMSP(msp); err != nil {
			return ledger.AsFault(err).At(field + ".validators")
		}
		if i > 0 && msp <= p.Validators[i-1] {
			return ledger.Invalid(field+".validators", "must be ascending and each once")
		}
	}
	switch n := len(p.Validators); {
	case n < 2:
		return ledger.Invalid(field+".validators", "at least two organisations must validate, since none validates its own members' contributions")
	case n > MaxValidators:
		return ledger.Invalid(field+".validators", "at most %d organisations", MaxValidators)
	case 2*p.Quorum <= n || p.Quorum > n-1:
		return ledger.Invalid(field+".quorum", "must be more than half of the %d validating organisations and reachable without the contributor's", n)
	case p.MaxDerivedPpm < 0 || p.MaxDerivedPpm > money.Million:
		return ledger.Invalid(field+".maxDerivedPpm", "must be from 0 to %d", money.Million)
	case p.DataPpm < 0 || p.DataPpm > money.Million:
		return ledger.Invalid(field+".dataPpm", "must be from 0 to %d", money.Million)
	case p.ValidatorsPpm < 0 || p.ValidatorsPpm > money.Million-p.DataPpm:
		return ledger.Invalid(field+".validatorsPpm", "must be from 0 to what the data part leaves of %d", money.Million)
	case p.Tau < 0 || p.Tau > attribution.MaxTau:
		return ledger.Invalid(field+".tau", "must be from 0 to %d bits", attribution.MaxTau)
	case p.AttestationQuorum < 1 || p.AttestationQuorum > n-1:
		return ledger.Invalid(field+".attestationQuorum", "must be from 1 to %d: the validating organisations but the host's", n-1)
	case p.Rest != ByTokens && p.Rest != ByContributions && p.Rest != Equal:
		return ledger.Invalid(field+".rest", "must be %s, %s or %s", ByTokens, ByContributions, Equal)
	}
	return nil
}
