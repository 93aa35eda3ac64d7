package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"
	"time"

	"github.com/datanet-consortium/datanet/gateway/identity"
)

// Organisation is what an organisation's peer answers for its chaincode.
type Organisation struct {
	MSPID     string `json:"mspId"`
	Chaincode string `json:"chaincode,omitzero" doc:"SHA-256 of the functions that its chaincode offers; equal where the same version runs."`
	Fault     string `json:"fault,omitzero" doc:"Why there is no answer."`
}

const (
	// metadataFunction is the contract API's own query for what a chaincode offers.
	metadataFunction = "org.hyperledger.fabric:GetMetadata"
	// organisationLimit bounds how long one organisation is waited for.
	organisationLimit = 10 * time.Second
)

// addOrganisations adds what tells whether the chaincode of every organisation runs, and is the same.
func (a *API) addOrganisations() {
	if a.options.EvaluateAt == nil {
		return
	}
	a.add(&operation{id: "list-organisations", method: get, path: "/v1/organisations", tag: "network", scope: identity.Read,
		summary: "Asks the peer of every organisation which functions its chaincode offers",
		answers: good[Items[Organisation]](http.StatusOK), problems: []string{codeTimeout},
		handle: func(c *call) error { return c.answer(http.StatusOK, itemsOf(a.offers(c.ctx()))) }})
}

// offers asks all organisations at once.
func (a *API) offers(ctx context.Context) []Organisation {
	ctx, cancel := context.WithTimeout(ctx, organisationLimit)
	defer cancel()
	answers := make([]Organisation, len(a.options.Organisations))
	var work sync.WaitGroup
	for i, msp := range a.options.Organisations {
		work.Go(func() {
			answers[i] = Organisation{MSPID: msp}
			offered, err := a.options.EvaluateAt(ctx, msp, metadataFunction, []byte("{}"))
			if err != nil {
				a.options.Log.Warn("an organisation's chaincode does not answer", "organisation", msp, "error", err)
				answers[i].Fault = "its peer does not answer, or its chaincode does not run, or it has not approved the definition in force"
				return
			}
			sum := sha256.Sum256(offered)
			answers[i].Chaincode = hex.EncodeToString(sum[:])
		})
	}
	work.Wait()
	return answers
}
