package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

const (
	minted      money.Amount = 100 * credit // for the consumer
	platformPpm              = 50_000

	// credit is one credit in micro-credits.
	credit = 1_000_000
)

// fund has the members agree on a fee schedule, unless one is in force, and on credits for the consumer.
func (s *Story) fund(ctx context.Context) error {
	fees, err := fabric.Query[schedule.Schedule](ctx, s.proposer.client, s.members[0], "schedule:Get", ledger.Nothing{})
	var fault *ledger.Fault
	switch {
	case errors.As(err, &fault) && fault.Code == ledger.CodeState:
		fees = schedule.Schedule{Platform: s.platform.account, PlatformPpm: platformPpm, Issuer: s.issuer.account}
		if _, err := s.resolve(ctx, "schedule.set", fees, false); err != nil {
			return err
		}
		s.Out.Say("The fee schedule: %s of every fee for the platform %s; %s redeems credits.", percent(fees.PlatformPpm), fees.Platform, fees.Issuer)
	case err != nil:
		return err
	case fees.Issuer != s.issuer.account || fees.Platform != s.platform.account:
		return fmt.Errorf("the fee schedule in force names platform %s and issuer %s, who are not the story's: use another network", fees.Platform, fees.Issuer)
	default:
		s.Out.Say("A fee schedule is in force: %s of every fee for the platform %s.", percent(fees.PlatformPpm), fees.Platform)
	}

	done, err := s.resolve(ctx, "token.mint", token.Mint{To: s.reader.account, Amount: minted}, true)
	if err != nil {
		return err
	}
	s.Out.Held("%s minted for %s: proposed by %s,", credits(minted), s.reader.account, done.Proposer)
	s.Out.Say("approved by %s, each in a slot that no other can fill, and executed once.", sentence(done.Approved))
	return nil
}

// resolve makes a proposal, has operators of a majority of the members approve it, and executes it. With forge, the
// forgeries against proposals are tried on the way.
func (s *Story) resolve(ctx context.Context, kind string, params any, forge bool) (done proposal.Proposal, err error) {
	encoded, err := ledger.Encode(params)
	if err != nil {
		return done, err
	}
	content := proposal.Content{ID: newID(), Kind: kind, Params: jsontext.Value(encoded),
		Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)}
	try := func(all ...forgery) []forgery {
		if forge {
			return all
		}
		return nil
	}

	proposed, err := guarded[proposal.Proposal](ctx, s, s.proposer, "proposal:Propose", content,
		try(forgery{"the slots of a mint, created by one member", s.members[:1]})...)
	if err != nil {
		return done, err
	}
	if err := s.everywhere(ctx); err != nil {
		return done, err
	}
	for i, operator := range s.operators[:ledger.Majority(len(s.members))] {
		var forgeries []forgery
		if own := s.members[i]; i == 1 {
			forgeries = try(
				forgery{"an approval in " + own + "'s slot, endorsed by that member alone", []string{own}},
				forgery{"an approval in " + own + "'s slot, endorsed by all others", s.others(own)})
		}
		approval := proposal.Approval{ID: content.ID, Digest: proposed.Digest}
		if _, err := guarded[proposal.Slot](ctx, s, operator, "proposal:Approve", approval, forgeries...); err != nil {
			return done, err
		}
	}
	if err := s.everywhere(ctx); err != nil {
		return done, err
	}
	done, err = guarded[proposal.Proposal](ctx, s, s.proposer, "proposal:Execute", proposal.Named{ID: content.ID},
		try(forgery{"a mint, executed by one member", s.members[:1]})...)
	if err != nil {
		return done, err
	}
	return done, s.everywhere(ctx)
}

// holding asks a member's peer what an account has.
func (s *Story) holding(ctx context.Context, p *person, a ledger.Account) (money.Amount, error) {
	h, err := fabric.Query[token.Holding](ctx, p.client, p.account.MSP(), "token:Balance", token.Owned{Account: a})
	if err != nil {
		return 0, fmt.Errorf("balance of %s: %w", a, err)
	}
	if !h.More {
		return h.Balance.Add(h.Credits)
	}
	// More credits than a page holds: add them up page by page.
	total := h.Balance
	err = pages(ctx, p, "token:Credits", func(page ledger.PageRequest) any { return token.Listing{Account: a, PageRequest: page} },
		func(c token.Credit) (err error) { total, err = total.Add(c.Amount); return err })
	return total, err
}

// pages calls each for every item of a list, as the peer of the person's organisation holds it.
func pages[Item any](ctx context.Context, p *person, function string, request func(ledger.PageRequest) any, each func(Item) error) error {
	for page := (ledger.PageRequest{Limit: ledger.MaxPage}); ; {
		list, err := fabric.Query[ledger.Page[Item]](ctx, p.client, p.account.MSP(), function, request(page))
		if err != nil {
			return fmt.Errorf("%s as %s: %w", function, p.account, err)
		}
		for _, item := range list.Items {
			if err := each(item); err != nil {
				return fmt.Errorf("%s: %w", function, err)
			}
		}
		if list.Next == "" {
			return nil
		}
		page.Cursor = list.Next
	}
}
