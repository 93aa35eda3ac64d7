package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"

	"github.com/datanet-consortium/datanet/attribution/report"
	document "github.com/datanet-consortium/datanet/audit/report"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/gateway/client"
	"github.com/datanet-consortium/datanet/gateway/review"
)

// ballot is a validator's vote on a contribution, and what the report said.
type ballot struct {
	validator *person
	vote      approval.Vote
	report    report.Report
}

// validate has every eligible organisation vote on every contribution, and records the outcomes.
func (s *Story) validate(ctx context.Context) error {
	s.Out.Progress("fetching contents and reading reports")
	ballots, err := s.review(ctx)
	if err != nil {
		return err
	}
	if err := s.vote(ctx, ballots); err != nil {
		return err
	}
	var decided approval.FinaliseBatch
	for _, c := range s.contributions {
		decided.Items = append(decided.Items, c.Name())
	}
	outcomes := map[string]contribution.Contribution{}
	for items := range slices.Chunk(decided.Items, approval.MaxBatch) {
		batch, err := do[contribution.Batch](ctx, s, s.curator, finaliseBatch(approval.FinaliseBatch{Items: items}))
		if err != nil {
			return err
		}
		for _, c := range batch.Contributions {
			outcomes[c.ID] = c
		}
	}
	rows := [][]string{{"contributor", "member", "records", "tokens", "derived", "votes", "outcome"}}
	for _, c := range s.contributions {
		votes := ballots[c.ID]
		c.Contribution = outcomes[c.ID]
		expected := contribution.Approved
		if votes[0].vote.Choice == approval.Reject {
			expected = contribution.Rejected
		}
		if c.State != expected {
			return fmt.Errorf("contribution %s of %s is %s after votes to %s", c.ID, c.by.name, c.State, votes[0].vote.Choice)
		}
		rows = append(rows, []string{c.by.name, c.Contributor.MSP(), fmt.Sprint(c.Records), fmt.Sprint(c.Tokens), percent(int(votes[0].report.Derived.PPM)),
			fmt.Sprintf("%d × %s, %s", len(votes), votes[0].vote.Choice, votes[0].vote.Reason), string(c.State)})
	}
	s.Out.Table(rows)
	last := s.contributions[len(s.contributions)-1]
	if last.by != s.copyist || last.State != contribution.Rejected {
		return fmt.Errorf("the copy is %s", last.State)
	}
	s.Out.Held("The copy is rejected: %s of its tokens have their origin in another account.", percent(int(ballots[last.ID][0].report.Derived.PPM)))
	return s.everywhere(ctx)
}

// review has each validator work off the queue: the gateway fetches each content from a holder, who records the release
// on the ledger first, and reports on it.
func (s *Story) review(ctx context.Context) (map[string][]ballot, error) {
	var guard sync.Mutex
	all := map[string][]ballot{}
	validators := slices.Sorted(maps.Keys(s.validators))
	err := atOnce(ctx, len(validators), func(ctx context.Context, i int) error {
		validator := s.validators[validators[i]]
		queue, err := s.queue(ctx, validator)
		if err != nil {
			return err
		}
		// A report compares with what the gateway holds, so everything is fetched first.
		err = atOnce(ctx, len(queue), func(ctx context.Context, i int) error {
			_, err := read[client.About](ctx, s, validator, client.AboutPath(s.datanet, queue[i].ID))
			return err
		})
		if err != nil {
			return err
		}
		return atOnce(ctx, len(queue), func(ctx context.Context, i int) error {
			b, err := s.judge(ctx, validator, queue[i])
			if err != nil {
				return err
			}
			guard.Lock()
			defer guard.Unlock()
			all[b.vote.ID] = append(all[b.vote.ID], b)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	for _, c := range s.contributions {
		votes := all[c.ID]
		slices.SortFunc(votes, func(a, b ballot) int {
			return slices.Index(c.Eligible, a.validator.account.MSP()) - slices.Index(c.Eligible, b.validator.account.MSP())
		})
		if len(votes) != len(c.Eligible) {
			return nil, fmt.Errorf("contribution %s was in %d of %d queues", c.ID, len(votes), len(c.Eligible))
		}
	}
	return all, nil
}

// queue is what waits for the vote of a validator's organisation.
func (s *Story) queue(ctx context.Context, validator *person) (queue []contribution.Contribution, err error) {
	filter := s.after(url.Values{"awaits": {validator.account.MSP()}, "datanet": {s.datanet}})
	for c, err := range client.Listed[contribution.Contribution](ctx, validator.client, "contributions", filter) {
		if err != nil {
			return nil, fmt.Errorf("queue of %s: %w", validator.account, err)
		}
		queue = append(queue, c)
	}
	return queue, nil
}

// judge is a validator's vote by the report.
func (s *Story) judge(ctx context.Context, validator *person, c contribution.Contribution) (ballot, error) {
	seen, err := read[review.Review](ctx, s, validator, client.ReportPath(c.Datanet, c.ID))
	if err != nil {
		return ballot{}, err
	}
	b := ballot{validator: validator, vote: approval.Vote{Named: c.Name(), Revision: c.Revision}}
	if err := ledger.DecodeAnswer(seen.Report, &b.report); err != nil {
		return ballot{}, fmt.Errorf("report on %s: %w", c.ID, err)
	}
	if seen.Checks.Fingerprint == nil {
		return ballot{}, errors.New("another fingerprint secret came into force: tell the story again")
	}
	derived := b.report.Derived.PPM
	b.vote.Verdict = approval.Verdict{Choice: approval.Approve, Reason: approval.Sound, Score: int(100 - derived/10_000), Report: seen.Hash}
	switch {
	case !seen.Checks.Records || !seen.Checks.Tokens || !*seen.Checks.Fingerprint:
		b.vote.Choice, b.vote.Reason = approval.Reject, "counts-differ"
	case derived > maxDerivedPpm:
		b.vote.Choice, b.vote.Reason = approval.Reject, "derived"
	}
	return b, nil
}

// vote sends all votes, those of a validator in one transaction. The first one is sent alone, and also tried in the ways
// in which nobody may vote for an organisation.
func (s *Story) vote(ctx context.Context, ballots map[string][]ballot) error {
	first := ballots[s.contributions[0].ID][0]
	own := first.validator.account.MSP()
	_, err := guarded[approval.Slot](ctx, s, first.validator, vote(first.vote),
		forgery{"a vote in " + own + "'s slot, endorsed by that member alone", []string{own}},
		forgery{"a vote in " + own + "'s slot, endorsed by all others", s.others(own)})
	if err != nil {
		return err
	}
	batches, count := map[*person][]approval.Vote{}, 1
	for _, c := range s.contributions {
		for _, b := range ballots[c.ID] {
			if b.vote != first.vote || b.validator != first.validator {
				batches[b.validator] = append(batches[b.validator], b.vote)
				count++
			}
		}
	}
	voters := slices.Collect(maps.Keys(batches))
	err = atOnce(ctx, len(voters), func(ctx context.Context, i int) error {
		for batch := range slices.Chunk(batches[voters[i]], approval.MaxBatch) {
			if _, err := do[approval.Votes](ctx, s, voters[i], voteBatch(approval.VoteBatch{Items: batch})); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Out.Say("Each validator's gateway fetched what is in the queue, under releases on the ledger, and reported on it. %s were cast,", document.Count(count, "vote"))
	s.Out.Say("each into a slot that only its organisation can fill, each with the hash of its report.")
	return s.everywhere(ctx)
}
