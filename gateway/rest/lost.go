package rest

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// recoverTime bounds a request to look for what is lost. The look goes on after it.
const recoverTime = 5 * time.Minute

// Lost is what a gateway has lost of the contents of its organisation's contributors, as its last look found it.
type Lost struct {
	Looked   time.Time     `json:"looked,omitzero" doc:"When everything was looked through last."`
	Returned int           `json:"returned" doc:"How many contents came back then."`
	Count    int           `json:"count" doc:"How many contents are lost."`
	Items    []LostContent `json:"items" doc:"At most 1000 of them."`

	Unreadable int             `json:"unreadable" doc:"How many contents have an object that is there and cannot be read, as for its file's permissions. They are not lost, and nothing is fetched in their place."`
	Unread     []UnreadContent `json:"unread" doc:"At most 1000 of them."`
}

// UnreadContent is a content that the gateway has and cannot read.
type UnreadContent struct {
	Content string `json:"content" doc:"Its id in the gateway's store."`
	Datanet string `json:"datanet,omitzero" doc:"The contribution that it is of; missing when it is of none yet."`
	ID      string `json:"id,omitzero"`
	Why     string `json:"why"`
}

// LostContent is a contribution whose content the gateway has not.
type LostContent struct {
	Datanet     string             `json:"datanet"`
	ID          string             `json:"id"`
	Contributor ledger.Account     `json:"contributor"`
	State       contribution.State `json:"state"`
	Why         string             `json:"why" doc:"Why nobody gave it back so far."`
}

// Recovery is a request to look for what is lost.
type Recovery struct {
	Read bool `json:"read,omitzero" doc:"Read each content whole too, which finds bytes that were altered."`
}

// Losses knows what the gateway has lost, and gets it back.
type Losses interface {
	Lost() Lost
	// Recover looks through everything, reads each content whole if it is to, and has fetched what is lost before it answers.
	Recover(ctx context.Context, read bool) (Lost, error)
	// Return has one content fetched that may be lost, or says why it could not be had.
	Return(ctx context.Context, n contribution.Named) error
}

func (a *API) addLost() {
	losses := a.options.Losses
	if losses == nil {
		return
	}
	operators := func(c *call) error {
		if !c.principal.Has(ledger.Operator) {
			return newProblem(string(ledger.CodeForbidden), "this is for the role %s", ledger.Operator)
		}
		return nil
	}
	a.add(&operation{id: "list-lost-contents", method: get, path: "/v1/lost-contents", tag: "contents", scope: identity.Admin,
		summary: "Lists the contents of the organisation's contributors that the gateway has lost",
		doc: "What is lost is asked for again and again from those who hold it to hand it on, as keepers of replicas do. What is erased is not lost. " +
			"Needs the role operator.",
		answers: good[Lost](http.StatusOK), handle: func(c *call) error {
			if err := operators(c); err != nil {
				return err
			}
			return c.answer(http.StatusOK, losses.Lost())
		}})
	a.add(&operation{id: "recover-contents", method: post, path: "/v1/lost-contents/recover", tag: "contents", scope: identity.Admin, limit: recoverTime,
		summary: "Looks for contents that are lost, and gets them back",
		doc: "Looks whether each content that the ledger and the store know of is there, and fetches what is lost from who holds it; each release is on the ledger, " +
			"and what comes has to open the commitment. The gateway does so by itself too. It may be repeated. Needs the role operator.",
		request: reflect.TypeFor[Recovery](), answers: good[Lost](http.StatusOK), problems: []string{codeUnavailable}, handle: func(c *call) error {
			if err := operators(c); err != nil {
				return err
			}
			if err := c.writeBy(recoverTime + margin); err != nil {
				return err
			}
			var request Recovery
			if err := c.decode(&request); err != nil {
				return err
			}
			lost, err := losses.Recover(c.ctx(), request.Read)
			if err != nil {
				p := newProblem(codeUnavailable, "the look has not come to its end: the gateway goes on, and its log says what failed")
				p.cause = err
				return p
			}
			return c.answer(http.StatusOK, lost)
		}})
}
