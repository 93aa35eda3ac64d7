// Package datanet registers datanets: pools of data on one subject, each owned by an organisation and governed by a
// policy that says who validates, and which parts of a fee are due for its data.
//
// This is the first, thin form: a datanet is created once and does not change; licence terms, versions and retirement
// are not there yet.
package datanet

import (
	"slices"
	"unicode/utf8"

	"github.com/datanet-consortium/datanet/attribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/member"
	"github.com/datanet-consortium/datanet/chaincode/money"
)

// Policy is what a datanet asks of those who validate its data and of those who use it.
type Policy struct {
	Validators    []string `json:"validators"`    // member organisations that validate, ascending
	Quorum        int      `json:"quorum"`        // equal votes that decide; see Validate
	Tau           int      `json:"tau"`           // bits above chance that a span must have to be paid, 0 to 30
	DataPpm       int      `json:"dataPpm"`       // least part of a fee for the data, ppm
	ValidatorsPpm int      `json:"validatorsPpm"` // least part of a fee for the validators, ppm
}

// Create is the request that registers a datanet, and what the ledger keeps of it.
type Create struct {
	Name  string `json:"name"`  // "PoetrySocietyMSP/persian-poetry"
	Title string `json:"title"` // of the datanet, never of a person; 1 to 120 characters
	Policy
}

// Datanet is a registered datanet.
type Datanet struct {
	Create
	Curator ledger.Account `json:"curator"` // who created it
	Tx      string         `json:"tx"`
}

// Named is a request that names a datanet.
type Named struct {
	Name string `json:"name"`
}

func (n Named) Validate() error { return ledger.ValidName("name", n.Name) }

// Validate checks the policy for every possible contributor. Eligible to vote are all validating organisations but the
// contributor's, so the quorum must be reachable without one of them and still be more than half of all.
func (c Create) Validate() error {
	if err := ledger.ValidName("name", c.Name); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(c.Title); n < 1 || n > 120 {
		return ledger.Invalid("title", "must have 1 to 120 characters")
	}
	for i, msp := range c.Validators {
		if err := ledger.ValidMSP(msp); err != nil {
			return ledger.AsFault(err).At("validators")
		}
		if i > 0 && msp <= c.Validators[i-1] {
			return ledger.Invalid("validators", "must be ascending and each once")
		}
	}
	switch n := len(c.Validators); {
	case n < 2:
		return ledger.Invalid("validators", "at least two organisations must validate, since none validates its own members' contributions")
	case 2*c.Quorum <= n || c.Quorum > n-1:
		return ledger.Invalid("quorum", "must be more than half of the %d validating organisations and reachable without the contributor's", n)
	case c.Tau < 0 || c.Tau > attribution.MaxTau:
		return ledger.Invalid("tau", "must be from 0 to %d bits", attribution.MaxTau)
	case c.DataPpm < 0 || c.DataPpm > money.Million:
		return ledger.Invalid("dataPpm", "must be from 0 to %d", money.Million)
	case c.ValidatorsPpm < 0 || c.ValidatorsPpm > money.Million-c.DataPpm:
		return ledger.Invalid("validatorsPpm", "must be from 0 to what the data part leaves of %d", money.Million)
	}
	return nil
}

// Functions are the datanet functions.
func Functions() []*ledger.Function {
	return []*ledger.Function{
		ledger.Command("datanet:Create", "Registers a datanet of the caller's organisation.", ledger.For(ledger.Curator), create),
		ledger.Query("datanet:Get", "Shows a datanet.", ledger.Anyone,
			func(r ledger.Lister, req Named) (Datanet, error) { return Load(r, "name", req.Name) }),
		ledger.Query("datanet:List", "Lists datanets by name.", ledger.Anyone,
			func(r ledger.Lister, req ledger.PageRequest) (ledger.Page[Datanet], error) {
				return ledger.List(r, prefix, req, ledger.Value[Datanet])
			}),
	}
}

// Load reads a datanet; field is the request's field that names it.
func Load(r ledger.Reader, field, name string) (Datanet, error) {
	d, found, err := ledger.Load[Datanet](r, Key(name))
	if err == nil && !found {
		err = ledger.Refuse(ledger.CodeNotFound, "no datanet %s", name).At(field)
	}
	return d, err
}

func create(tx ledger.Tx, req Create) (Datanet, error) {
	if ledger.Owner(req.Name) != tx.Caller().MSP {
		return Datanet{}, ledger.Refuse(ledger.CodeForbidden, "%s cannot create a datanet of %s", tx.Caller().MSP, ledger.Owner(req.Name))
	}
	existing, found, err := ledger.Load[Datanet](tx, Key(req.Name))
	if err != nil {
		return Datanet{}, err
	}
	if found {
		if !same(existing.Create, req) {
			return Datanet{}, ledger.Refuse(ledger.CodeExists, "datanet %s exists with other content", req.Name).At("name")
		}
		return existing, nil
	}
	members, err := member.Load(tx)
	if err != nil {
		return Datanet{}, err
	}
	for _, msp := range req.Validators {
		if !members.Has(msp) {
			return Datanet{}, ledger.Invalid("validators", "%s is not a member", msp)
		}
	}
	d := Datanet{Create: req, Curator: tx.Caller().Account(), Tx: tx.TxID()}
	tx.Emit("datanet.created/1", d)
	return d, ledger.Save(tx, Key(req.Name), d)
}

func same(a, b Create) bool {
	return a.Name == b.Name && a.Title == b.Title && slices.Equal(a.Validators, b.Validators) &&
		a.Quorum == b.Quorum && a.Tau == b.Tau && a.DataPpm == b.DataPpm && a.ValidatorsPpm == b.ValidatorsPpm
}
