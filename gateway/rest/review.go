package rest

import (
	"context"
	"errors"
	"iter"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/identity"
	"github.com/datanet-consortium/datanet/gateway/index"
	"github.com/datanet-consortium/datanet/gateway/query"
	"github.com/datanet-consortium/datanet/gateway/review"
)

// addReview adds what validators look at before they vote.
func (a *API) addReview() {
	if a.options.Content == nil {
		return
	}
	a.add(&operation{id: "get-report", method: get, path: ofContribution + "/report", tag: "contents", scope: identity.Content, limit: finishTime,
		summary: "Checks a contribution's figures and reports on its content",
		doc: "The automatic report that a vote cites: duplicates, derived parts, languages, personal data, odd characters, compared with the contributions of the datanet " +
			"that this gateway holds and that were registered before. The content is fetched as for a download, which records its release. While the vote runs, what stands behind it in the queue is released to the caller too, fetched and reported on, up to 50 contributions at a time.",
		params:   []*huma.Param{a.heightParam()},
		answers:  good[review.Review](http.StatusOK),
		problems: append([]string{string(ledger.CodeLicence), codeBehind, codeTooLarge, codeDisagreement}, contentProblems...),
		handle:   func(c *call) error { return c.withContent(giveReview) }})
}

func giveReview(c *call, found *content.Content) error {
	n := contribution.Named{Datanet: c.param("organisation") + "/" + c.param("name"), ID: c.param("id")}
	of, err := ask[contribution.Contribution](c, "contribution:Get", n)
	if err != nil {
		return err
	}
	if err := c.writeBy(finishTime + margin); err != nil {
		return err
	}
	seen, err := c.api.review(c.ctx(), c.api.ledger(), of, found)
	if errors.Is(err, review.ErrTooLarge) {
		return newProblem(codeTooLarge, "%v", err)
	}
	if err != nil {
		return contentProblem(err)
	}
	if of.State == contribution.Pending {
		c.api.ahead.ask(of, c.principal.Account)
	}
	return c.answer(http.StatusOK, seen)
}

// review reports on a content.
func (a *API) review(ctx context.Context, on query.Evaluator, of contribution.Contribution, found *content.Content) (review.Review, error) {
	epoch, err := query.Ask[contribution.Epoch](ctx, on, "contribution:Epoch", ledger.Nothing{})
	if err != nil {
		return review.Review{}, err
	}
	if _, err := a.options.Content.Secret(ctx, epoch.Check); errors.Is(err, content.ErrNoSecret) && epoch.Epoch > 0 {
		_ = a.fetchSecret(ctx, on, epoch) // without it the fingerprint is not checked, and the answer says so
	}
	return a.options.Reviews.Of(ctx, of, found, epoch, a.registered(ctx, of.Datanet))
}

// registered are a datanet's contributions in the order in which they came to the ledger.
func (a *API) registered(ctx context.Context, datanet string) iter.Seq2[contribution.Contribution, error] {
	return func(yield func(contribution.Contribution, error) bool) {
		page := ledger.PageRequest{Limit: ledger.MaxPage}
		for {
			found, err := a.options.Index.Entries(ctx, index.Filter{Kind: "contribution", Datanet: datanet, Order: index.Oldest}, page)
			if err != nil {
				yield(contribution.Contribution{}, err)
				return
			}
			for _, entry := range found.Items {
				var one contribution.Contribution
				err := ledger.DecodeAnswer(entry.Value, &one)
				if !yield(one, err) || err != nil {
					return
				}
			}
			if page.Cursor = found.Next; page.Cursor == "" {
				return
			}
		}
	}
}
