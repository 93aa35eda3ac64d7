package sequencer_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/datanet-consortium/datanet/chaincode/approval"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/datanet"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/gateway/fabric"
	"github.com/datanet-consortium/datanet/gateway/fabric/fabrictest"
	"github.com/datanet-consortium/datanet/gateway/sequencer"
)

var (
	poet       = rulestest.User(rulestest.B, "poet1", ledger.Contributor)
	gateway    = rulestest.User(rulestest.A, "gateway", ledger.Curator, ledger.Operator)
	validatorA = rulestest.User(rulestest.A, "validator1", ledger.Validator)
	validatorC = rulestest.User(rulestest.C, "validator1", ledger.Validator)
)

// pool is a datanet of A, whose contributor is of B, on a network.
type pool struct {
	t       *testing.T
	c       *rulestest.Consortium
	network *fabrictest.Network
	name    string
	clients map[ledger.Account]*fabric.Client
}

func open(t *testing.T) *pool {
	c := rulestest.New(t)
	c.OpenAll(t, poet)
	p := &pool{t: t, c: c, name: c.Pool(t), clients: map[ledger.Account]*fabric.Client{}}
	p.network = fabrictest.Start(t, c.Network)
	for _, user := range []ledger.Caller{poet, gateway, validatorA, validatorC} {
		p.clients[user.Account()] = p.network.Client(t, p.network.Enrol(t, user))
	}
	return p
}

func (p *pool) must(user ledger.Caller, function string, request any) {
	p.t.Helper()
	for {
		_, err := p.clients[user.Account()].Submit(p.t.Context(), fabric.Call{Function: function, Request: request})
		if fabric.Again(err) { // a sequencer did the same meanwhile
			continue
		}
		require.NoError(p.t, err)
		return
	}
}

// approve has n new contributions approved and returns their ids.
func (p *pool) approve(n int) (ids []string) {
	p.t.Helper()
	for range n {
		name := contribution.Named{Datanet: p.name, ID: p.c.ID()}
		p.must(poet, "contribution:Submit", contribution.Submit{Datanet: p.name, ID: name.ID, Content: p.c.Poem()})
		for _, validator := range []ledger.Caller{validatorA, validatorC} {
			p.must(validator, "approval:Vote", approval.Vote{Named: name, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
		}
		p.must(poet, "approval:Finalise", name)
		ids = append(ids, name.ID)
	}
	return ids
}

// approveTogether is approve in large transactions.
func (p *pool) approveTogether(n int) (ids []string) {
	p.t.Helper()
	for len(ids) < n {
		var submits []contribution.Submit
		var votes []approval.Vote
		var names []contribution.Named
		for range min(batch, n-len(ids)) {
			name := contribution.Named{Datanet: p.name, ID: p.c.ID()}
			submits = append(submits, contribution.Submit{Datanet: p.name, ID: name.ID, Content: p.c.Poem()})
			votes = append(votes, approval.Vote{Named: name, Revision: 1, Verdict: rulestest.Verdict(approval.Approve)})
			names, ids = append(names, name), append(ids, name.ID)
		}
		p.must(poet, "contribution:SubmitBatch", contribution.SubmitBatch{Items: submits})
		for _, validator := range []ledger.Caller{validatorA, validatorC} {
			p.must(validator, "approval:VoteBatch", approval.VoteBatch{Items: votes})
		}
		p.must(poet, "approval:FinaliseBatch", approval.FinaliseBatch{Items: names})
	}
	return ids
}

// batch is how many contributions approveTogether puts into a transaction.
const batch = contribution.MaxBatch

func (p *pool) place(id string) seal.Place {
	place, err := fabric.Query[seal.Place](p.t.Context(), p.clients[poet.Account()], rulestest.A, "seal:Place", contribution.Named{Datanet: p.name, ID: id})
	require.NoError(p.t, err)
	return place
}

// run starts a sequencer and returns what stops it.
func (p *pool) run(options sequencer.Options) (stop func()) {
	options.Organisation = rulestest.A
	ctx, cancel := context.WithCancel(p.t.Context())
	var running sync.WaitGroup
	running.Go(func() { sequencer.Run(ctx, p.clients[gateway.Account()], options) })
	stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	p.t.Cleanup(stop)
	return stop
}

func (p *pool) head() (head seal.Head) {
	head, err := fabric.Query[seal.Head](p.t.Context(), p.clients[poet.Account()], rulestest.A, "seal:Get", seal.Named{Datanet: p.name})
	if err != nil {
		require.Equal(p.t, ledger.CodeNotFound, ledger.AsFault(err).Code, "%v", err)
	}
	return head
}

// reaches waits until so many leaves are sealed, of which so many live.
func (p *pool) reaches(count, live int64) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { h := p.head(); return h.Count == count && h.Live() == live }, time.Minute, 5*time.Millisecond)
}

// sealed lists the leaves of the first page, in their order.
func (p *pool) sealed() (ids []string) {
	page, err := fabric.Query[seal.Page](p.t.Context(), p.clients[poet.Account()], rulestest.A, "seal:Page", seal.PageName{Datanet: p.name})
	require.NoError(p.t, err)
	for _, leaf := range page.Leaves {
		ids = append(ids, leaf.ID)
	}
	return ids
}

const soon = 20 * time.Millisecond

func TestRun(t *testing.T) {
	t.Run("what was approved before it began is sealed, and what is approved later, in its order", func(t *testing.T) {
		p := open(t)
		early := p.approve(3)
		stop := p.run(sequencer.Options{Quiet: soon})
		p.reaches(3, 3)
		late := p.approve(2)
		p.reaches(5, 5)
		require.ElementsMatch(t, early, p.sealed()[:3])
		require.Equal(t, late, p.sealed()[3:])
		stop()
		p.approve(1)
		require.EqualValues(t, 5, p.head().Count, "it is stopped")
		p.run(sequencer.Options{Quiet: soon})
		p.reaches(6, 6)
	})
	t.Run("what votes have decided is recorded and sealed, without anybody else; what they have not is left", func(t *testing.T) {
		p := open(t)
		submit := func() contribution.Named {
			name := contribution.Named{Datanet: p.name, ID: p.c.ID()}
			p.must(poet, "contribution:Submit", contribution.Submit{Datanet: p.name, ID: name.ID, Content: p.c.Poem()})
			return name
		}
		vote := func(name contribution.Named, choice approval.Choice, validators ...ledger.Caller) {
			for _, validator := range validators {
				p.must(validator, "approval:Vote", approval.Vote{Named: name, Revision: 1, Verdict: rulestest.Verdict(choice)})
			}
		}
		state := func(name contribution.Named) contribution.State {
			c, err := fabric.Query[contribution.Contribution](p.t.Context(), p.clients[poet.Account()], rulestest.A, "contribution:Get", name)
			require.NoError(p.t, err)
			return c.State
		}
		early, open := submit(), submit()
		vote(early, approval.Approve, validatorA, validatorC)
		vote(open, approval.Approve, validatorA)
		p.run(sequencer.Options{Quiet: soon})
		p.reaches(1, 1)
		late, bad := submit(), submit()
		vote(late, approval.Approve, validatorA, validatorC)
		vote(bad, approval.Reject, validatorA, validatorC)
		p.reaches(2, 2)
		require.ElementsMatch(t, []string{early.ID, late.ID}, p.sealed())
		require.Eventually(t, func() bool { return state(bad) == contribution.Rejected }, time.Minute, 5*time.Millisecond)
		require.Equal(t, contribution.Pending, state(open))
		vote(open, approval.Approve, validatorC)
		p.reaches(3, 3)
	})
	t.Run("what is withdrawn is retired", func(t *testing.T) {
		p := open(t)
		ids := p.approve(3)
		p.run(sequencer.Options{Quiet: soon})
		p.reaches(3, 3)
		p.must(poet, "contribution:Withdraw", contribution.Named{Datanet: p.name, ID: ids[1]})
		p.reaches(3, 2)
	})
	t.Run("what is to be erased is retired", func(t *testing.T) {
		p := open(t)
		ids := p.approve(3)
		p.run(sequencer.Options{Quiet: soon})
		p.reaches(3, 3)
		p.approve(1)
		p.reaches(4, 4) // from here on it follows the events
		p.must(poet, "erasure:Request", contribution.Named{Datanet: p.name, ID: ids[1]})
		p.reaches(4, 3)
	})
	t.Run("what is withdrawn before it was sealed is not sealed, and holds up nobody", func(t *testing.T) {
		p := open(t)
		p.approve(1)
		p.run(sequencer.Options{Quiet: time.Hour, Longest: time.Hour})
		p.reaches(1, 1) // from here on it follows the events
		ids := p.approve(2)
		p.must(poet, "contribution:Withdraw", contribution.Named{Datanet: p.name, ID: ids[0]})
		p.approveTogether(seal.PageSize - 2) // which makes a page's worth, the withdrawn one counted
		p.reaches(seal.PageSize, seal.PageSize)
		require.NotContains(t, p.sealed(), ids[0])
		require.Equal(t, ids[1], p.sealed()[1])
	})
	t.Run("a page's worth is sealed at once and together, however long it would wait", func(t *testing.T) {
		p := open(t)
		p.approve(1)
		p.run(sequencer.Options{Quiet: time.Hour, Longest: time.Hour})
		p.reaches(1, 1)
		ids := p.approveTogether(seal.PageSize)
		p.reaches(1+seal.PageSize, 1+seal.PageSize)
		first, last := p.place(ids[0]), p.place(ids[len(ids)-1])
		require.Equal(t, first.Tx, last.Tx)
		require.Equal(t, []int64{1, seal.PageSize}, []int64{first.Position, last.Position})
	})
	t.Run("datanets that come later are sealed, those of others are not", func(t *testing.T) {
		p := open(t)
		p.run(sequencer.Options{Quiet: soon})
		p.approve(1)
		p.reaches(1, 1)
		curator := rulestest.User(rulestest.B, "curator1", ledger.Curator)
		p.clients[curator.Account()] = p.network.Client(t, p.network.Enrol(t, curator))
		members := []string{rulestest.A, rulestest.B, rulestest.C}
		own, other := rulestest.A+"/later", rulestest.B+"/other"
		p.must(curator, "datanet:Create", datanet.Create{Name: other, Content: rulestest.Verse(members...)})
		p.must(gateway, "datanet:Create", datanet.Create{Name: own, Content: rulestest.Verse(members...)})
		p.name = other
		p.approve(1)
		p.name = own
		p.approve(1)
		p.reaches(1, 1)
		p.name = other
		require.Zero(t, p.head().Count)
	})
	t.Run("calls that fail, and commit all the same, are done again to one effect", func(t *testing.T) {
		p := open(t)
		var sealing atomic.Bool
		var calls atomic.Int64
		fails := func() bool { return sealing.Load() && calls.Add(1)%2 == 1 }
		p.network.Endorsing = func(function string) error {
			if strings.HasPrefix(function, "seal:") && fails() {
				return status.Error(codes.Unavailable, "peer is down")
			}
			return nil
		}
		p.network.Submitting = func(string) (bool, error) {
			if fails() {
				return true, status.Error(codes.Unavailable, "connection lost")
			}
			return true, nil
		}
		ids := p.approve(3)
		sealing.Store(true)
		p.run(sequencer.Options{Quiet: soon})
		p.reaches(3, 3)
		require.ElementsMatch(t, ids, p.sealed())
	})
}
