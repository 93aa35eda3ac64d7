package rest

import (
	"errors"
	"net/http"

	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/attesting"
	"github.com/datanet-consortium/datanet/gateway/exchange"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// Finding is what a gateway has found of a settlement, and what its organisation may send to the ledger.
type Finding struct {
	Uses       int                   `json:"uses" doc:"That the settlement adds."`
	Recomputed int                   `json:"recomputed" doc:"Of them, with their texts."`
	Uncovered  int                   `json:"uncovered" doc:"Of them, that count as coverage 0: nothing is disclosed, or the receipt is on an earlier revision."`
	Vote       *claim.Vote           `json:"vote,omitempty" doc:"What follows when all is right, for attesting."`
	Objection  *claim.Difference     `json:"objection,omitempty" doc:"The first difference, for objecting."`
	Difference *attesting.Difference `json:"difference,omitempty" doc:"The same in words."`
}

// addAttesting adds what validators ask before they vote on a settlement.
func (a *API) addAttesting() {
	if a.options.Attesting == nil {
		return
	}
	a.add(&operation{id: "examine-claim", method: post, path: ofClaim + "/examine", tag: "claims", scope: identity.Content, limit: finishTime,
		summary: "Recomputes a settlement for the caller's organisation",
		doc: "For validators. Every leaf is checked, and of the uses that the organisation's secret draws, or of all, texts, units and receipts. The answer is the vote or the objection " +
			"that the caller may send as its own. Nothing is written to the ledger but releases of contents that the gateway has to fetch.",
		answers: good[Finding](http.StatusOK), problems: contentProblems,
		handle: func(c *call) error {
			if !c.principal.Has(ledger.Validator) {
				return newProblem(string(ledger.CodeForbidden), "this is for the role %s", ledger.Validator)
			}
			if err := c.writeBy(finishTime + margin); err != nil {
				return err
			}
			n := claim.Named{Host: ledger.Account(c.param("host")), ID: c.param("id")}
			if err := n.Validate(); err != nil {
				return err
			}
			return c.examine(n)
		}})
}

func (c *call) examine(n claim.Named) error {
	x, err := c.api.options.Attesting.Examine(c.ctx(), n)
	var refusal *exchange.Refusal
	switch {
	case errors.Is(err, attesting.ErrWaits):
		return newProblem(string(ledger.CodeState), "%v", err)
	case errors.As(err, &refusal):
		return refusedByHolders(err)
	case err != nil:
		return contentProblem(err)
	}
	if err := c.api.options.Attesting.Keep(c.ctx(), x); err != nil {
		return err
	}
	found := Finding{Uses: x.Uses, Recomputed: x.Recomputed, Uncovered: x.Uncovered, Vote: x.Vote, Difference: x.Difference}
	if x.Difference != nil {
		objection, err := x.Objection()
		if err != nil {
			return err
		}
		found.Objection = &objection.Difference
	}
	return c.answer(http.StatusOK, found)
}
