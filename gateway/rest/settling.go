package rest

import (
	"net/http"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/claim"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/serving"
)

// settleTime bounds a request to settle. What is under way goes on after it.
const settleTime = 5 * time.Minute

var hostRoles = []ledger.Role{ledger.Host, ledger.Operator}

// hosts refuses callers who do not look after what is served.
func (c *call) hosts() error {
	if !c.principal.Has(hostRoles...) {
		return newProblem(string(ledger.CodeForbidden), "this is for the role %s", ledger.AnyOf(hostRoles))
	}
	return nil
}

// addSettling adds what hosts ask of their own gateway.
func (a *API) addSettling() {
	if host := a.options.Serving; host != nil {
		a.add(&operation{id: "list-served-models", method: get, path: "/v1/serving/models", tag: "serving", scope: identity.Read,
			summary: "Lists the models that this gateway hosts, and what those lack that it cannot serve",
			doc:     "For the roles host and operator.", answers: good[Items[serving.Status]](http.StatusOK), handle: func(c *call) error {
				if err := c.hosts(); err != nil {
					return err
				}
				list, err := host.Status()
				if err != nil {
					return err
				}
				return c.answer(http.StatusOK, itemsOf(list))
			}})
	}
	settle := a.options.Settle
	if settle == nil {
		return
	}
	a.add(&operation{id: "settle-now", method: post, path: "/v1/serving/settle", tag: "serving", scope: identity.Write, limit: settleTime,
		summary: "Settles whatever consumers have signed for, however little and young it is",
		doc: "For the roles host and operator. Answers with the settlements that the ledger has taken. What it would refuse, since too little of it goes to the data, waits. " +
			"It may be repeated.",
		answers: good[Items[claim.Claim]](http.StatusOK), problems: []string{codeUnknown},
		handle: func(c *call) error {
			if err := c.hosts(); err != nil {
				return err
			}
			if err := c.writeBy(settleTime + margin); err != nil {
				return err
			}
			settled, err := settle(c.ctx())
			if err != nil {
				p := newProblem(codeUnavailable, "not everything is settled: the gateway goes on with it, and its log says why")
				p.cause = err
				return p
			}
			return c.answer(http.StatusOK, itemsOf(settled))
		}})
}
