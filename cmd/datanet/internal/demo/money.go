package demo

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"

	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/money"
	"github.com/datanet-consortium/datanet/chaincode/proposal"
	"github.com/datanet-consortium/datanet/chaincode/schedule"
	"github.com/datanet-consortium/datanet/chaincode/token"
	"github.com/datanet-consortium/datanet/gateway/client"
)

const (
	minted      money.Amount = 100 * credit // for each consumer
	platformPpm              = 50_000

	// credit is one credit in micro-credits.
	credit = 1_000_000
)

// fund has the members agree on a fee schedule, unless one is in force, on credits for the consumers, and on a new
// fingerprint epoch: each telling has one of its own, or what an earlier one registered would be refused as a copy.
func (s *Story) fund(ctx context.Context) error {
	fees, err := read[schedule.Schedule](ctx, s, s.proposer, client.Path("schedule"))
	scheduled := err == nil
	switch {
	case client.IsCode(err, string(ledger.CodeState)):
		fees = schedule.Schedule{Platform: s.platform.account, PlatformPpm: platformPpm, Issuer: s.issuer.account}
	case err != nil:
		return err
	case fees.Issuer != s.issuer.account || fees.Platform != s.platform.account:
		return fmt.Errorf("the fee schedule in force names platform %s and issuer %s, who are not the story's: use another network", fees.Platform, fees.Issuer)
	}
	// The secret stays in the gateways, which hand it to each other; the members agree on its check value.
	rotation, err := client.Do[contribution.Rotation](ctx, s.proposer.client, "POST", client.Path("fingerprint-secrets"), nil)
	if err != nil {
		return fmt.Errorf("draw a fingerprint secret: %w", err)
	}
	var done proposal.Proposal
	var deciding errgroup.Group
	if !scheduled {
		deciding.Go(func() error { _, err := s.resolve(ctx, "schedule.set", fees, false); return err })
	}
	deciding.Go(func() error { _, err := s.resolve(ctx, "fingerprint.rotate", rotation, false); return err })
	deciding.Go(func() (err error) {
		done, err = s.resolve(ctx, "token.mint", token.Mint{To: s.reader.account, Amount: minted}, true)
		return err
	})
	deciding.Go(func() error {
		_, err := s.resolve(ctx, "token.mint", token.Mint{To: s.program.account, Amount: minted}, false)
		return err
	})
	if err := deciding.Wait(); err != nil {
		return err
	}
	if scheduled {
		s.Out.Say("A fee schedule is in force: %s of every fee for the platform %s.", percent(fees.PlatformPpm), fees.Platform)
	} else {
		s.Out.Say("The fee schedule: %s of every fee for the platform %s; %s redeems credits.", percent(fees.PlatformPpm), fees.Platform, fees.Issuer)
	}
	s.Out.Held("%s minted for %s and as many for %s: proposed by %s,", credits(minted), short(s.reader.account), short(s.program.account), done.Proposer)
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
	content := proposal.Content{ID: client.NewID(), Kind: kind, Params: jsontext.Value(encoded),
		Expires: time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)}
	try := func(all ...forgery) []forgery {
		if forge {
			return all
		}
		return nil
	}

	proposed, err := guarded[proposal.Proposal](ctx, s, s.proposer, propose(content),
		try(forgery{"the slots of a mint, created by one member", s.members[:1]})...)
	if err != nil {
		return done, err
	}
	if err := s.everywhere(ctx); err != nil {
		return done, err
	}
	err = atOnce(ctx, ledger.Majority(len(s.members)), func(ctx context.Context, i int) error {
		var forgeries []forgery
		if own := s.members[i]; i == 1 {
			forgeries = try(
				forgery{"an approval in " + own + "'s slot, endorsed by that member alone", []string{own}},
				forgery{"an approval in " + own + "'s slot, endorsed by all others", s.others(own)})
		}
		_, err := guarded[proposal.Slot](ctx, s, s.operators[i], approve(proposal.Approval{ID: content.ID, Digest: proposed.Digest}), forgeries...)
		return err
	})
	if err != nil {
		return done, err
	}
	if err := s.everywhere(ctx); err != nil {
		return done, err
	}
	done, err = guarded[proposal.Proposal](ctx, s, s.proposer, execute(proposal.Named{ID: content.ID}),
		try(forgery{"a mint, executed by one member", s.members[:1]})...)
	if err != nil {
		return done, err
	}
	return done, s.everywhere(ctx)
}

// accountPath is where something of an account is read. A pool's name has a slash, which is part of it.
func accountPath(a ledger.Account, what string) string {
	return "/v1/accounts/" + url.PathEscape(string(a)) + "/" + what
}

// holding asks a person's gateway what an account has.
func (s *Story) holding(ctx context.Context, p *person, a ledger.Account) (money.Amount, error) {
	h, err := read[token.Holding](ctx, s, p, accountPath(a, "balance"))
	if err != nil {
		return 0, err
	}
	if !h.More {
		return h.Balance.Add(h.Credits)
	}
	// More credits than a page holds: add them up page by page.
	total := h.Balance
	for c, err := range client.All[token.Credit](ctx, p.client, accountPath(a, "credits"), s.after(nil)) {
		if err == nil {
			total, err = total.Add(c.Amount)
		}
		if err != nil {
			return 0, fmt.Errorf("credits of %s: %w", a, err)
		}
	}
	return total, nil
}
