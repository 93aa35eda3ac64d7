package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/earnings"
	"github.com/datanet-consortium/datanet/gateway/identity"
)

// earningsTime bounds the summing up of an account's earnings, and the opening of a settlement.
const earningsTime = 2 * time.Minute

// addEarnings adds what tells who has earned what, and why.
func (a *API) addEarnings() {
	problems := append([]string{codeTimeout, codeUnavailable, string(ledger.CodeNotFound), string(ledger.CodeState)}, indexProblems...)
	add := func(op operation) {
		op.method, op.tag, op.scope, op.problems, op.limit = get, "earnings", identity.Read, problems, earningsTime
		a.add(&op)
	}
	add(operation{id: "get-earnings", path: ofAccount + "/earnings", summary: "Lists what an account has earned, the latest first",
		doc:    "Credits that settlements, pay-outs of claims and pay-outs of pools have made, also when they are spent by now. A page may have fewer items than asked for while more follow.",
		params: a.pageParams(), answers: good[ledger.Page[earnings.Earning]](http.StatusOK), handle: listEarnings})
	add(operation{id: "sum-earnings", path: ofAccount + "/earnings/sums", summary: "Sums up what an account has earned", limit: earningsTime,
		doc: "By model, kind, day, month, settlement, or contribution: that one sums up the data parts only, divided among the contributions in which the credited spans stand first, " +
			"from the receipts that the hosts' gateways give.",
		params: []*huma.Param{queryParam("by", enum("model", "kind", "day", "month", "settlement", "contribution"), "By what; by model when it is left out."),
			queryParam("from", text(), "Of transactions from this time on, or from midnight UTC of this date."), queryParam("until", text(), "And before this one."), a.heightParam()},
		answers: good[earnings.Sums](http.StatusOK), handle: sumEarnings})
	if a.options.Behind == nil {
		return
	}
	host, id := queryParam("host", text(), "Who settled."), queryParam("settlement", text(), "The settlement's id.")
	host.Required, id.Required = true, true
	add(operation{id: "open-earning", path: ofAccount + "/earnings/spans", summary: "Shows the spans for which a settlement's data part paid an account",
		doc: "From receipts, which hold no text.", params: []*huma.Param{host, id, a.heightParam()}, answers: good[Items[earnings.Span]](http.StatusOK), handle: openEarning})
}

func (c *call) earner() (ledger.Account, error) {
	account := ledger.Account(c.param("account"))
	if account.IsPool() {
		return account, ledger.ValidName("account", account.Pool())
	}
	return account, account.Validate("account")
}

func listEarnings(c *call) error {
	if err := c.atHeight(); err != nil {
		return err
	}
	account, err := c.earner()
	if err != nil {
		return err
	}
	page, err := c.page()
	if err != nil {
		return err
	}
	list, err := earnings.List(c.ctx(), c.api.options.Index, account, page)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, list)
}

func sumEarnings(c *call) error {
	if err := c.atHeight(); err != nil {
		return err
	}
	account, err := c.earner()
	if err != nil {
		return err
	}
	by := earnings.By(c.query.Get("by"))
	if by == "" {
		by = earnings.ByModel
	}
	var in earnings.Range
	for name, at := range map[string]*time.Time{"from": &in.From, "until": &in.Until} {
		if *at, err = c.moment(name); err != nil {
			return err
		}
	}
	switch by {
	case earnings.ByModel, earnings.ByKind, earnings.ByDay, earnings.ByMonth, earnings.BySettlement:
	case earnings.ByContribution:
		if c.api.options.Behind == nil {
			return invalid("by", "this gateway reads no receipts of other gateways")
		}
	default:
		return invalid("by", "must be model, kind, day, month, settlement or contribution")
	}
	sums, err := earnings.SumUp(c.ctx(), c.api.options.Index, account, by, in, c.behind)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, sums)
}

// behind is Options.Behind; what other gateways do not give now is told as that.
func (c *call) behind(ctx context.Context, e earnings.Earning) (earnings.Behind, error) {
	found, err := c.api.options.Behind(ctx, e)
	if err != nil {
		if p := problemOf(err); p.Status < http.StatusInternalServerError {
			return nil, p
		}
		p := newProblem(codeUnavailable, "the host's gateway does not give the receipts of settlement %s now", e.Settlement)
		p.cause = err
		return nil, p
	}
	return found, nil
}

func openEarning(c *call) error {
	if err := c.atHeight(); err != nil {
		return err
	}
	account, err := c.earner()
	if err != nil {
		return err
	}
	host := ledger.Account(c.query.Get("host"))
	if err := host.Validate("host"); err != nil {
		return err
	}
	if err := ledger.ValidID("settlement", c.query.Get("settlement")); err != nil {
		return err
	}
	found, err := c.behind(c.ctx(), earnings.Earning{Host: string(host), Settlement: c.query.Get("settlement")})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, itemsOf(found.Spans(account)))
}
