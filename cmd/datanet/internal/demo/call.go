package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/model"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/session"
	"github.com/datanet-consortium/datanet/chaincode/snapshot"
	"github.com/datanet-consortium/datanet/chaincode/ticket"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/client"
)

// call is a write in its two forms: the ledger's function, for those who sign it themselves, and the operation of the
// API, for those whose gateway signs.
type call struct {
	function string
	request  any
	method   string
	path     string
	said     []string // fields of the request that the path says
}

func found() call {
	return call{"member:Found", ledger.Nothing{}, http.MethodPost, client.Path("members", "found"), nil}
}

func openAccount() call {
	return call{"account:Open", ledger.Nothing{}, http.MethodPost, client.Path("account", "open"), nil}
}

func propose(r proposal.Content) call {
	return call{"proposal:Propose", r, http.MethodPut, client.Path("proposals", r.ID), []string{"id"}}
}

func approve(r proposal.Approval) call {
	return call{"proposal:Approve", r, http.MethodPost, client.Path("proposals", r.ID, "approve"), []string{"id"}}
}

func execute(r proposal.Named) call {
	return call{"proposal:Execute", r, http.MethodPost, client.Path("proposals", r.ID, "execute"), []string{"id"}}
}

func create(r datanet.Create) call {
	return call{"datanet:Create", r, http.MethodPut, client.Path("datanets", r.Name), []string{"name"}}
}

func submit(r contribution.Submit) call {
	return call{"contribution:Submit", r, http.MethodPut, client.Path("datanets", r.Datanet, "contributions", r.ID), []string{"datanet", "id"}}
}

func vote(r approval.Vote) call {
	return call{"approval:Vote", r, http.MethodPut,
		client.Path("datanets", r.Datanet, "contributions", r.ID, "revisions", strconv.Itoa(r.Revision), "vote"), []string{"datanet", "id", "revision"}}
}

func voteBatch(r approval.VoteBatch) call {
	return call{"approval:VoteBatch", r, http.MethodPost, client.Path("vote-batches"), nil}
}

func finaliseBatch(r approval.FinaliseBatch) call {
	return call{"approval:FinaliseBatch", r, http.MethodPost, client.Path("finalisation-batches"), nil}
}

func take(r snapshot.Named) call {
	return call{"snapshot:Take", r, http.MethodPut, snapshotPath(r), []string{"datanet", "number"}}
}

func snapshotPath(n snapshot.Named) string {
	return client.Path("datanets", n.Datanet, "snapshots", strconv.Itoa(n.Number))
}

func grant(r access.Terms) call {
	return call{"access:Grant", r, http.MethodPut, client.Path("datanets", r.Datanet, "grants", r.ID), []string{"datanet", "id"}}
}

func openTicket(r ticket.Open) call {
	return call{"ticket:Open", r, http.MethodPut, client.Path("tickets", r.ID), []string{"id"}}
}

func register(r model.Register) call {
	return call{"model:Register", r, http.MethodPut, client.Path("models", r.Name, "versions", r.Version), []string{"name", "version"}}
}

func publish(r model.Publish) call {
	return call{"model:Publish", r, http.MethodPut, client.Path("models", r.Name, "versions", r.Version, "cards", strconv.Itoa(r.Card)),
		[]string{"name", "version", "card"}}
}

func openSession(r session.Open) call {
	return call{"session:Open", r, http.MethodPut, client.Path("sessions", r.Name), []string{"name"}}
}

func redeem(r token.Redeem) call {
	return call{"token:Redeem", r, http.MethodPut, client.Path("redemptions", r.ID), []string{"id"}}
}

func acknowledge(r token.Acknowledgement) call {
	return call{"token:Acknowledge", r, http.MethodPost, client.Path("accounts", string(r.Account), "redemptions", r.ID, "acknowledge"), []string{"account", "id"}}
}

// body is what the path does not say.
func (c call) body() (any, error) {
	encoded, err := ledger.Encode(c.request)
	if err != nil || len(c.said) == 0 {
		return jsontext.Value(encoded), err
	}
	var fields map[string]jsontext.Value
	if err := ledger.DecodeAnswer(encoded, &fields); err != nil {
		return nil, err
	}
	for name := range fields {
		if slices.Contains(c.said, name) {
			delete(fields, name)
		}
	}
	return fields, nil
}

// do has a person write, waits until it is committed and returns the answer.
func do[Res any](ctx context.Context, s *Story, p *person, c call) (res Res, err error) {
	var written client.Committed
	if p.signs {
		res, written, err = client.Submit[Res](ctx, p.client, c.function, "", c.request)
	} else {
		var body any
		if body, err = c.body(); err == nil {
			res, written, err = client.Write[Res](ctx, p.client, c.method, c.path, "", body)
		}
	}
	if err != nil {
		return res, fmt.Errorf("%s as %s: %w", c.function, p.account, err)
	}
	s.reached(written.Height())
	return res, nil
}

// reached notes how many blocks hold what the story has written.
func (s *Story) reached(height uint64) {
	s.guard.Lock()
	defer s.guard.Unlock()
	s.height = max(s.height, height)
}

// read reads from the gateway of a person's organisation, after all that the story has written.
func read[Res any](ctx context.Context, s *Story, p *person, path string) (Res, error) {
	res, _, err := client.Get[Res](ctx, p.client, path, s.after(nil))
	if err != nil {
		return res, fmt.Errorf("read %s as %s: %w", path, p.account, err)
	}
	return res, nil
}

// after adds to a query that the answer holds all that the story has written.
func (s *Story) after(query url.Values) url.Values {
	if query == nil {
		query = url.Values{}
	}
	s.guard.Lock()
	defer s.guard.Unlock()
	query.Set("min_height", strconv.FormatUint(s.height, 10))
	return query
}

// everywhere waits until every organisation's gateway, and so its peer, has all that the story has written, so that
// whoever acts next builds on it.
func (s *Story) everywhere(ctx context.Context) error {
	witnesses := s.witnesses()
	return atOnce(ctx, len(witnesses), func(ctx context.Context, i int) error {
		_, err := read[jsontext.Value](ctx, s, witnesses[i], client.Path("members"))
		return err
	})
}

// freeName finds the first of name, name-2, name-3, … under whose path a gateway finds nothing.
func (s *Story) freeName(ctx context.Context, p *person, name string, path func(name string) string) (string, error) {
	for n := 1; ; n++ {
		candidate := name
		if n > 1 {
			candidate = fmt.Sprintf("%s-%d", name, n)
		}
		_, err := read[jsontext.Value](ctx, s, p, path(candidate))
		if client.IsCode(err, string(ledger.CodeNotFound)) {
			return candidate, nil
		}
		if err != nil {
			return "", err
		}
	}
}
