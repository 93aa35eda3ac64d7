package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/datanet-consortium/datanet/bench/load"
	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/licence"
	"github.com/datanet-consortium/datanet/gateway/fabric"
)

// contributorsOfMember is how many accounts of each member contribute.
const contributorsOfMember = 4

// pool is a datanet that every member validates, with contributors and validators of each.
type pool struct {
	*consortium
	generator    *load.Generator
	datanet      string
	epoch        int
	curator      *party
	contributors []*party
	validators   map[string]*party
	turn         int
	ballots      []ballot             // votes that can be cast
	decided      []contribution.Named // contributions with all votes, to be finalised
}

// ballot is a vote that an organisation's validator may cast.
type ballot struct {
	name contribution.Named
	by   *party
}

func newPool(ctx context.Context, c *consortium, g *load.Generator) (*pool, error) {
	p := &pool{consortium: c, generator: g, datanet: c.members[0] + "/bench", validators: map[string]*party{}}
	var err error
	if p.curator, err = c.enrol(c.members[0], "curator1", ledger.Curator); err != nil {
		return nil, err
	}
	for _, msp := range c.members {
		if p.validators[msp], err = c.enrol(msp, "validator1", ledger.Validator); err != nil {
			return nil, err
		}
		for i := range contributorsOfMember {
			author, err := c.enrol(msp, fmt.Sprintf("contributor%d", i+1), ledger.Contributor)
			if err != nil {
				return nil, err
			}
			p.contributors = append(p.contributors, author)
		}
	}
	err = inParallel(ctx, p.contributors, func(ctx context.Context, author *party) error {
		_, err := soon(ctx, author, call("account:Open", ledger.Nothing{}))
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := c.decide(ctx, "fingerprint.rotate", contribution.Rotation{Check: newID() + newID()}); err != nil {
		return nil, err
	}
	epoch, err := fabric.Query[contribution.Epoch](ctx, p.curator.Client, c.members[0], "contribution:Epoch", ledger.Nothing{})
	if err != nil {
		return nil, err
	}
	p.epoch = epoch.Epoch
	_, err = soon(ctx, p.curator, call("datanet:Create", datanet.Create{Name: p.datanet, Content: p.content()}))
	return p, err
}

func (p *pool) content() datanet.Content {
	return datanet.Content{Title: "Bench", Tags: []string{}, Modality: datanet.Text,
		Licence: licence.Licence{Purposes: []licence.Purpose{licence.Research}},
		Policy: datanet.Policy{Validators: slices.Sorted(slices.Values(p.members)), Quorum: ledger.Majority(len(p.members)), MaxDerivedPpm: 100_000, DataPpm: 600_000,
			ValidatorsPpm: 100_000, Tau: 12, AttestationQuorum: 1, Rest: datanet.ByTokens}}
}

// poem is a contribution that equals no other. However many records it has, the ledger gets one commitment.
func (p *pool) poem(records int64) contribution.Submit {
	hash := newID() + newID()
	return contribution.Submit{Datanet: p.datanet, ID: newID(), Content: contribution.Content{MediaType: "text/plain",
		Commitment: hash, Descriptor: hash, Records: records, Tokens: 100 * records,
		Provenance:  contribution.Provenance{Method: "digitised", FromYear: 1320, ToYear: 1389, Languages: []string{"fa"}},
		Fingerprint: contribution.Fingerprint{Epoch: p.epoch, HMAC: hash}}}
}

// rows are the cases of contributing. eligible is how many organisations vote on a contribution.
func (p *pool) rows(s settings) []row {
	burst := func(next func() (load.Attempt, error)) load.Burst { return burstOf(s, next) }
	eligible := len(p.members) - 1
	batches := load.Burst{Attempts: max(1, s.transactions/(2*batchesOf)), InFlight: batchesInFlight, Next: p.submitBatch}
	return []row{
		{name: "contribution", items: 1, burst: burst(p.submit(1))},
		{name: "contribution of 1,000 records", items: 1000, burst: burst(p.submit(1000))},
		{name: fmt.Sprintf("batch of %d contributions", contribution.MaxBatch), items: contribution.MaxBatch, burst: batches},
		{name: "vote, many contributions", items: 1, burst: burst(p.vote), before: p.oneBallotEach},
		{name: fmt.Sprintf("vote, %d at once on each", eligible), items: 1, burst: burst(p.vote), before: p.allBallots, expected: "0 conflicts"},
		{name: "finalise", items: 1, burst: burst(p.finalise), before: p.withVotes},
	}
}

func (p *pool) author() *party {
	p.turn++
	return p.contributors[p.turn%len(p.contributors)]
}

func (p *pool) submit(records int64) func() (load.Attempt, error) {
	return func() (load.Attempt, error) {
		return load.Attempt{Client: p.author().Client, Call: call("contribution:Submit", p.poem(records))}, nil
	}
}

func (p *pool) submitBatch() (load.Attempt, error) {
	var batch contribution.SubmitBatch
	for range contribution.MaxBatch {
		batch.Items = append(batch.Items, p.poem(1))
	}
	return load.Attempt{Client: p.author().Client, Call: call("contribution:SubmitBatch", batch)}, nil
}

func (p *pool) vote() (load.Attempt, error) {
	if len(p.ballots) == 0 {
		return load.Attempt{}, errors.New("no vote is left to cast")
	}
	b := p.ballots[0]
	p.ballots = p.ballots[1:]
	return load.Attempt{Client: b.by.Client, Call: call("approval:Vote", approving(b.name))}, nil
}

func (p *pool) finalise() (load.Attempt, error) {
	if len(p.decided) == 0 {
		return load.Attempt{}, errors.New("no contribution is left to finalise")
	}
	name := p.decided[0]
	p.decided = p.decided[1:]
	return load.Attempt{Client: p.author().Client, Call: call("approval:Finalise", name)}, nil
}

func approving(name contribution.Named) approval.Vote {
	return approval.Vote{Named: name, Revision: 1, Verdict: approval.Verdict{Choice: approval.Approve, Score: 90, Reason: approval.Sound,
		Report: strings.Repeat("ef", 32)}}
}

// oneBallotEach registers contributions, one for each vote that is cast.
func (p *pool) oneBallotEach(ctx context.Context, votes int) error {
	names, err := p.register(ctx, votes)
	p.ballots = nil
	for _, name := range names {
		p.ballots = append(p.ballots, p.ballotsOn(name)[0])
	}
	return err
}

// allBallots registers contributions on each of which everyone votes at the same time.
func (p *pool) allBallots(ctx context.Context, votes int) error {
	names, err := p.register(ctx, votes/(len(p.members)-1)+1)
	p.ballots = nil
	for _, name := range names {
		p.ballots = append(p.ballots, p.ballotsOn(name)...)
	}
	return err
}

// withVotes registers contributions and has everyone vote on them.
func (p *pool) withVotes(ctx context.Context, count int) error {
	names, err := p.register(ctx, count)
	if err != nil {
		return err
	}
	p.decided = nil
	for _, name := range names {
		p.decided = append(p.decided, name.Named)
	}
	return p.approve(ctx, names)
}

// registered is a contribution of a member's account.
type registered struct {
	contribution.Named
	msp string
}

func (p *pool) ballotsOn(c registered) []ballot {
	var all []ballot
	for _, msp := range p.members {
		if msp != c.msp {
			all = append(all, ballot{c.Named, p.validators[msp]})
		}
	}
	return all
}

// register submits contributions in batches.
func (p *pool) register(ctx context.Context, count int) ([]registered, error) {
	var names []registered
	var attempts []load.Attempt
	for len(names) < count {
		author := p.author()
		var batch contribution.SubmitBatch
		for range min(contribution.MaxBatch, count-len(names)) {
			s := p.poem(1)
			batch.Items = append(batch.Items, s)
			names = append(names, registered{contribution.Named{Datanet: s.Datanet, ID: s.ID}, author.account.MSP()})
		}
		attempts = append(attempts, load.Attempt{Client: author.Client, Call: call("contribution:SubmitBatch", batch)})
	}
	return names, p.all(ctx, attempts, batchesInFlight)
}

// approve has everyone who may approve contributions, in batches.
func (p *pool) approve(ctx context.Context, names []registered) error {
	votes := map[*party][]approval.Vote{}
	for _, name := range names {
		for _, b := range p.ballotsOn(name) {
			votes[b.by] = append(votes[b.by], approving(name.Named))
		}
	}
	var attempts []load.Attempt
	for by, all := range votes {
		for items := range slices.Chunk(all, approval.MaxBatch) {
			attempts = append(attempts, load.Attempt{Client: by.Client, Call: call("approval:VoteBatch", approval.VoteBatch{Items: items})})
		}
	}
	return p.all(ctx, attempts, batchesInFlight)
}

// all makes attempts that have to succeed.
func (p *pool) all(ctx context.Context, attempts []load.Attempt, inFlight int) error {
	rest := attempts
	result, err := p.generator.Fire(ctx, load.Burst{Attempts: len(attempts), InFlight: inFlight, Next: func() (load.Attempt, error) {
		next := rest[0]
		rest = rest[1:]
		return next, nil
	}})
	if err == nil && result.Valid < len(attempts) {
		err = fmt.Errorf("%d of %d transactions are valid: %w", result.Valid, len(attempts), failureOf(result))
	}
	return err
}

// failureOf tells why a transaction of a burst is not valid.
func failureOf(r load.Result) error {
	if r.Failure != nil {
		return r.Failure
	}
	return errors.New("conflicts")
}
