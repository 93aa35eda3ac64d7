package integration_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/gateway/sequencer"
	"github.com/datanet-consortium/datanet/integration/story"
)

// sequence has a sequencer seal what was approved before it began and what is approved while it runs, through restarts,
// and retire what leaves.
func sequence(t *testing.T, c *consortium) {
	p := newPool(t, c)
	client, err := c.client(curator)
	require.NoError(t, err)
	run := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			sequencer.Run(ctx, client, sequencer.Options{Organisation: poets, Quiet: 100 * time.Millisecond})
		})
		return func() { cancel(); running.Wait() }
	}
	reaches := func(count, live int64) {
		t.Helper()
		require.Eventually(t, func() bool {
			outcome, err := c.Evaluate(t.Context(), story.Call{User: curator, Function: "seal:Get", Document: []byte(`{"datanet":"` + p.name + `"}`)})
			var head seal.Head
			return err == nil && outcome.Response != nil && ledger.DecodeAnswer(outcome.Response, &head) == nil && head.Count == count && head.Live() == live
		}, 2*patience, 20*time.Millisecond)
	}
	early := p.approve(t, 30)
	stop := run()
	reaches(30, 30)
	p.approve(t, 5)
	reaches(35, 35)
	stop()
	p.approve(t, 3)
	p.submit(t, author, "contribution:Withdraw", early[0])
	defer run()()
	reaches(38, 37)
}

// approve submits contributions and has them approved, and seals none.
func (p *pool) approve(t *testing.T, n int) (names []contribution.Named) {
	t.Helper()
	var items []contribution.Submit
	var votes []approval.Vote
	for range n {
		s := contribution.Submit{Datanet: p.name, ID: freshID(), Content: poem(p.epoch)}
		items, names = append(items, s), append(names, contribution.Named{Datanet: p.name, ID: s.ID})
		votes = append(votes, voteOn(names[len(names)-1], approval.Approve))
	}
	p.submit(t, author, "contribution:SubmitBatch", contribution.SubmitBatch{Items: items})
	for _, msp := range []string{lab, poets} {
		p.submit(t, story.User{Name: "validator1", MSP: msp}, "approval:VoteBatch", approval.VoteBatch{Items: votes})
	}
	// The sequencer may record the outcome at the same time; then there is nothing left to record.
	for {
		held := p.hold(t, author, "approval:FinaliseBatch", approval.FinaliseBatch{Items: names})
		outcome, err := p.b.Release(t.Context(), held)
		require.NoError(t, err)
		if outcome.String() != "flag MVCC_READ_CONFLICT" {
			require.Equal(t, "success", outcome.String())
			return names
		}
	}
}
