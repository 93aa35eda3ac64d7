package erasure

import (
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/seal"
)

// Detail is an erasure with its slots.
type Detail struct {
	Erasure
	Acknowledgements []Slot `json:"acknowledgements"`
}

// Reach asks how far a contribution has gone: a page of the models downstream.
type Reach struct {
	contribution.Named
	ledger.PageRequest
}

// Affected is how far a contribution has gone.
type Affected struct {
	State contribution.State `json:"state"`
	First int                `json:"first,omitzero"` // number of the first snapshot that held it; none when it was never in one
	Last  int                `json:"last,omitzero"`  // number of the last one; none while the next one will hold it too
	// Models that were trained on it, with the hosts that serve them; a page of them may be short while there are more.
	Models ledger.Page[model.Affected] `json:"models"`
}

// Functions are the erasure functions.
func Functions() []*ledger.Function {
	holder := ledger.For(ledger.Operator, ledger.Host)
	holder.Duty = true
	return []*ledger.Function{
		ledger.Command("erasure:Request", "Has a contribution of the caller, or of the caller's organisation, erased.", ledger.For(ledger.Contributor, ledger.Operator), request),
		ledger.Command("erasure:Acknowledge", "Says for the caller's organisation that the content is destroyed.", holder, acknowledge),
		ledger.Command("erasure:Complete", "Completes an erasure that every holder has acknowledged.", ledger.Anyone, complete),
		ledger.Query("erasure:Get", "Shows an erasure and its acknowledgements.", ledger.Anyone,
			func(r ledger.Lister, req contribution.Named) (Detail, error) {
				e, err := load(r, req)
				if err != nil {
					return Detail{}, err
				}
				slots, err := slotsOf(r, e)
				return Detail{Erasure: e, Acknowledgements: slots}, err
			}),
		ledger.Query("erasure:List", "Lists the erasures of a datanet.", ledger.Anyone,
			func(r ledger.Lister, req contribution.Listing) (ledger.Page[Erasure], error) {
				return ledger.List(r, headsOf(req.Datanet), req.PageRequest, ledger.Value[Erasure])
			}),
		ledger.Query("erasure:Affected", "Tells which snapshots, models and hosts a contribution has reached.", ledger.Anyone, affected),
	}
}

func affected(r ledger.Lister, req Reach) (Affected, error) {
	c, err := contribution.Load(r, req.Named)
	if err != nil {
		return Affected{}, err
	}
	a := Affected{State: c.State}
	place, sealed, err := seal.PlaceOf(r, req.Named)
	if err != nil {
		return Affected{}, err
	}
	if sealed && place.From != place.First {
		a.First, a.Last = place.First, max(place.From-1, 0)
	}
	a.Models, err = model.Downstream(r, model.Impact{Datanet: req.Datanet, Contribution: req.ID, PageRequest: req.PageRequest})
	return a, err
}
