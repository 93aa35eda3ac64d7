package exchange_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/datanet-consortium/datanet/chaincode/access"
	"github.com/datanet-consortium/datanet/chaincode/contribution"
	"github.com/datanet-consortium/datanet/chaincode/ledger"
	"github.com/datanet-consortium/datanet/chaincode/replica"
	"github.com/datanet-consortium/datanet/chaincode/rules/rulestest"
	"github.com/datanet-consortium/datanet/chaincode/seal"
	"github.com/datanet-consortium/datanet/gateway/content"
	"github.com/datanet-consortium/datanet/gateway/exchange"
)

func (g *gateway) keeper() *exchange.Keeper {
	return &exchange.Keeper{MSP: g.msp, Account: service(g.msp).Account(), Ledger: g, Store: g.Store, Client: g.client, Log: slog.New(slog.DiscardHandler)}
}

// agree has A and an organisation agree on replicas.
func (n *network) agree(t *testing.T, msp string) replica.Named {
	t.Helper()
	named := replica.Named{Datanet: n.pool, ID: newID()}
	n.Must(t, curator, "replica:Offer", replica.Offer{Named: named, Keeper: msp})
	n.Must(t, service(msp), "replica:Accept", named)
	return named
}

// away makes a gateway answer to nobody as long as it is set.
func (g *gateway) away() *atomic.Bool {
	away := new(atomic.Bool)
	g.serve = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if away.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
	return away
}

func (n *network) look(t *testing.T, k *exchange.Keeper) []contribution.Named {
	t.Helper()
	missing, err := k.Look(t.Context())
	require.NoError(t, err)
	return missing
}

func (g *gateway) has(t *testing.T, c contribution.Contribution) bool {
	t.Helper()
	info, err := g.Find(t.Context(), c.Name(), c.Commitment)
	if err == nil {
		require.Equal(t, content.Ready, info.State)
		return true
	}
	require.ErrorIs(t, err, content.ErrNotFound)
	return false
}

func TestAKeeperHandsOnWhatItHasWhileTheOriginIsAway(t *testing.T) {
	n := start(t)
	a, b, c := n.gateways[rulestest.A], n.gateways[rulestest.B], n.gateways[rulestest.C]
	first, second := n.submit(t, poem), n.submit(t, poem+"Another line that nobody has written before this one\n")
	pending := n.submit(t, poem+"A third line that is not approved as long as this test runs\n")
	_, err := c.client.Fetch(t.Context(), c.Store, first, validate(first, rulestest.C), rulestest.B)
	require.NoError(t, err)
	n.seal(t, first, 1)
	n.seal(t, second, 2)
	keeper := c.keeper()
	require.Empty(t, n.look(t, keeper))
	require.False(t, c.has(t, second), "nothing is agreed on")

	n.agree(t, rulestest.C)
	away := b.away()
	away.Store(true)
	require.ElementsMatch(t, []contribution.Named{first.Name(), second.Name()}, n.look(t, keeper), "the first is here, but not to be handed on")
	require.Len(t, n.releases(t, first), 1)
	away.Store(false)
	missing, err := keeper.Keep(t.Context(), []contribution.Named{first.Name(), second.Name(), pending.Name()})
	require.NoError(t, err)
	require.Empty(t, missing)
	require.True(t, c.has(t, second))
	require.False(t, c.has(t, pending))
	for _, each := range []contribution.Contribution{first, second} {
		last := n.releases(t, each)
		require.Contains(t, []access.Reason{last[0].Reason, last[len(last)-1].Reason}, access.Replica)
	}
	count := len(n.releases(t, first)) + len(n.releases(t, second))
	require.Empty(t, n.look(t, keeper))
	require.Equal(t, count, len(n.releases(t, first))+len(n.releases(t, second)), "what is kept is not released again")

	away.Store(true)
	answer, err := a.Evaluate(t.Context(), "access:Holders", second.Name())
	require.NoError(t, err)
	var had access.Had
	require.NoError(t, ledger.DecodeAnswer(answer, &had))
	require.Equal(t, []string{rulestest.B, rulestest.C}, had.Custody)
	hold := access.Handover{Named: access.Named{Datanet: n.pool, ID: newID()}, Contributions: []string{second.ID}, To: service(rulestest.A).Account(), Reason: access.Holding}
	info, err := a.client.Fetch(t.Context(), a.Store, second, hold, exchange.Holders(second, had.Custody...)...)
	require.NoError(t, err)
	require.Equal(t, poem+"Another line that nobody has written before this one\n", a.text(t, info))

	n.Must(t, ann, "erasure:Request", second.Name())
	n.Must(t, curator, "seal:Retire", seal.Retire{Datanet: n.pool, Contributions: []string{second.ID}})
	for _, g := range []*gateway{a, b, c} {
		done, err := g.Destroy(t.Context(), g.service())
		require.NoError(t, err)
		require.Equal(t, []contribution.Named{second.Name()}, done)
		_, err = g.Find(t.Context(), second.Name(), second.Commitment)
		require.ErrorIs(t, err, content.ErrErased)
	}
	n.Must(t, curator, "erasure:Complete", second.Name())
	require.Empty(t, n.look(t, keeper), "what is erased is not missing")
}

func TestAGatewayThatDoesNotAnswerIsAskedLastForAWhile(t *testing.T) {
	n := start(t)
	a, b, c := n.gateways[rulestest.A], n.gateways[rulestest.B], n.gateways[rulestest.C]
	var list []contribution.Contribution
	for i := range 3 {
		list = append(list, n.submit(t, fmt.Sprintf("%sLine %d that nobody has written before this one\n", poem, i)))
		n.seal(t, list[i], i+1)
	}
	n.agree(t, rulestest.C)
	require.Empty(t, n.look(t, c.keeper()))
	asked := 0
	b.serve = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			asked++
			panic(http.ErrAbortHandler)
		})
	}
	for _, each := range list {
		hold := access.Handover{Named: access.Named{Datanet: n.pool, ID: newID()}, Contributions: []string{each.ID}, To: service(rulestest.A).Account(), Reason: access.Holding}
		_, err := a.client.Fetch(t.Context(), a.Store, each, hold, rulestest.B, rulestest.C)
		require.NoError(t, err)
	}
	require.Equal(t, 1, asked, "only for the first")
}

func TestNothingIsKeptByAnAgreementThatHasEnded(t *testing.T) {
	n := start(t)
	c := n.gateways[rulestest.C]
	kept, later := n.submit(t, poem), n.submit(t, poem+"Another line that nobody has written before this one\n")
	n.seal(t, kept, 1)
	agreement := n.agree(t, rulestest.C)
	require.Empty(t, n.look(t, c.keeper()))
	n.Must(t, service(rulestest.C), "replica:End", agreement)
	n.seal(t, later, 2)
	require.Empty(t, n.look(t, c.keeper()))
	require.False(t, c.has(t, later))
	require.True(t, c.has(t, kept))
	require.Empty(t, n.look(t, n.gateways[rulestest.A].keeper()), "the owner keeps nothing by an agreement with itself")
}
